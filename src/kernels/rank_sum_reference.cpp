// Rank sums, one element after another in plain C++: the tests' oracle, and the way of float64.
#include "kernels/element.h"
#include "kernels/rank_sum_kernels.h"

namespace deepspeed::kernels {
namespace {

void sum_doubles(const RankSumArgs& a) {
  auto* const result = static_cast<double*>(a.result);
  for (int64_t i = 0; i < a.numel; ++i) {
    double sum = static_cast<const double*>(a.parts[0])[i];
    for (size_t rank = 1; rank < a.parts.size(); ++rank) sum += static_cast<const double*>(a.parts[rank])[i];
    result[i] = sum * a.scale;
  }
}

}  // namespace

void rank_sum_reference(const RankSumArgs& a) {
  if (a.own_dtype == core::Dtype::kFloat64 && a.wire_dtype == core::Dtype::kFloat64) return sum_doubles(a);
  visit_element(a.own_dtype, "rank_sum", [&](auto own) {
    visit_element(a.wire_dtype, "rank_sum", [&](auto wire) {
      using Own = decltype(own);
      using Wire = decltype(wire);
      for (int64_t i = 0; i < a.numel; ++i) {
        float sum = 0.0F;
        for (size_t rank = 0; rank < a.parts.size(); ++rank) {
          const float part = static_cast<int>(rank) == a.own_rank
                                 ? to_float(static_cast<const Own*>(a.parts[rank])[i])
                                 : to_float(static_cast<const Wire*>(a.parts[rank])[i]);
          sum = rank == 0 ? part : sum + part;
        }
        static_cast<Own*>(a.result)[i] = from_float<Own>(sum * static_cast<float>(a.scale));
      }
    });
  });
}

}  // namespace deepspeed::kernels
