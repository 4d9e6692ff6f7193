// Floating sums go to the kernels; the rest are loops that compilers vectorize, over blocks that stay in the L1 cache.
#include "transport/combine.h"

#include <algorithm>
#include <array>
#include <complex>
#include <optional>
#include <type_traits>

#include "deepspeed/error.h"
#include "kernels/accumulate_kernels.h"
#include "kernels/copy_kernels.h"
#include "kernels/element.h"
#include "kernels/rank_sum_kernels.h"

namespace deepspeed::transport {
namespace {

constexpr int64_t kBlockNumel = 1024;

std::optional<core::Dtype> floating(Element element) {
  switch (element) {
    case Element::kFloat32:
      return core::Dtype::kFloat32;
    case Element::kFloat64:
      return core::Dtype::kFloat64;
    case Element::kFloat16:
      return core::Dtype::kFloat16;
    case Element::kBFloat16:
      return core::Dtype::kBFloat16;
    default:
      return std::nullopt;
  }
}

template <class T>
constexpr bool kIsComplex = false;
template <class T>
constexpr bool kIsComplex<std::complex<T>> = true;
template <class T>
constexpr bool kIsHalf = std::is_same_v<T, kernels::BFloat16> || std::is_same_v<T, kernels::Float16>;

/// The type in which elements of type T are reduced.
template <class T>
using Wide = std::conditional_t<kIsHalf<T>, float, T>;

template <class T>
struct ScaleOf {
  using Type = Wide<T>;
};
template <class T>
struct ScaleOf<std::complex<T>> {
  using Type = T;
};
template <class T>
using Scale = typename ScaleOf<T>::Type;

template <class T>
Wide<T> widened(T value) {
  if constexpr (kIsHalf<T>) {
    return kernels::to_float(value);
  } else {
    return value;
  }
}

template <class T>
T narrowed(Wide<T> value) {
  if constexpr (kIsHalf<T>) {
    return kernels::from_float<T>(value);
  } else {
    return value;
  }
}

/// Calls body(value, op): a value of the element's type, and the operator on two wide values.
template <class T, class Body>
void visit_reduction(Element element, Reduction reduction, const Body& body) {
  using W = Wide<T>;
  constexpr bool kIsBool = std::is_same_v<T, bool>;
  switch (reduction) {
    case Reduction::kSum:
      return body(T{}, [](W a, W b) { return static_cast<W>(a + b); });
    case Reduction::kProduct:
      return body(T{}, [](W a, W b) { return static_cast<W>(a * b); });
    case Reduction::kMin:
      if constexpr (!kIsComplex<T>) return body(T{}, [](W a, W b) { return b < a || b != b ? b : a; });
      break;
    case Reduction::kMax:
      if constexpr (!kIsComplex<T>) return body(T{}, [](W a, W b) { return b > a || b != b ? b : a; });
      break;
    case Reduction::kBitAnd:
      if constexpr (std::is_integral_v<T>) return body(T{}, [](W a, W b) { return static_cast<W>(a & b); });
      break;
    case Reduction::kBitOr:
      if constexpr (std::is_integral_v<T>) return body(T{}, [](W a, W b) { return static_cast<W>(a | b); });
      break;
    case Reduction::kBitXor:
      if constexpr (std::is_integral_v<T> && !kIsBool) return body(T{}, [](W a, W b) { return static_cast<W>(a ^ b); });
      if constexpr (kIsBool) return body(T{}, [](W a, W b) { return a != b; });
      break;
  }
  throw NotSupported(concat("[transport.combine] the ", reduction_name(reduction), " of ", element_name(element),
                            " elements means nothing. Use a sum, or another type."));
}

template <class Body>
void visit(Element element, Reduction reduction, const Body& body) {
  const auto go = [&](auto type) { visit_reduction<decltype(type)>(element, reduction, body); };
  switch (element) {
    case Element::kFloat32:
      return go(float{});
    case Element::kFloat64:
      return go(double{});
    case Element::kFloat16:
      return go(kernels::Float16{});
    case Element::kBFloat16:
      return go(kernels::BFloat16{});
    case Element::kInt8:
      return go(int8_t{});
    case Element::kUInt8:
      return go(uint8_t{});
    case Element::kInt16:
      return go(int16_t{});
    case Element::kInt32:
      return go(int32_t{});
    case Element::kInt64:
      return go(int64_t{});
    case Element::kBool:
      return go(bool{});
    case Element::kComplex64:
      return go(std::complex<float>{});
    case Element::kComplex128:
      return go(std::complex<double>{});
  }
}

template <class T, class Op>
void fold(const Combination& c, const Op& op) {
  std::array<Wide<T>, kBlockNumel> folded;
  const auto part = [&](size_t rank, int64_t begin) { return reinterpret_cast<const T*>(c.parts[rank]) + begin; };
  T* const result = reinterpret_cast<T*>(c.result);
  for (int64_t begin = 0; begin < c.numel; begin += kBlockNumel) {
    const int64_t numel = std::min(kBlockNumel, c.numel - begin);
    for (int64_t i = 0; i < numel; ++i) folded[i] = widened(part(0, begin)[i]);
    for (size_t rank = 1; rank < c.parts.size(); ++rank) {
      const T* const from = part(rank, begin);
      for (int64_t i = 0; i < numel; ++i) folded[i] = op(folded[i], widened(from[i]));
    }
    if constexpr (!std::is_integral_v<T>) {
      for (int64_t i = 0; i < numel; ++i) folded[i] *= static_cast<Scale<T>>(c.scale);
    }
    for (int64_t i = 0; i < numel; ++i) result[begin + i] = narrowed<T>(folded[i]);
  }
}

}  // namespace

void combine(const Combination& c) {
  const auto own = floating(c.element);
  const auto wire = floating(c.wire);
  if (c.reduction == Reduction::kSum && own && wire) {
    const auto* parts = reinterpret_cast<const void* const*>(c.parts.data());
    kernels::rank_sum({.parts = {parts, c.parts.size()},
                       .own_rank = c.own_rank,
                       .own_dtype = *own,
                       .wire_dtype = *wire,
                       .result = c.result,
                       .numel = c.numel,
                       .scale = c.scale,
                       .streams = c.streams});
    return;
  }
  DS_INTERNAL_CHECK(c.element == c.wire, "parts of type ", element_name(c.wire), " for a ",
                    reduction_name(c.reduction));
  visit(c.element, c.reduction, [&](auto type, const auto& op) { fold<decltype(type)>(c, op); });
}

void check_reduction(Element element, Reduction reduction) {
  visit(element, reduction, [](auto, const auto&) {});
}

void convert(std::byte* to, Element wire, const std::byte* from, Element element, int64_t numel) {
  if (wire == element) {
    kernels::copy_bytes(to, from, numel * element_bytes(element));
    return;
  }
  const auto narrow = floating(wire);
  const auto wide = floating(element);
  DS_INTERNAL_CHECK(narrow && wide, "conversion of ", element_name(element), " to ", element_name(wire));
  kernels::convert(to, *narrow, from, *wide, numel);
}

}  // namespace deepspeed::transport
