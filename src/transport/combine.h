// Parts of several ranks become one. The same bits on every rank and however a range is split.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "transport/element.h"

namespace deepspeed::transport {

struct Combination {
  std::span<const std::byte* const> parts;  ///< by rank
  int own_rank = 0;                         ///< parts[own_rank] is of type `element`, the others of type `wire`
  std::byte* result = nullptr;              ///< of type `element`; may be parts[own_rank]
  int64_t numel = 0;
  Element element = Element::kFloat32;
  Element wire = Element::kFloat32;
  Reduction reduction = Reduction::kSum;
  double scale = 1.0;
  bool streams = false;  ///< the result goes past the caches where the kernel can (RankSumArgs)
};

/// From rank 0 up, in the element's own type, 16-bit floats in float32; then scaled (but integers, which only go with
/// a scale of 1) and rounded once. A NaN wins over numbers. Throws NotSupported where a reduction means nothing for the
/// type.
void combine(const Combination& combination);

/// Throws as combine() would.
void check_reduction(Element element, Reduction reduction);

/// numel elements of type `element` become `wire` ones: the same type, or two floating ones.
void convert(std::byte* to, Element wire, const std::byte* from, Element element, int64_t numel);

}  // namespace deepspeed::transport
