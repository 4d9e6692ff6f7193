// Descriptors 0, 1 and 2 are always open.
#pragma once

namespace deepspeed::launcher {

/// Opens /dev/null on those that this process was started without (`>&-`): else the next file that is opened would get
/// such a number, and what is written to "standard output" would go into it.
void open_standard_descriptors();

}  // namespace deepspeed::launcher
