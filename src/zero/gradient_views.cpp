// Handing out and taking back `.grad`.
#include "zero/gradient_views.h"

#include "precision/accumulate.h"
#include "tensor/placed_parameter.h"

namespace deepspeed::zero {

GradientViews::GradientViews(LaneStore& store) : store_(store), views_(store.parameters().size()) {}

bool GradientViews::is_visible(int parameter, bool reduced) const {
  if (reduced && store_.options().lifetimes.gradients != plan::Lifetime::kAlways) return false;
  const Location& where = store_.location(parameter);
  const LaneBuffers& lane = store_.units()[where.unit].lanes[where.lane];
  const at::Tensor& tensor = store_.parameters()[parameter].tensor;
  return store_.options().lifetimes.gradients != plan::Lifetime::kUntilReduced && lane.plan.trainable &&
         tensor.requires_grad() && tensor.scalar_type() == lane.gradients.scalar_type();
}

void GradientViews::publish(const Reducer& reducer, bool reduced) {
  for (int parameter = 0; parameter < static_cast<int>(views_.size()); ++parameter) {
    at::Tensor& tensor = store_.parameters()[parameter].tensor;
    if (!is_visible(parameter, reduced) || !reducer.holds_gradient(parameter)) continue;
    if (tensor.mutable_grad().defined()) continue;
    at::Tensor& view = views_[parameter];
    if (!view.defined()) {
      const Location& where = store_.location(parameter);
      view = tensor::view_with_own_storage(store_.units()[where.unit].lanes[where.lane].gradients, where.range.begin,
                                           tensor.sizes());
    }
    tensor.mutable_grad() = view;
  }
}

bool GradientViews::is_ours(int parameter) const {
  const at::Tensor& gradient = store_.parameters()[parameter].tensor.grad();
  return gradient.defined() && views_[parameter].defined() && gradient.is_same(views_[parameter]);
}

void GradientViews::take_back() {
  for (int parameter = 0; parameter < static_cast<int>(views_.size()); ++parameter) {
    if (is_ours(parameter)) store_.parameters()[parameter].tensor.mutable_grad().reset();
  }
}

void GradientViews::prepare_backward(Reducer& reducer) {
  take_back();
  for (int parameter = 0; parameter < static_cast<int>(views_.size()); ++parameter) {
    at::Tensor& tensor = store_.parameters()[parameter].tensor;
    const Location& where = store_.location(parameter);
    if (!tensor.mutable_grad().defined() || !store_.units()[where.unit].lanes[where.lane].plan.trainable) continue;
    if (reducer.replace_gradient(parameter, tensor.grad())) tensor.mutable_grad().reset();
  }
}

bool GradientViews::adopt_replaced() {
  bool any = false;
  for (int parameter = 0; parameter < static_cast<int>(views_.size()); ++parameter) {
    at::Tensor& tensor = store_.parameters()[parameter].tensor;
    const Location& where = store_.location(parameter);
    LaneBuffers& lane = store_.units()[where.unit].lanes[where.lane];
    if (!lane.plan.trainable || !tensor.mutable_grad().defined() || is_ours(parameter)) continue;
    const plan::Range mine = plan::intersect(where.range, lane.owned);
    if (!mine.empty()) {
      const at::Tensor source =
          tensor.grad().detach().reshape({-1}).narrow(0, mine.begin - where.range.begin, mine.numel());
      precision::scale_into(lane.owned_gradient.narrow(0, mine.begin - lane.owned.begin, mine.numel()), source, 1.0);
    }
    tensor.mutable_grad().reset();
    any = true;
  }
  return any;
}

}  // namespace deepspeed::zero
