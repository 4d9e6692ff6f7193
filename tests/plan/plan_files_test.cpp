#include "plan/plan_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plan/step_time.h"
#include "support/error_message.h"

namespace deepspeed::plan {
namespace {

using ::testing::HasSubstr;

std::string model_error(const std::string& text) {
  return test::message_of<ValueError>([&] { parse_model(text, "m.json", core::Dtype::kFloat32); });
}

std::string host_error(const std::string& text) {
  return test::message_of<ValueError>([&] { parse_host(text, "h.json"); });
}

TEST(PlanFiles, UnitsOfAFileAreTheUnitsOfTheModel) {
  const ModelDescription model = parse_model(R"({"name": "mine", "sequence": 64, "units": [
      {"name": "a", "numel": 1024}, {"name": "b.c", "numel": 2048, "forward_flops_per_token": 7}]})",
                                             "m.json", core::Dtype::kFloat32);
  const StepModel step = cut_for_steps(model, 2, 10, false);
  ASSERT_EQ(step.units.size(), 2);
  EXPECT_EQ(step.units[1].name, "b.c");
  EXPECT_EQ(step.units[1].lanes.at(0).numel, 2048);
  EXPECT_DOUBLE_EQ(step.uses[0].forward_flops, 20480);
  EXPECT_DOUBLE_EQ(step.uses[1].forward_flops, 70);
}

TEST(PlanFiles, AMachineHasRatesAndDefaults) {
  const HostKind host = parse_host(R"({"flops": 1e9, "memory_bandwidth": 2e9, "link_bandwidth": 3e9,
      "link_latency_us": 20, "cores": 2, "contention": {"compute": 0.5, "transfer": 0.25}})",
                                   "h.json");
  EXPECT_DOUBLE_EQ(host.flops, 1e9);
  EXPECT_DOUBLE_EQ(host.link_latency_s, 20e-6);
  EXPECT_EQ(host.cores, 2);
  EXPECT_DOUBLE_EQ(host.contention.transfer, 0.25);
  EXPECT_DOUBLE_EQ(host.memory_bytes, 0);
}

TEST(PlanFiles, EveryMistakeIsNamed) {
  EXPECT_THAT(model_error("{"), HasSubstr("m.json: not JSON"));
  EXPECT_THAT(model_error("[]"), HasSubstr("expected an object"));
  EXPECT_THAT(model_error(R"({"name": "x", "sequence": 1})"), HasSubstr("units is missing"));
  EXPECT_THAT(model_error(R"({"name": "x", "sequence": 1, "units": []})"), HasSubstr("at least one unit"));
  EXPECT_THAT(model_error(R"({"name": "x", "sequence": 1, "units": [{"name": "a", "numel": 0}]})"),
              HasSubstr("numel of a: got 0"));
  EXPECT_THAT(model_error(R"({"name": "x", "sequence": 1, "units": [{"name": "a", "numel": 1, "size": 1}]})"),
              HasSubstr("m.json.units[0]: unknown key size"));
  EXPECT_THAT(host_error(R"({"flops": "many", "memory_bandwidth": 1, "link_bandwidth": 1})"),
              HasSubstr("h.json.flops: got \"many\", expected a number"));
  EXPECT_THAT(host_error(R"({"memory_bandwidth": 1})"), HasSubstr("flops is missing"));
}

}  // namespace
}  // namespace deepspeed::plan
