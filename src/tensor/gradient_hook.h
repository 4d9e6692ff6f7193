// A C++ hook that runs right after autograd has accumulated into a parameter's `.grad`.
#pragma once

#include <functional>
#include <memory>

#include <ATen/core/Tensor.h>

namespace deepspeed::tensor {

/// Attached to the parameter's gradient accumulator, which it keeps alive. Runs without the GIL, on the thread that
/// runs backward. Detached by the destructor, after which the function is not called any more. `module.to(dtype)` and
/// friends silently replace the accumulator: is_current() tells, reattach by making a new hook.
class GradientHook {
 public:
  /// `parameter` must be a leaf that requires a gradient. `function` must not throw through autograd more than once a
  /// backward: its exception ends that backward and reaches its caller. `before`, where given, runs right before the
  /// accumulation, on the same thread.
  GradientHook(const at::Tensor& parameter, std::function<void()> function, std::function<void()> before = {});
  ~GradientHook();
  GradientHook(GradientHook&&) noexcept;
  GradientHook& operator=(GradientHook&&) noexcept;

  /// Whether `parameter` still accumulates through the node that this hook sits on.
  bool is_current(const at::Tensor& parameter) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace deepspeed::tensor
