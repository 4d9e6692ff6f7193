// Post hooks on gradient accumulators.
#include "tensor/gradient_hook.h"

#include <atomic>
#include <utility>
#include <vector>

#include "deepspeed/error.h"
#include "tensor/torch_compat.h"

namespace deepspeed::tensor {
namespace {

// The accumulator may outlive us (a graph holds it), so that the hook asks whether anyone still listens.
struct Target {
  std::function<void()> function;
  std::function<void()> before;
  std::atomic<bool> attached{true};
};

class PostHook final : public torch::autograd::FunctionPostHook {
 public:
  explicit PostHook(std::shared_ptr<Target> target) : target_(std::move(target)) {}

  torch::autograd::variable_list operator()(const torch::autograd::variable_list& outputs,
                                            const torch::autograd::variable_list&) override {
    if (target_->attached) target_->function();
    return outputs;
  }

 private:
  std::shared_ptr<Target> target_;
};

class PreHook final : public torch::autograd::FunctionPreHook {
 public:
  explicit PreHook(std::shared_ptr<Target> target) : target_(std::move(target)) {}

  torch::autograd::variable_list operator()(const torch::autograd::variable_list& gradients) override {
    if (target_->attached) target_->before();
    return gradients;
  }

 private:
  std::shared_ptr<Target> target_;
};

}  // namespace

struct GradientHook::Impl {
  GradAccumulator accumulator;
  uintptr_t key = 0;
  const torch::autograd::FunctionPreHook* pre_hook = nullptr;  // owned by the accumulator
  std::shared_ptr<Target> target;

  ~Impl() {
    target->attached = false;
    accumulator->del_post_hook(key);
    std::erase_if(accumulator->pre_hooks(), [&](const auto& hook) { return hook.get() == pre_hook; });
  }
};

GradientHook::GradientHook(const at::Tensor& parameter, std::function<void()> function, std::function<void()> before) {
  DS_INTERNAL_CHECK(parameter.is_leaf() && parameter.requires_grad(),
                    "gradient hook on a tensor that is no trainable leaf");
  auto target = std::make_shared<Target>();
  target->function = std::move(function);
  target->before = std::move(before);
  auto accumulator = torch::autograd::impl::grad_accumulator(parameter);
  const uintptr_t key = accumulator->add_post_hook(std::make_unique<PostHook>(target));
  const torch::autograd::FunctionPreHook* pre_hook = nullptr;
  if (target->before) {
    accumulator->add_pre_hook(std::make_unique<PreHook>(target));
    pre_hook = accumulator->pre_hooks().back().get();
  }
  impl_.reset(new Impl{std::move(accumulator), key, pre_hook, std::move(target)});
}

GradientHook::~GradientHook() = default;
GradientHook::GradientHook(GradientHook&&) noexcept = default;
GradientHook& GradientHook::operator=(GradientHook&&) noexcept = default;

bool GradientHook::is_current(const at::Tensor& parameter) const {
  return parameter.requires_grad() && torch::autograd::impl::try_get_grad_accumulator(parameter) == impl_->accumulator;
}

}  // namespace deepspeed::tensor
