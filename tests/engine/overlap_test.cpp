// What a step's schedule hides: the engine over a link that only takes time, and computing that only takes time.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/linear.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "deepspeed/deepspeed.h"
#include "monitor/hidden_share.h"
#include "support/scratch_folder.h"
#include "support/virtual_link.h"

namespace deepspeed::testing {
namespace {

namespace nn = torch::nn;
using monitor::Interval;

constexpr int kLayers = 12;
constexpr int64_t kWidth = 64;
constexpr int64_t kForwardNs = 5'000'000;
constexpr int64_t kBackwardNs = 10'000'000;
/// What a layer's lane takes on the wire: more than three quarters of its backward, in whole steps of a collective.
constexpr double kLayerBytes = 4.0 * (kWidth * 4 * kWidth + 4 * kWidth + 4 * kWidth * kWidth + kWidth);

/// The identity, which takes time on both ways.
struct Compute : torch::autograd::Function<Compute> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, int64_t clock) {
    context->saved_data["clock"] = clock;
    reinterpret_cast<VirtualClock*>(clock)->advance(kForwardNs);
    return x.clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    reinterpret_cast<VirtualClock*>(context->saved_data["clock"].toInt())->advance(kBackwardNs);
    return {gradients[0], at::Tensor()};
  }
};

struct LayerImpl : nn::Module {
  explicit LayerImpl(VirtualClock& clock) : clock(clock) {
    up = register_module("up", nn::Linear(kWidth, 4 * kWidth));
    down = register_module("down", nn::Linear(4 * kWidth, kWidth));
  }
  at::Tensor forward(const at::Tensor& x) {
    return Compute::apply(x + down->forward(at::relu(up->forward(x))), reinterpret_cast<int64_t>(&clock));
  }
  VirtualClock& clock;
  nn::Linear up{nullptr}, down{nullptr};
};
TORCH_MODULE(Layer);

struct ModelImpl : nn::Module {
  explicit ModelImpl(VirtualClock& clock) {
    embed = register_module("embed", nn::Linear(8, kWidth));
    for (int i = 0; i < kLayers; ++i) layers->push_back(Layer(clock));
    register_module("layers", layers);
    head = register_module("head", nn::Linear(kWidth, 1));
  }
  at::Tensor forward(const at::Tensor& x) {
    at::Tensor y = embed->forward(x);
    for (const auto& layer : *layers) y = layer->as<Layer>()->forward(y);
    return head->forward(y).square().mean();
  }
  nn::Linear embed{nullptr}, head{nullptr};
  nn::ModuleList layers;
};
TORCH_MODULE(Model);

struct Setup {
  int stage = 0;
  bool overlap = true;
  int accumulation = 1;
  /// Milliseconds that a layer's bytes take on the link.
  double layer_ms = 4.0;
};

struct Timeline {
  std::map<std::string, std::vector<Interval>> by_category;  ///< reduce, gather, wait, ...
  std::map<std::string, std::vector<Interval>> by_name;
  std::set<std::string> reduced;  ///< names of reductions
  std::vector<std::string> reports;
};

std::string config_text(const Setup& setup, const std::string& folder) {
  return concat(R"({"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": )", setup.accumulation,
                R"(, "optimizer": {"type": "AdamW", "params": {"lr": 0.001}}, "gradient_clipping": 1.0,
                     "wall_clock_breakdown": true, "steps_per_print": 4,
                     "trace": {"enabled": true, "steps": [3, 4], "path": ")",
                folder, R"("}, "zero_optimization": {"stage": )", setup.stage, R"(, "overlap_comm": )",
                setup.overlap ? "true" : "false", R"(, "stage3_param_persistence_threshold": 0}})");
}

Timeline read_timeline(const std::string& file) {
  Timeline timeline;
  const auto trace = nlohmann::json::parse(core::read_file(file));
  for (const auto& event : trace["traceEvents"]) {
    if (event["ph"] != "X") continue;
    const auto begin_ns = static_cast<int64_t>(event["ts"].get<double>() * 1e3);
    const Interval interval{begin_ns, begin_ns + static_cast<int64_t>(event["dur"].get<double>() * 1e3)};
    timeline.by_category[event["cat"]].push_back(interval);
    timeline.by_name[event["name"]].push_back(interval);
    if (event["cat"] == "reduce") timeline.reduced.insert(event["name"].get<std::string>());
  }
  return timeline;
}

