// The table of optimizers by name, and what is common to those that need norms of whole parameters.
#include "optim/range_optimizer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <type_traits>

#include <ATen/ATen.h>

#include "deepspeed/error.h"
#include "kernels/optimizer_cuda_kernels.h"
#include "optim/adagrad.h"
#include "optim/adam.h"
#include "optim/lamb.h"
#include "optim/lion.h"
#include "optim/sgd.h"

namespace deepspeed::optim {
namespace {

template <class Optimizer>
std::unique_ptr<RangeOptimizer> make(const Hyperparameters& defaults) {
  if constexpr (std::is_default_constructible_v<Optimizer>) {
    return std::make_unique<Optimizer>();
  } else {
    return std::make_unique<Optimizer>(defaults);
  }
}

struct Row {
  std::string_view type;
  std::unique_ptr<RangeOptimizer> (*make)(const Hyperparameters&);
};

constexpr std::array kOptimizers = {
    Row{"adam", &make<Adam>},       Row{"adamw", &make<Adam>}, Row{"sgd", &make<Sgd>},
    Row{"adagrad", &make<Adagrad>}, Row{"lion", &make<Lion>},  Row{"lamb", &make<Lamb>},
};

}  // namespace

RangeOptimizer::~RangeOptimizer() = default;

bool RangeOptimizer::uses_kernels(const LaneShard& lane) const {
  if (implementation_ == Implementation::kTorch) return false;
  if (lane.master.is_cpu()) return true;
  return implementation_ == Implementation::kKernels && lane.master.is_cuda() && kernels::has_cuda_optimizers();
}

void ParameterNormOptimizer::step(const LaneShard& lane, std::span<const Hyperparameters> groups,
                                  double gradient_scale) const {
  int num_parameters = 0;
  for (const Segment& segment : lane.segments) num_parameters = std::max(num_parameters, segment.parameter + 1);
  std::vector<double> weight_squares(static_cast<size_t>(num_parameters));
  std::vector<double> update_squares(weight_squares.size());
  const at::Tensor scratch = at::empty_like(lane.master);
  prepare(lane, groups, gradient_scale, scratch, weight_squares, update_squares);
  apply(lane, groups, scratch, weight_squares, update_squares);
}

std::unique_ptr<RangeOptimizer> make_optimizer(std::string_view type, const Hyperparameters& defaults) {
  std::string lower(type);
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const Row& row : kOptimizers) {
    if (row.type == lower) return row.make(defaults);
  }
  throw ConfigError(
      concat("[optim] optimizer.type: got \"", type, "\", expected adam, adamw, sgd, adagrad, lion or lamb."));
}

}  // namespace deepspeed::optim
