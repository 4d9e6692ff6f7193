// Files give host memory: what lies elsewhere gets a copy.
#include "engine/pretrained_fill.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <utility>

#include "engine/element_types.h"

namespace deepspeed::engine {
namespace {

const at::Tensor& read_into(const PretrainedDestination& destination) {
  return destination.master.defined() ? destination.master : destination.values;
}

void fill_one(checkpoint::PretrainedFiles& files, const checkpoint::PretrainedRead& read,
              const PretrainedDestination& destination) {
  const at::Tensor& target = read_into(destination);
  const bool direct = target.is_cpu() && target.is_contiguous();
  const at::Tensor host = direct ? target : at::empty(target.sizes(), at::TensorOptions(target.scalar_type()));
  files.read(read, host.data_ptr());
  if (!direct) target.copy_(host);
  if (destination.master.defined()) destination.values.copy_(destination.master.view(destination.values.sizes()));
}

}  // namespace

PretrainedDestination whole_destination(std::string name, std::string key, const at::Tensor& tensor) {
  return {std::move(name), std::move(key), tensor.sizes().vec(), {0, tensor.numel()}, tensor.detach(), {}};
}

PretrainedDestination part_destination(std::string name, std::string key, at::IntArrayRef shape,
                                       const zero::ParameterPart& part) {
  const checkpoint::Range range{part.in_parameter.begin, part.in_parameter.end};
  return {std::move(name), std::move(key), shape.vec(), range, part.values, part.master};
}

void fill(checkpoint::PretrainedFiles& files, const std::vector<PretrainedDestination>& destinations) {
  const at::NoGradGuard no_grad;
  std::vector<checkpoint::WantedRange> wanted;
  for (const PretrainedDestination& each : destinations)
    wanted.push_back({each.name, each.key, each.shape, element_type_of(read_into(each).scalar_type()), each.range});
  for (const checkpoint::PretrainedRead& read : checkpoint::plan_reads(wanted, files.tensors(), files.where()))
    fill_one(files, read, destinations[read.wanted]);
}

}  // namespace deepspeed::engine
