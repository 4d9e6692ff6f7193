// Which host this is, as far as sharing memory goes.
#pragma once

#include <string>

namespace deepspeed::comm {

/// Equal for processes that can hand each other memory: one boot of one kernel, one network namespace and one user.
/// Containers of one machine are hosts of their own. Empty where DEEPSPEED_SHARED_MEMORY=0 says not to.
std::string host_identity();

}  // namespace deepspeed::comm
