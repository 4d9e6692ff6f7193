// The two tables.
#include "comm/reduce_rule.h"

#include <ATen/core/Tensor.h>

#include <optional>

#include "comm/element_type.h"
#include "deepspeed/error.h"
#include "transport/combine.h"

namespace deepspeed::comm {
namespace {

using c10d::ReduceOp;
using transport::Reduction;

std::optional<Reduction> reduction_of(const ReduceOp& op) {
  switch (op.op_) {
    case ReduceOp::SUM:
    case ReduceOp::AVG:
    case ReduceOp::PREMUL_SUM:
      return Reduction::kSum;
    case ReduceOp::PRODUCT:
      return Reduction::kProduct;
    case ReduceOp::MIN:
      return Reduction::kMin;
    case ReduceOp::MAX:
      return Reduction::kMax;
    case ReduceOp::BAND:
      return Reduction::kBitAnd;
    case ReduceOp::BOR:
      return Reduction::kBitOr;
    case ReduceOp::BXOR:
      return Reduction::kBitXor;
    default:
      return std::nullopt;
  }
}

double factor_of(const ReduceOp& op) {
  // The name that 2.11 and 2.13 share.
  const auto* supplement = dynamic_cast<const c10d::NCCLPreMulSumSupplement*>(op.supplement_.get());
  DS_CHECK(supplement != nullptr, ValueError, "[comm.shm] a PREMUL_SUM without its factor");
  const at::Tensor& tensor = supplement->tensor_factor;
  return tensor.defined() ? tensor.item<double>() : supplement->double_factor;
}

}  // namespace

transport::ReduceRule reduce_rule(const ReduceOp& op, c10::ScalarType type, int size) {
  const auto element = element_of(type);
  const auto reduction = reduction_of(op);
  const bool is_scaled = op.op_ == ReduceOp::AVG || op.op_ == ReduceOp::PREMUL_SUM;
  DS_CHECK(element && reduction && (!is_scaled || c10::isFloatingType(type) || c10::isComplexType(type)), NotSupported,
           "[comm.shm] reduction: got the ", name_of(op), " of ", c10::toString(type),
           " elements. Convert them to another type first.");
  transport::check_reduction(*element, *reduction);
  const double scale = op.op_ == ReduceOp::AVG ? 1.0 / size : op.op_ == ReduceOp::PREMUL_SUM ? factor_of(op) : 1.0;
  return {.element = *element, .wire = *element, .reduction = *reduction, .scale = scale};
}

std::string name_of(const ReduceOp& op) {
  switch (op.op_) {
    case ReduceOp::AVG:
      return "mean";
    case ReduceOp::PREMUL_SUM:
      return concat("sum times ", factor_of(op));
    default: {
      const auto reduction = reduction_of(op);
      return reduction ? std::string(transport::reduction_name(*reduction)) : "unknown reduction";
    }
  }
}

}  // namespace deepspeed::comm
