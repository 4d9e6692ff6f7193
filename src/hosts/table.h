// Cells in columns, for a terminal. Pure.
#pragma once

#include <string>
#include <vector>

namespace deepspeed::hosts {

/// Rows, the first of which is the head: each column as wide as its widest cell (in characters, counted as UTF-8), two
/// blanks between columns, none at the end of a line.
std::string aligned(const std::vector<std::vector<std::string>>& rows);

/// "1 host", "3 hosts".
std::string counted(size_t count, const std::string& noun);

/// Equal words once, in the order of their first, with their number: "8 x NVIDIA H100"; "none" where there are none.
std::string kinds_in_words(const std::vector<std::string>& words);

/// Without what would end a line or steer a terminal: names come from other hosts.
std::string on_one_line(std::string text);

/// Bytes as people read them: "512 MB", "1.5 GB" (powers of ten).
std::string bytes_in_words(double bytes);

/// Three significant digits without an exponent: 0.0123, 1.23, 123, 12300.
std::string rounded(double value);

}  // namespace deepspeed::hosts
