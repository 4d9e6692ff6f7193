// Element types that lanes, kernels, plans and files know, without torch.
#pragma once

#include <cstdint>
#include <string_view>

namespace deepspeed::core {

enum class Dtype : uint8_t { kFloat32, kBFloat16, kFloat16, kFloat64 };

/// Bytes of one element.
int64_t dtype_bytes(Dtype dtype);

/// "float32", "bfloat16", "float16" or "float64".
std::string_view dtype_name(Dtype dtype);

/// Accepts torch's names, the short forms fp32, fp16, bf16, half, float, double, with or without "torch.".
/// Throws ValueError that lists the accepted names.
Dtype parse_dtype(std::string_view name);

}  // namespace deepspeed::core
