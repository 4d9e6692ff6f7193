// From tensors to the binders that watch them.
#include "deepspeed/detail/sharded_parameters.h"

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include "comm/factory.h"
#include "core/dtype.h"
#include "zero/init_shards.h"

namespace deepspeed::detail {
namespace {

using Indices = std::vector<std::pair<std::shared_ptr<zero::Binder>, std::vector<int>>>;

Indices by_binder(const std::vector<at::Tensor>& parameters) {
  Indices result;
  for (const at::Tensor& parameter : parameters) {
    const tensor::Watcher watcher = tensor::watcher_of(parameter);
    auto binder = std::dynamic_pointer_cast<zero::Binder>(watcher.listener);
    if (!binder) continue;
    const auto known =
        std::find_if(result.begin(), result.end(), [&](const auto& each) { return each.first == binder; });
    std::vector<int>& indices =
        known != result.end() ? known->second : result.emplace_back(std::move(binder), std::vector<int>{}).second;
    indices.push_back(watcher.index);
  }
  return result;
}

std::vector<tensor::NamedParameter> named(const std::vector<std::pair<std::string, at::Tensor>>& parameters) {
  std::vector<tensor::NamedParameter> result;
  for (const auto& [name, tensor] : parameters) result.push_back({name, tensor, -1});
  return result;
}

}  // namespace

bool is_sharded(const at::Tensor& tensor) { return tensor::watcher_of(tensor).listener != nullptr; }

bool is_any_sharded() { return tensor::is_any_watched(); }

at::Tensor parameter_of(const at::Tensor& tensor) {
  const tensor::Watcher watcher = tensor::watcher_of(tensor);
  const auto binder = std::dynamic_pointer_cast<zero::Binder>(watcher.listener);
  return binder ? binder->store().parameters()[watcher.index].tensor : tensor;
}

void hold(const std::vector<at::Tensor>& parameters) {
  for (const auto& [binder, indices] : by_binder(parameters)) binder->hold(indices);
}

void let_go(const std::vector<at::Tensor>& parameters, int root) {
  for (const auto& [binder, indices] : by_binder(parameters)) binder->let_go(indices, root);
}

struct ShardedInit::Impl {
  zero::InitShards shards;
};

ShardedInit::ShardedInit(c10::intrusive_ptr<c10d::ProcessGroup> data_group,
                         c10::intrusive_ptr<c10d::ProcessGroup> gather_group, const std::string& dtype,
                         c10::Device device)
    : impl_(new Impl{zero::InitShards(
          comm::make_communicator(std::move(data_group), device),
          comm::make_communicator(std::move(gather_group), device),
          dtype.empty() ? std::nullopt : std::optional<core::Dtype>(core::parse_dtype(dtype)), device)}) {}

ShardedInit::~ShardedInit() = default;

void ShardedInit::add(const std::vector<std::pair<std::string, at::Tensor>>& parameters) {
  impl_->shards.add(named(parameters));
}

void ShardedInit::add_without_values(const std::vector<std::pair<std::string, at::Tensor>>& parameters) {
  impl_->shards.add_without_values(named(parameters));
}

int64_t ShardedInit::sweep() { return impl_->shards.sweep(); }

}  // namespace deepspeed::detail
