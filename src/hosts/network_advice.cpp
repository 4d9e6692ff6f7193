// plan::predict() at the measured bandwidth, and a sentence.
#include "hosts/network_advice.h"

#include <algorithm>

#include "deepspeed/error.h"
#include "hosts/table.h"
#include "plan/scaling.h"

namespace deepspeed::hosts {
namespace {

constexpr double kGoodEfficiency = 0.8;
constexpr double kPerfectGigabits = 1e9;
constexpr double kTenGigabits_bytes_per_s = 1.25e9;

std::string sentence(const NetworkQuestion& question, const std::vector<StageCost>& stages) {
  const StageCost& last = stages.back();
  const auto best =
      std::min_element(stages.begin(), stages.end(), [](const auto& a, const auto& b) { return a.step_s < b.step_s; });
  std::string text = concat(rounded(question.bytes_per_s * 8e-9), " Gb/s: a ZeRO-", last.stage, " step of a ",
                            question.model, " model moves ", bytes_in_words(last.sent_host_bytes),
                            " out of each host, about ", rounded(last.network_s), " s; ");
  if (best->efficiency >= kGoodEfficiency) {
    return text + concat("ZeRO-", best->stage, " loses ", rounded(100 * (1 - best->efficiency)),
                         " % of the step to the network, which is little.");
  }
  text += concat("at best (ZeRO-", best->stage, ") ", rounded(100 * (1 - best->efficiency)),
                 " % of the step is spent on the network. Use it less often, with a larger "
                 "gradient_accumulation_steps at stages 0 and 1 or more tokens a rank");
  return text + (question.bytes_per_s < kTenGigabits_bytes_per_s
                     ? ", or take a faster one: small models do with 1 Gb/s, larger ones want 10 Gb/s and more."
                     : ".");
}

}  // namespace

NetworkAdvice advise(const NetworkQuestion& question) {
  DS_CHECK(question.bytes_per_s > 0, ValueError, "[hosts] advice about a network of ", question.bytes_per_s,
           " bytes/s: nothing was measured.");
  plan::ScalingQuestion scaling;
  scaling.model = plan::describe_decoder(plan::find_shape(question.model), scaling.dtype);
  scaling.host = plan::find_host(question.on_gpus ? "h100" : "cpu");
  scaling.host.network_latency_s = question.latency_s;
  scaling.ranks_per_host = std::max(1, question.ranks_per_host);
  scaling.hosts = {question.num_hosts};
  scaling.gigabits = {question.bytes_per_s * 8e-9};
  scaling.tokens = static_cast<double>(scaling.model.sequence);
  const auto predictions = plan::predict(scaling);
  scaling.gigabits = {kPerfectGigabits};
  scaling.host.network_latency_s = 0;
  const auto perfect = plan::predict(scaling);
  NetworkAdvice advice;
  for (size_t i = 0; i < predictions.size(); ++i) {
    const plan::StepTime& time = predictions[i].time;
    advice.stages.push_back({predictions[i].stage, time.sent_host_bytes, time.sent_host_bytes / question.bytes_per_s,
                             time.total_s(), perfect[i].time.total_s() / time.total_s()});
  }
  advice.sentence = sentence(question, advice.stages);
  return advice;
}

}  // namespace deepspeed::hosts
