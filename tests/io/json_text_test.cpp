#include "io/json_text.h"

#include <gtest/gtest.h>

#include <string>

#include "deepspeed/error.h"

namespace deepspeed::io {
namespace {

std::string error_of(const std::string& text) {
  try {
    parse_json_text(text);
  } catch (const ValueError& error) {
    return error.what();
  }
  return "";
}

TEST(JsonText, KeepsValuesAndTheOrderOfKeys) {
  const std::string text = R"({"z":[1,-2,1.5,true,null,"x"],"a":{"m":{},"b":[[]]},"":18446744073709551615})";
  EXPECT_EQ(parse_json_text(text).dump(), text);
  EXPECT_EQ(parse_json_text(" 7 ").get<int>(), 7);
}

TEST(JsonText, AgreesWithThePlainParserOnNestedValues) {
  std::string text = "[";
  for (int i = 0; i < 500; ++i) text += "{\"k" + std::to_string(i) + "\":[" + std::to_string(i) + ",{\"a\":[]}]},";
  text += "0]";
  EXPECT_EQ(parse_json_text(text), Json::parse(text));
}

TEST(JsonText, RefusesWhatWouldBeReadWrong) {
  EXPECT_NE(error_of(R"({"a":1,"b":2,"a":3})").find("'a' stands twice"), std::string::npos);
  EXPECT_NE(error_of("[123456789012345678901234]").find("does not fit 64 bits"), std::string::npos);
  EXPECT_NE(error_of("[1,").find("byte 4"), std::string::npos);
  EXPECT_NE(error_of(""), "");
  EXPECT_NE(error_of("{} x"), "");
  EXPECT_NE(error_of("[NaN]"), "");
  EXPECT_NE(error_of("\"\xff\""), "");
}

TEST(JsonText, DeepNestingIsAnErrorAndNoCrash) {
  EXPECT_EQ(error_of(std::string(kMaxJsonDepth, '[') + std::string(kMaxJsonDepth, ']')), "");
  EXPECT_NE(error_of(std::string(1'000'000, '[')).find("nested deeper"), std::string::npos);
}

TEST(JsonText, ManyKeysInOneObjectTakeNoQuadraticTime) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += "\"key" + std::to_string(i) + "\":0,";
  text.back() = '}';
  EXPECT_EQ(parse_json_text(text).size(), 200'000u);
}

}  // namespace
}  // namespace deepspeed::io