/// Four steps, of which the last two are in the timeline.
Timeline train(const Setup& setup) {
  const test::ScratchFolder scratch;
  const std::string folder = scratch.path().string();
  VirtualClock clock;
  VirtualLink link(clock, kLayerBytes / (setup.layer_ms * 1e-3));
  at::manual_seed(1);
  Model model(clock);
  std::vector<std::string> reports;
  {
    detail::Transport transport{.data = std::make_unique<ThrottledCommunicator>(link),
                                .gathers = std::make_unique<ThrottledCommunicator>(link),
                                .clock = [&clock] { return clock.now_ns(); }};
    const detail::ModelDescription description = detail::describe(*model, {});
    detail::TrainingEngine engine(description, config_text(setup, folder), transport);
    for (int micro_batch = 0; micro_batch < 4 * setup.accumulation; ++micro_batch) {
      for (size_t module = 0; module < description.modules.size(); ++module)
        engine.before_forward(static_cast<int>(module));  // they are used in order of registration
      const at::Tensor loss = model->forward(at::ones({2, 8}));
      engine.after_forward();
      engine.backward(loss, false, true);
      reports.push_back(engine.step({}).report);
    }
  }
  Timeline timeline = read_timeline(folder + "/rank_0.json");
  timeline.reports = std::move(reports);
  return timeline;
}

/// Of the time that reductions are on their way, the share in which nobody waits for anything.
double hidden_share(Timeline& timeline) {
  return monitor::measure(timeline.by_category["reduce"], timeline.by_category["wait"]).hidden_share().value();
}

// A layer's whole reduction takes 8 ms on the link, its backward 10 ms: the last layer's is all that cannot be hidden.
TEST(Overlap, NineTenthsOfTheReductionOfTwelveLayersAreBehindBackward) {
  for (const int stage : {0, 1, 2}) {
    const double collectives = stage == 0 ? 2.0 : 1.0;
    Timeline timeline = train({.stage = stage, .layer_ms = 8.0 / collectives});
    EXPECT_GE(hidden_share(timeline), 0.9) << "stage " << stage;
    EXPECT_LT(hidden_share(timeline), 1.0) << "stage " << stage;
  }
}

TEST(Overlap, AtStage3GathersAreHiddenToo) {
  Timeline timeline = train({.stage = 3, .layer_ms = 4.0});
  EXPECT_GE(hidden_share(timeline), 0.9);
  const auto gathers = monitor::measure(timeline.by_category["gather"], timeline.by_category["wait"]);
  EXPECT_GE(gathers.hidden_share().value(), 0.8);
}

TEST(Overlap, WithoutOverlapNothingIsHidden) {
  Timeline timeline = train({.stage = 2, .overlap = false, .layer_ms = 8.0});
  EXPECT_LT(hidden_share(timeline), 0.05);
}

TEST(Overlap, ALinkThatIsSlowerThanBackwardHidesWhatBackwardTakes) {
  Timeline timeline = train({.stage = 1, .layer_ms = 20.0});
  EXPECT_NEAR(hidden_share(timeline), 110.0 / 240.0, 0.05);
}

TEST(Overlap, TheTimelineHasEveryUnitsReductionInsideItsBackward) {
  Timeline timeline = train({.stage = 2, .layer_ms = 8.0});
  for (int layer = 0; layer < kLayers; ++layer) EXPECT_TRUE(timeline.reduced.contains(concat("layers.", layer)));
  const auto backward = timeline.by_name["backward"];
  ASSERT_EQ(backward.size(), 2U) << "of steps 3 and 4";
  const auto reductions = monitor::merge(timeline.by_category["reduce"]);
  const auto total_ns = static_cast<double>(monitor::total_ns(reductions));
  EXPECT_NEAR(static_cast<double>(monitor::total_ns(monitor::intersect(reductions, monitor::merge(backward)))),
              total_ns,
              1e-4 * total_ns);  // times in the file have no more digits
  for (const char* name : {"forward", "autograd", "step", "norm", "update and gather"})
    EXPECT_EQ(timeline.by_name[name].size(), 2U) << name;
  EXPECT_EQ(timeline.by_name["forward"][0].end_ns - timeline.by_name["forward"][0].begin_ns, kLayers * kForwardNs);
  EXPECT_GE(timeline.by_name["autograd"][0].end_ns - timeline.by_name["autograd"][0].begin_ns, kLayers * kBackwardNs);
}

TEST(Overlap, EveryFourthStepPrintsWhereTheTimeWent) {
  Timeline timeline = train({.stage = 2, .accumulation = 2, .layer_ms = 4.0});
  const std::vector<std::string> reports = timeline.reports;
  ASSERT_EQ(reports.size(), 8U);
  for (size_t i = 0; i < 7; ++i) EXPECT_EQ(reports[i], "");
  EXPECT_NE(reports[7].find("[Rank 0] time (ms) | fwd: 120.00 | bwd: 24"), std::string::npos) << reports[7];
  EXPECT_NE(reports[7].find(" % hidden"), std::string::npos) << reports[7];
  EXPECT_EQ(timeline.by_name["forward"].size(), 4U) << "two micro-batches in each of two steps";
}

}  // namespace
}  // namespace deepspeed::testing
