// Loops on the threads of torch's own pool. at::parallel_for is a template that uses them only in code that is compiled
// with the OpenMP of torch's build; elsewhere it runs on one thread, and says nothing.
#pragma once

#include <cstdint>

#include <c10/util/FunctionRef.h>

namespace deepspeed::tensor {

/// Calls body(begin, end) for ranges that together cover [0, count) once, at most one a thread: equal parts, as many as
/// there are whole or begun grains of `grain` items and threads (torch.set_num_threads). On the calling thread alone
/// where there are no more items than `grain`, or inside another such loop. Exceptions reach the caller.
void parallel_for(int64_t count, int64_t grain, c10::function_ref<void(int64_t begin, int64_t end)> body);

}  // namespace deepspeed::tensor
