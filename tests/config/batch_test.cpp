#include "config/batch.h"

#include <gtest/gtest.h>

#include "config/config.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

Config resolved(const std::string& text, int ranks) {
  Config config = load_config(text, "test.json");
  resolve_batch(config, ranks);
  return config;
}

std::string error_of(const std::string& text, int ranks) {
  try {
    resolved(text, ranks);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

void expect_triangle(const Config& config, int64_t total, int64_t micro, int64_t steps) {
  EXPECT_EQ(config.train_batch_size, total);
  EXPECT_EQ(config.train_micro_batch_size_per_gpu, micro);
  EXPECT_EQ(config.gradient_accumulation_steps, steps);
}

TEST(Batch, AnyGivenSidesDeriveTheOthers) {
  constexpr const char* kTotal = "\"train_batch_size\": 32,";
  constexpr const char* kMicro = "\"train_micro_batch_size_per_gpu\": 4,";
  constexpr const char* kSteps = "\"gradient_accumulation_steps\": 2,";
  const auto text = [](auto... parts) { return concat("{", parts..., "}"); };
  expect_triangle(resolved(text(kTotal, kMicro, kSteps), 4), 32, 4, 2);
  expect_triangle(resolved(text(kTotal, kMicro), 4), 32, 4, 2);
  expect_triangle(resolved(text(kTotal, kSteps), 4), 32, 4, 2);
  expect_triangle(resolved(text(kMicro, kSteps), 4), 32, 4, 2);
  expect_triangle(resolved(text(kTotal), 4), 32, 8, 1);
  expect_triangle(resolved(text(kMicro), 4), 16, 4, 1);
}

TEST(Batch, NoBatchSizeIsAnErrorThatNamesBothKeys) {
  for (const char* text : {"{}", R"({"gradient_accumulation_steps": 2})"}) {
    const std::string error = error_of(text, 2);
    EXPECT_NE(error.find("train_batch_size is absent"), std::string::npos) << error;
    EXPECT_NE(error.find("train_micro_batch_size_per_gpu is absent"), std::string::npos) << error;
  }
  const std::string error = error_of(R"({"train_batch_size": "auto"})", 2);
  EXPECT_NE(error.find("train_batch_size is \"auto\""), std::string::npos) << error;
}

TEST(Batch, ErrorPrintsTheThreeValuesTheirOriginsAndWhatFits) {
  const std::string error = error_of(
      "{\"train_batch_size\": 32,\n\"train_micro_batch_size_per_gpu\": 4,\n\"gradient_accumulation_steps\": 3}", 2);
  for (const char* part : {"32 is not 4 x 3 x 2 = 24", "train_batch_size = 32 (given (test.json, line 1))",
                           "train_micro_batch_size_per_gpu = 4 (given (test.json, line 2))",
                           "gradient_accumulation_steps = 3 (given (test.json, line 3))", "data-parallel ranks = 2",
                           "\"train_batch_size\": 24", "\"gradient_accumulation_steps\": 4"}) {
    EXPECT_NE(error.find(part), std::string::npos) << part << " in:\n" << error;
  }
  EXPECT_EQ(error.find("\"train_micro_batch_size_per_gpu\": "), std::string::npos) << error;  // 32 / 6 is no integer
}

TEST(Batch, DerivedValuesAreNamedAsSuch) {
  const std::string error = error_of(R"({"train_batch_size": 30})", 4);
  EXPECT_NE(error.find("train_micro_batch_size_per_gpu = 7 (derived: 30 / 4 ranks / 1)"), std::string::npos) << error;
  EXPECT_NE(error.find("gradient_accumulation_steps = 1 (derived"), std::string::npos) << error;
  EXPECT_NE(error.find("\"train_batch_size\": 28"), std::string::npos) << error;
  EXPECT_NE(error.find("\"train_batch_size\": 32"), std::string::npos) << error;
}

TEST(Batch, FewerSamplesThanRanksIsAnErrorNotAZero) {
  const std::string error = error_of(R"({"train_batch_size": 2})", 4);
  EXPECT_NE(error.find("\"train_batch_size\": 4"), std::string::npos) << error;
}

// Whatever is suggested, taking it must make the error go away.
TEST(Batch, EverySuggestedValueFits) {
  int suggestions = 0;
  for (int64_t total = 1; total <= 24; ++total) {
    for (int64_t micro = 0; micro <= 4; ++micro) {
      for (int64_t steps = 0; steps <= 3; ++steps) {
        nlohmann::json given = {{"train_batch_size", total}};
        if (micro != 0) given["train_micro_batch_size_per_gpu"] = micro;
        if (steps != 0) given["gradient_accumulation_steps"] = steps;
        std::istringstream lines(error_of(given.dump(), 3));
        for (std::string line; std::getline(lines, line);) {
          if (line.find("    \"") != 0) continue;
          nlohmann::json fixed = given;
          const size_t with = line.find(" with ");
          fixed.update(nlohmann::json::parse("{" + line.substr(0, with) + "}"));
          if (with != std::string::npos) fixed.update(nlohmann::json::parse("{" + line.substr(with + 6) + "}"));
          EXPECT_NO_THROW(resolved(fixed.dump(), 3)) << given << " with " << line;
          ++suggestions;
        }
      }
    }
  }
  EXPECT_GT(suggestions, 100);
}

TEST(Batch, SecondCallStartsFromTheGivenValues) {
  Config config = resolved(R"({"train_batch_size": 32})", 4);
  resolve_batch(config, 2);
  expect_triangle(config, 32, 16, 1);
}

TEST(Batch, ValuesSetInCodeCountAsGiven) {
  Config config;
  config.train_micro_batch_size_per_gpu = 2;
  resolve_batch(config, 3);
  expect_triangle(config, 6, 2, 1);
  config.train_micro_batch_size_per_gpu = -1;
  EXPECT_THROW(resolve_batch(config, 3), ConfigError);
  EXPECT_THROW(resolve_batch(config, 0), ConfigError);
}

TEST(Batch, ZeroNegativeAndTextAreErrors) {
  for (const char* value : {"0", "-4", "\"many\"", "2.5", "true", "null1", "[]", "1e300"}) {
    EXPECT_NE(error_of(concat(R"({"train_batch_size": )", value, "}"), 1), "no error") << value;
  }
  expect_triangle(resolved(R"({"train_batch_size": "8.0"})", 1), 8, 8, 1);
}

TEST(Batch, AnotherDataParallelSizeThanThatOfTheLaunchIsAnError) {
  Config config = load_config(R"({"train_micro_batch_size_per_gpu": 1, "data_parallel_size": 4})", "test.json");
  EXPECT_NO_THROW(resolve_batch(config, 4));
  try {
    resolve_batch(config, 2);
    FAIL() << "expected ConfigError";
  } catch (const ConfigError& error) {
    EXPECT_NE(std::string(error.what()).find("data_parallel_size (test.json, line 1): got 4, but 2 ranks see"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace deepspeed::config
