// Typed JSON: plain JSON plus objects of one member whose key starts with "$", for what JSON lacks (tuples, int keys,
// nan, bytes, numpy scalars, tensors by reference). docs/checkpoint.md specifies every form; nothing in it is code.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/json_text.h"

namespace deepspeed::checkpoint {

/// Keys keep their order. Integers, booleans, strings, arrays and objects without "$" keys stand for themselves.
using Json = io::Json;

/// A finite number, or {"$float": "nan"}, "inf" or "-inf". The value comes back bit for bit, except for NaN's payload.
Json encode_float(double value);
/// Accepts integers too. `path` ("state.loss_scaler.scale") is for the CheckpointError of anything else.
double decode_float(const Json& value, const std::string& path);

/// {"$bytes": base64}.
Json encode_bytes(std::string_view bytes);
std::string decode_bytes(const Json& value, const std::string& path);

/// {"$tensor": name}: the tensor that the checkpoint holds under `name` with state "extra".
Json encode_tensor_reference(const std::string& name);

/// Throws CheckpointError with the path of the first value that is not typed JSON: an unknown or malformed "$" form, a
/// raw nan or inf, text that is not UTF-8, nesting beyond the parser's limit. `path` names the root.
void check_typed_json(const Json& value, const std::string& path);

/// The names in all {"$tensor": name} and {"$ndarray": name}, in order. Requires checked typed JSON.
std::vector<std::string> tensor_references(const Json& value);

}  // namespace deepspeed::checkpoint
