// Three nested loops around simulate_step().
#include "plan/scaling.h"

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

Prediction predict_one(const ScalingQuestion& question, const StepModel& cut, const Machine& machine, int stage) {
  const int world = machine.network.world();
  StepOptions options = question.step;
  options.stage = stage;
  options.bytes = adam_bytes(question.dtype);
  const ModelSize size = measure(cut.units, units_that_stay(cut, world, options.persistence_threshold));
  const int slot_count = options.overlap_comm ? 2 : 1;
  Prediction prediction{.hosts = machine.network.hosts, .world = world, .stage = stage};
  prediction.time = simulate_step(cut, machine, options);
  prediction.held_bytes = estimate_memory(size, options.bytes, stage_lifetimes(stage), world, slot_count).total();
  prediction.fits = machine.memory_bytes <= 0 || prediction.held_bytes <= machine.memory_bytes;
  return prediction;
}

}  // namespace

ElementBytes adam_bytes(core::Dtype dtype) {
  const int64_t compute = core::dtype_bytes(dtype);
  return {.compute = compute, .accumulation = 4, .master = compute < 4 ? 4 : 0, .optimizer_states = 8};
}

std::vector<Prediction> predict(const ScalingQuestion& question) {
  DS_CHECK(question.tokens > 0, ValueError, "[plan.scaling] tokens a rank: got ", question.tokens,
           ", expected more than 0.");
  std::vector<Prediction> predictions;
  for (const double gigabits : question.gigabits) {
    for (const int hosts : question.hosts) {
      const Machine machine = make_machine(question.host, question.ranks_per_host, hosts, gigabits * 1e9 / 8);
      const StepModel cut =
          cut_for_steps(question.model, machine.network.world(), question.tokens, question.recomputes);
      for (const int stage : question.stages) {
        predictions.push_back(predict_one(question, cut, machine, stage));
        predictions.back().gigabits = gigabits;
      }
    }
  }
  return predictions;
}

}  // namespace deepspeed::plan
