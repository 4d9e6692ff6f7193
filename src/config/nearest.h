// Which known names resemble a mistyped one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace deepspeed::config {

/// ASCII letters only.
std::string lower_case(std::string text);

/// The number of single-character edits (insert, delete, replace, swap two neighbours) from `a` to `b`. Upper and
/// lower case are the same, and so are "-" and "_".
size_t edit_distance(std::string_view a, std::string_view b);

struct Nearest {
  size_t distance = static_cast<size_t>(-1);  ///< to the best of `names`
  std::vector<std::string> names;             ///< all that are one edit away or as near as the best, best first
};

Nearest find_nearest(std::string_view name, const std::vector<std::string>& known);

/// True where `nearest` is so near that a typing error is the likely reason: two edits, one for short names.
bool is_likely_typo(std::string_view name, const Nearest& nearest);

/// Those of `known` that have the words of `name` (two or more, between "_" or "-") in a row, such as
/// "gradient_accumulation_steps" for "accumulation_steps". Words are the same where their first five letters are.
std::vector<std::string> find_with_words(std::string_view name, const std::vector<std::string>& known);

/// Our path for what other libraries call `name`: "gradient_clipping" for "max_grad_norm". Empty where there is none.
std::string find_by_other_name(std::string_view name);

/// "a", "b" or "c", in quotes.
std::string quote_list(const std::vector<std::string>& names);

}  // namespace deepspeed::config
