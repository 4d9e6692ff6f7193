#include "checkpoint/typed_json.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "deepspeed/error.h"

namespace deepspeed::checkpoint {
namespace {

double through_text(double value) { return decode_float(io::parse_json_text(encode_float(value).dump()), "value"); }

std::string error_of(const std::string& text) {
  try {
    check_typed_json(io::parse_json_text(text), "state");
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "";
}

TEST(TypedJson, FloatsComeBackBitForBit) {
  std::mt19937_64 random(6);
  for (int round = 0; round < 100'000; ++round) {
    const auto value = std::bit_cast<double>(random());
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(std::bit_cast<uint64_t>(through_text(value)), std::bit_cast<uint64_t>(value));
  }
  EXPECT_TRUE(std::isnan(through_text(std::nan(""))));
  EXPECT_EQ(through_text(-std::numeric_limits<double>::infinity()), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::signbit(through_text(-0.0)));
  EXPECT_TRUE(io::parse_json_text(encode_float(1.0).dump()).is_number_float());
}

TEST(TypedJson, BytesOfEveryLengthComeBack) {
  std::string bytes;
  for (int length = 0; length < 300; ++length) {
    EXPECT_EQ(decode_bytes(encode_bytes(bytes), "value"), bytes);
    bytes.push_back(static_cast<char>(length * 37));
  }
  EXPECT_EQ(encode_bytes("any carnal pleas")["$bytes"], "YW55IGNhcm5hbCBwbGVhcw==");
}

TEST(TypedJson, EveryFormOfTheSpecificationIsAccepted) {
  for (const char* text :
       {R"({"a":[1,-2.5,null,true,"x"],"b":{}})", R"({"$tuple":[1,{"$tuple":[]}]})", R"({"$set":[1]})",
        R"({"$frozenset":[]})", R"({"$dict":[[1,2],[{"$tuple":[1]},"x"]]})", R"({"$ordered_dict":[["a",1]]})",
        R"({"$counter":[[3,1]]})", R"({"$float":"nan"})", R"({"$int":"-123456789012345678901234567890"})",
        R"({"$bytes":"AAA="})", R"({"$complex":[1,{"$float":"inf"}]})", R"({"$numpy":["float32",1.5]})",
        R"({"$tensor":"x"})", R"({"$ndarray":"y"})", R"({"$dtype":"bfloat16"})", R"({"$size":[2,3]})"}) {
    EXPECT_EQ(error_of(text), "") << text;
  }
  EXPECT_EQ(tensor_references(io::parse_json_text(R"({"a":[{"$tensor":"x"}],"b":{"$dict":[[1,{"$ndarray":"y"}]]}})")),
            (std::vector<std::string>{"x", "y"}));
}

TEST(TypedJson, WhatIsNotTypedJsonIsNamedByItsPath) {
  EXPECT_NE(error_of(R"({"a":[0,{"$pickle":"x"}]})").find("state.a[1]: the unknown form '$pickle'"), std::string::npos);
  for (const char* text : {R"({"$tuple":1})", R"({"$dict":[[1]]})", R"({"$float":"1"})", R"({"$int":"1.5"})",
                           R"({"$bytes":"A"})", R"({"$complex":[1]})", R"({"$tensor":5})", R"({"$size":[1.5]})",
                           R"({"$tuple":[],"b":1})", R"({"b":1,"$tuple":[]})", R"({"$set":[{"$x":1}]})"}) {
    EXPECT_NE(error_of(text).find("state"), std::string::npos) << text;
  }
  const Json raw = {{"lr", {1.0, std::nan("")}}};
  EXPECT_THROW(check_typed_json(raw, "state"), CheckpointError);
  EXPECT_THROW(check_typed_json(Json{{"k", "\xff"}}, "state"), CheckpointError);
  EXPECT_THROW(decode_float(Json("x"), "state.lr"), CheckpointError);
}

}  // namespace
}  // namespace deepspeed::checkpoint
