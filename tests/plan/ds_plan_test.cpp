#include "plan/ds_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/file.h"
#include "support/scratch_folder.h"

namespace deepspeed::plan {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

struct Answer {
  int code;
  std::string out;
  std::string err;
};

Answer ask(const std::vector<std::string>& arguments) {
  std::ostringstream out;
  std::ostringstream err;
  const int code = run_ds_plan(arguments, out, err);
  return {code, out.str(), err.str()};
}

// Two units of 1,000,000 elements; 1 TFLOP/s and round bandwidths, so that the table can be checked by hand.
class DsPlan : public ::testing::Test {
 protected:
  DsPlan() {
    std::ofstream(model_) << R"({"name": "two", "sequence": 1000, "units": [{"name": "a", "numel": 1000000},
                                                                             {"name": "b", "numel": 1000000}]})";
    std::ofstream(host_) << R"({"flops": 1e12, "memory_bandwidth": 1e12, "link_bandwidth": 1e9, "memory_gb": 0.03})";
  }

  std::vector<std::string> with(std::vector<std::string> more) const {
    more.insert(more.begin(), {"--model", model_, "--device", host_, "--dtype", "fp32"});
    return more;
  }

  test::ScratchFolder folder_;
  std::string model_ = (folder_.path() / "two.json").string();
  std::string host_ = (folder_.path() / "slow.json").string();
};

TEST_F(DsPlan, PrintsAnAlignedTable) {
  const Answer answer = ask(with({"--gpus", "1", "--nodes", "1,2", "--network", "8", "--plot", "none"}));
  EXPECT_EQ(answer.code, 0) << answer.err;
  // Alone: 6 x 2e6 x 1000 operations are 12 ms; hooks 16 MB, norm 8 MB, update 56 MB are 0.08 ms.
  // Two ranks at 1 GB/s: a reduction of 4 MB a unit sends 2 MB.
  EXPECT_THAT(answer.out, StartsWith("two: 2,000,000 parameters in 2 units, float32, 1000 tokens a rank; "));
  EXPECT_THAT(answer.out, HasSubstr("\n8 Gb/s between hosts\n"
                                    "  ranks  ZeRO-0 s   eff.  ZeRO-1 s   eff.  ZeRO-2 s   eff.  ZeRO-3 s   eff.\n"
                                    "      1   0.0121*  100 %   0.0121*  100 %   0.0121*  100 %   0.0121*  100 %\n"));
  EXPECT_THAT(answer.out, HasSubstr("* more than the 0.0300 GB of a rank\n"));
}

TEST_F(DsPlan, SaysInOneSentenceWhatTheNetworkMeans) {
  const Answer answer =
      ask(with({"--gpus", "1", "--nodes", "2", "--network", "0.008", "--stage", "3", "--memory_gb", "1"}));
  EXPECT_THAT(answer.out,
              HasSubstr("0.008 Gb/s: a ZeRO-3 step of this model moves 0.00800 GB a rank and 0.00800 GB out "
                        "of each host, about 8.00 s beside 0.0120 s of computing; ZeRO-3 is the fastest "
                        "that fits, "));
  EXPECT_THAT(answer.out, HasSubstr("None of these networks keeps 80 %"));
}

TEST_F(DsPlan, JsonHoldsWhatTheTableRounds) {
  const Answer answer = ask(with({"--gpus", "1", "--nodes", "2", "--network", "8", "--stage", "1,3", "--json"}));
  ASSERT_EQ(answer.code, 0) << answer.err;
  const auto root = nlohmann::json::parse(answer.out);
  ASSERT_EQ(root["predictions"].size(), 2);
  const auto& first = root["predictions"][0];
  EXPECT_EQ(first["stage"], 1);
  EXPECT_EQ(first["ranks"], 2);
  // Two reductions and two gathers of 2 MB, the list of late gradients and the norm.
  EXPECT_DOUBLE_EQ(first["sent_rank_bytes"].get<double>(), 8e6 + 4 + 8);
  EXPECT_DOUBLE_EQ(first["step_s"].get<double>(), first["forward_s"].get<double>() + first["backward_s"].get<double>() +
                                                      first["boundary_s"].get<double>());
}

TEST_F(DsPlan, WritesAPlotOverRanks) {
  const std::string plot = (folder_.path() / "plot.svg").string();
  const Answer answer = ask(with({"--gpus", "1", "--nodes", "1:8", "--network", "1,10", "--plot", plot}));
  EXPECT_EQ(answer.code, 0) << answer.err;
  EXPECT_THAT(answer.out, HasSubstr("Plot: " + plot));
  EXPECT_THAT(core::read_file(plot), HasSubstr("10 Gb/s</text>"));
}

TEST_F(DsPlan, APlotThatCannotBeWrittenIsAnErrorOfItsOwn) {
  const Answer answer = ask(with({"--nodes", "1,2", "--plot", (folder_.path() / "none" / "plot.svg").string()}));
  EXPECT_EQ(answer.code, 1);
  EXPECT_THAT(answer.err, HasSubstr("plot.svg"));
}

TEST_F(DsPlan, HelpTeachesByExamples) {
  const Answer answer = ask({"-h"});
  EXPECT_EQ(answer.code, 0);
  EXPECT_THAT(answer.out, HasSubstr("Usage: ds_plan --model NAME [flags]"));
  EXPECT_THAT(answer.out, HasSubstr("ds_plan --model 7b --gpus 8 --nodes 1:128"));
  EXPECT_THAT(answer.err, IsEmpty());
}

TEST_F(DsPlan, WrongInputIsOneLineThatNamesIt) {
  const auto error = [](const std::vector<std::string>& arguments) {
    const Answer answer = ask(arguments);
    EXPECT_EQ(answer.code, 2);
    EXPECT_THAT(answer.out, IsEmpty());
    return answer.err;
  };
  EXPECT_THAT(error({}), HasSubstr("no model was given"));
  EXPECT_THAT(error({"--model", "8b"}), HasSubstr("got 8b, expected one of llama-10m"));
  EXPECT_THAT(error({"--model", "7b", "--device", "abacus"}), HasSubstr("got abacus"));
  EXPECT_THAT(error({"--model", "7b", "--stage", "1,x"}), HasSubstr("--stage: got x"));
  EXPECT_THAT(error({"--model", "7b", "--stage", "4"}), HasSubstr("4"));
  EXPECT_THAT(error({"--model", "7b", "--nodes", "0"}), HasSubstr("--nodes: got 0"));
  EXPECT_THAT(error({"--model", "7b", "--network", "fast"}), HasSubstr("--network: got fast"));
  EXPECT_THAT(error({"--model", "7b", "--gpus", "0"}), HasSubstr("0 ranks"));
  EXPECT_THAT(error({"--model", "7b", "--dtype", "int3"}), HasSubstr("int3"));
  EXPECT_THAT(error({"--model", "7b", "--modle"}), HasSubstr("--modle"));
}

TEST_F(DsPlan, AMissingFileIsNamed) {
  const Answer answer = ask({"--model", (folder_.path() / "absent.json").string()});
  EXPECT_EQ(answer.code, 1);
  EXPECT_THAT(answer.err, HasSubstr("absent.json"));
}

}  // namespace
}  // namespace deepspeed::plan
