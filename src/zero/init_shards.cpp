// One store that grows by a module at a time.
#include "zero/init_shards.h"

#include <utility>

#include "tensor/dtype.h"

namespace deepspeed::zero {
namespace {

Options init_options(std::optional<core::Dtype> compute_dtype) {
  Options options;
  options.lifetimes = plan::stage_lifetimes(3);
  options.compute_dtype = compute_dtype;
  options.overlap_comm = false;  // one slot: nothing is gathered ahead
  options.persistence_threshold = 0;
  return options;
}

}  // namespace

InitShards::InitShards(std::unique_ptr<comm::Communicator> data, std::unique_ptr<comm::Communicator> gathers,
                       std::optional<core::Dtype> compute_dtype, c10::Device device)
    : data_(std::move(data)),
      gathers_(std::move(gathers)),
      store_(init_options(compute_dtype), device, *data_),
      binder_(std::make_shared<Binder>(store_, *gathers_)) {}

std::vector<plan::Unit> InitShards::lay_out(const std::vector<tensor::NamedParameter>& parameters) {
  std::vector<plan::Unit> units;
  for (const tensor::NamedParameter& parameter : parameters) {
    const core::Dtype own = tensor::to_dtype(parameter.tensor.scalar_type());
    infos_.push_back({.name = parameter.name,
                      .numel = parameter.tensor.numel(),
                      .dtype = store_.options().compute_dtype.value_or(own),
                      .trainable = false,
                      .group = -1});
    units.push_back(plan::lay_out_unit(parameter.name, {static_cast<int>(infos_.size()) - 1}, infos_, data_->size()));
  }
  return units;
}

void InitShards::add(const std::vector<tensor::NamedParameter>& parameters) {
  store_.append(parameters, lay_out(parameters), *data_);
  binder_->extend();
}

void InitShards::add_without_values(const std::vector<tensor::NamedParameter>& parameters) {
  store_.append_without_values(parameters, lay_out(parameters));
  binder_->extend();
}

int64_t InitShards::sweep() {
  int64_t kept = 0;
  for (int parameter = 0; parameter < static_cast<int>(store_.parameters().size()); ++parameter) {
    if (binder_->keeps(parameter)) {
      ++kept;
    } else if (store_.units()[store_.location(parameter).unit].released) {
      binder_->drop(parameter);
    }
  }
  return kept;
}

}  // namespace deepspeed::zero
