// Out-of-line destructors: they anchor each exception's type information in this library.
#include "deepspeed/error.h"

#include <cstring>

namespace deepspeed {

Error::~Error() = default;
ConfigError::~ConfigError() = default;
ValueError::~ValueError() = default;
CommError::~CommError() = default;
IoError::~IoError() = default;
CheckpointError::~CheckpointError() = default;
NotSupported::~NotSupported() = default;
InternalError::~InternalError() = default;

IoError::IoError(const std::string& what, std::string path, int error_number)
    : Error(concat(what, ": ", std::strerror(error_number), " (errno ", error_number, ")")),
      path_(std::move(path)),
      error_number_(error_number) {}

}  // namespace deepspeed
