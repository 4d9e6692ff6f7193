#include "config/text.h"

#include <gtest/gtest.h>

#include <cmath>

#include "config/base64.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

nlohmann::json value_of(std::string_view text) { return parse_text(text, "test.json").value; }

std::string syntax_error(std::string_view text) {
  try {
    parse_text(text, "test.json");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

void expect_mention(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << part << " in:\n" << text;
}

TEST(Text, CommentsAndTrailingCommasArePassedOver) {
  const auto value = value_of(
      "// first\n# second\n{ /* a\nb */ \"a\": [1, 2,], # end\n \"b\": {\"c\": true,}, // last\n}\n/* after */");
  EXPECT_EQ(value, nlohmann::json::parse(R"({"a": [1, 2], "b": {"c": true}})"));
}

TEST(Text, StringsKeepWhatLooksLikeAComment) {
  const auto value = value_of(R"({"url": "http://x/y#z", "s": "a /* b */ ,] \" \u00e9"})");
  EXPECT_EQ(value["url"], "http://x/y#z");
  EXPECT_EQ(value["s"], "a /* b */ ,] \" \xC3\xA9");
}

TEST(Text, InfinityAndNanAreReadAsPythonWritesThem) {
  const auto value = value_of(R"({"a": Infinity, "b": -Infinity, "c": NaN, "d": 1e400, "e": -1e400})");
  EXPECT_EQ(value["a"].get<double>(), INFINITY);
  EXPECT_EQ(value["b"].get<double>(), -INFINITY);
  EXPECT_TRUE(std::isnan(value["c"].get<double>()));
  EXPECT_EQ(value["d"].get<double>(), INFINITY);
  EXPECT_EQ(value["e"].get<double>(), -INFINITY);
}

TEST(Text, ErrorShowsFileLineColumnAndACaret) {
  const std::string error = syntax_error("{\n  \"stage\" 2\n}");
  expect_mention(error, "test.json, line 2, column 11: expected \":\" after the key \"stage\"");
  expect_mention(error, "\n    \"stage\" 2\n            ^");
}

TEST(Text, EachMistakeHasItsOwnSentence) {
  expect_mention(syntax_error(""), "the text is empty");
  expect_mention(syntax_error("[1]"), "a config is a JSON object");
  expect_mention(syntax_error("{} x"), "expected the end of the text");
  expect_mention(syntax_error("{\"a\": True}"), "Write true.");
  expect_mention(syntax_error("{\"a\": None}"), "Write null.");
  expect_mention(syntax_error("{\"a\": fp16}"), "Put text in double quotes.");
  expect_mention(syntax_error("{a: 1}"), "expected a key in double quotes");
  expect_mention(syntax_error("{\"a\": 1 \"b\": 2}"), "expected \",\" or \"}\"");
  expect_mention(syntax_error("{\"a\": [1 2]}"), "expected \",\" or \"]\"");
  expect_mention(syntax_error("{\"a\": \"x\n\"}"), "line 1, column 7: this string is never closed");
  expect_mention(syntax_error("{\"a\": {"), "this brace is never closed");
  expect_mention(syntax_error("{\"a\": [1,"), "this bracket is never closed");
  expect_mention(syntax_error("{ /* "), "this comment is never closed");
  expect_mention(syntax_error("{\"a\": \"\\x\"}"), "wrong escape");
  expect_mention(syntax_error("{\"a\": \"\xFF\"}"), "not UTF-8");
  expect_mention(syntax_error("{\"a\":}"), "expected a value");
  expect_mention(syntax_error("{,}"), "expected a key");
}

TEST(Text, DuplicateKeysAreNamedWithPathAndBothLines) {
  const std::string error = syntax_error("{\"zero_optimization\": {\n\"stage\": 1,\n\"stage\": 2}}");
  expect_mention(error, "line 3, column 1: the key \"stage\" (zero_optimization.stage) was already given on line 2");
  expect_mention(syntax_error("{\"a\": [{\"b\": 1, \"b\": 1}]}"), "a[0].b");
}

TEST(Text, LinesOfKeysAreKept) {
  const auto lines = parse_text("{\n\"a\":\n{ /*\n*/ \"b\": 1}}", "t").lines;
  EXPECT_EQ(lines.at("a"), 2);
  EXPECT_EQ(lines.at("a.b"), 4);
}

TEST(Text, DepthIsBounded) {
  const auto nested = [](int depth) {
    return "{\"a\": " + std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']') +
           "}";
  };
  EXPECT_NO_THROW(parse_text(nested(kMaxDepth - 1), "t"));
  EXPECT_THROW(parse_text(nested(kMaxDepth), "t"), ConfigError);
  EXPECT_THROW(parse_text("{\"a\": " + std::string(1'000'000, '['), "t"), ConfigError);
}

TEST(Text, LongLinesAreCutRoundTheError) {
  const std::string error = syntax_error("{\"a\": \"" + std::string(5000, 'x') + "\" \"b\"}");
  EXPECT_LT(error.size(), 400u);
  expect_mention(error, "^");
}

TEST(Base64, BothAlphabetsWithAndWithoutPaddingAreRead) {
  EXPECT_EQ(decode_base64("eyJhIjogMX0="), "{\"a\": 1}");
  EXPECT_EQ(decode_base64("eyJhIjogMX0"), "{\"a\": 1}");
  EXPECT_EQ(decode_base64("-_-_"), decode_base64("+/+/"));
  EXPECT_EQ(decode_base64("a"), std::nullopt);
  EXPECT_EQ(decode_base64("ds_config.json"), std::nullopt);
}

}  // namespace
}  // namespace deepspeed::config
