#include "config/optimizer_rules.h"

#include <algorithm>

#include "config/config.h"
#include "config/nearest.h"
#include "config/reader.h"
#include "config/value.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

// Our spelling of `name`, in whatever case it came; a name that nobody knows stays for Python to find in torch.
std::string canonical_name(const Config& config, const std::string& path, const std::string& name,
                           const std::vector<std::string>& known) {
  const auto same = [&](const std::string& candidate) { return lower_case(candidate) == lower_case(name); };
  const auto found = std::find_if(known.begin(), known.end(), same);
  if (found != known.end()) return *found;
  const Nearest nearest = find_nearest(name, known);
  if (name.empty() || is_likely_typo(name, nearest)) {
    config.provenance.fail(
        path, concat("got \"", name, "\", which is unknown. Did you mean ", quote_list(nearest.names), "?"));
  }
  return name;
}

// Reads `params` through the list of arguments: checks names and values, and stores numbers given as text as numbers.
void check_parameters(Config& config, const std::string& path, nlohmann::json& params, const Fields& arguments,
                      ParameterSlots& slots) {
  if (arguments.empty()) return;
  Provenance& from = config.provenance;
  Reader(from, config.warnings).read_object(arguments, params, path);
  for (auto argument : arguments) {
    const auto given = params.find(argument.key);
    if (given == params.end() || given->is_null() || std::holds_alternative<std::vector<double>*>(argument.target)) {
      continue;
    }
    slots = {};
    assign_value(argument, *given);
    *given = current_value(argument);
  }
}

// An empty section means none; a section with arguments but no name is a mistake.
template <class T>
bool drop_if_empty(Config& config, const char* name, std::optional<T>& section) {
  if (!section) return true;
  if (section->params.is_null()) section->params = nlohmann::json::object();
  if (!section->type.empty()) return false;
  if (!section->params.empty()) {
    config.provenance.fail(std::string(name) + ".type", "is absent, but there are \"params\". Add \"type\".");
  }
  section.reset();
  return true;
}

}  // namespace

void check_optimizer(Config& config) {
  if (drop_if_empty(config, "optimizer", config.optimizer)) return;
  auto& optimizer = *config.optimizer;
  optimizer.type = canonical_name(config, "optimizer.type", optimizer.type, optimizer_names());
  if (optimizer.params.contains("max_grad_norm")) {
    config.provenance.fail("optimizer.params.max_grad_norm",
                           concat("gradients are not clipped here. Remove the key and set \"gradient_clipping\": ",
                                  show_value(optimizer.params["max_grad_norm"]), " at top level."));
  }
  ParameterSlots slots;
  check_parameters(config, "optimizer.params", optimizer.params, optimizer_parameters(optimizer.type, slots), slots);
  if (optimizer.params.value("amsgrad", nlohmann::json(false)) == true && optimizer.type != "adagrad") {
    const bool is_torch_adam = optimizer.params.value("torch_adam", nlohmann::json(false)) == true;
    if (!is_torch_adam) {
      config.provenance.fail("optimizer.params.amsgrad",
                             "got true, which this optimizer does not have. Add \"torch_adam\": true for torch's own, "
                             "or remove the key.");
    }
  }
}

void check_scheduler(Config& config) {
  if (drop_if_empty(config, "scheduler", config.scheduler)) return;
  auto& scheduler = *config.scheduler;
  scheduler.type = canonical_name(config, "scheduler.type", scheduler.type, scheduler_names());
  ParameterSlots slots;
  check_parameters(config, "scheduler.params", scheduler.params, scheduler_parameters(scheduler.type, slots), slots);
  for (const auto& name : required_scheduler_parameters(scheduler.type)) {
    const std::string path = "scheduler.params." + name;
    const bool is_auto = config.provenance.origin(path) == Origin::kAuto;
    if (!scheduler.params.contains(name) && !is_auto) {
      config.provenance.fail(path, concat("is absent, but ", scheduler.type, " needs it. Add it."));
    }
  }
}

}  // namespace deepspeed::config
