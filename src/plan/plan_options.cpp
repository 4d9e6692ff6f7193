// The flags, on CLI11.
#include "plan/plan_options.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <sstream>

#include "core/file.h"
#include "deepspeed/error.h"
#include "plan/plan_files.h"

namespace deepspeed::plan {
namespace {

constexpr const char* kExamples = R"(Examples:
  ds_plan --model 7b --gpus 8 --nodes 1:128 --stage all --network 1,10,100,400
      a step of a 7 billion parameter model on 8 to 1,024 GPUs, and ds_plan.svg
  ds_plan --model 1.3b --gpus 4 --nodes 2 --network 1 --accumulation 16
      does gigabit Ethernet do, if it is used once in 16 micro-batches?
  ds_plan --model 13b --gpus 8 --nodes 4 --device my_machine.json --json | jq '.predictions[].step_s'
      rates that you measured, read by a program

All ranks of a host share its network (--network is a host's, in Gb/s). Rates are what programs reach, not what data
sheets say. Efficiency is the part of the step that is left if communication costs nothing. docs/plan.md says what is
modelled, what is not, and how far the predictions were off where they could be checked.)";

class HelpFormatter final : public CLI::Formatter {
 public:
  HelpFormatter() { column_width(42); }
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: ds_plan --model NAME [flags]\n";
  }
};

struct RawOptions {
  std::string model;
  std::string stage = "all";
  std::string dtype = "bf16";
  std::string nodes = "1";
  std::string network = "1,10,100,400";
  std::string device = "h100";
  std::string plot;
  int gpus = 8;
  double tokens = 0;
  double tflops = 0;
  double memory_gb = 0;
  bool no_overlap = false;
  bool json = false;
  bool recomputes = false;
  StepOptions step;
};

template <class Value>
CLI::Option* add(CLI::App& app, const std::string& group, const char* flag, Value& value, const char* type,
                 const std::string& text) {
  return app.add_option(flag, value, text)->group(group)->type_name(type);
}

std::string names_of(const auto& table) {
  std::string names;
  for (const auto& entry : table) names += (names.empty() ? "" : ", ") + entry.name;
  return names;
}

void add_model_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "What is trained";
  add(app, group, "-m,--model", raw.model, "NAME", names_of(known_shapes()) + ", or a JSON file with its units");
  add(app, group, "--stage", raw.stage, "LIST", "ZeRO stages: all, or a list such as 1,3 (default: all)");
  add(app, group, "--dtype", raw.dtype, "TYPE", "bf16, fp16 or fp32 (default: bf16, with fp32 masters and gradients)");
  add(app, group, "--tokens", raw.tokens, "N", "Tokens a rank and micro-batch (default: one sequence)");
  add(app, group, "--accumulation", raw.step.micro_batches, "N", "Micro-batches a step (default: 1)");
  app.add_flag("--recompute", raw.recomputes, "Activations are computed again in backward")->group(group);
}

void add_machine_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "On which machines";
  add(app, group, "--nodes", raw.nodes, "LIST", "Hosts: 4, 1,2,4, or 1:128 for powers of two (default: 1)");
  add(app, group, "--gpus", raw.gpus, "N", "Ranks a host (default: 8)");
  add(app, group, "--network", raw.network, "LIST",
      "Gb/s between hosts, of one host in one direction (default: 1,10,100,400)");
  add(app, group, "--device", raw.device, "NAME",
      names_of(known_hosts()) + ", or a JSON file with rates (default: h100)");
  add(app, group, "--tflops", raw.tflops, "N", "TFLOP/s that a device reaches, in place of the device's");
  add(app, group, "--memory_gb", raw.memory_gb, "N", "GB of a device, in place of the device's");
}

void add_zero_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "As in zero_optimization (defaults are the config's)";
  app.add_flag("--no_overlap", raw.no_overlap, "overlap_comm false")->group(group);
  add(app, group, "--reduce_bucket_size", raw.step.reduce_bucket_size, "N", "Elements");
  add(app, group, "--allgather_bucket_size", raw.step.allgather_bucket_size, "N", "Elements");
  add(app, group, "--stage3_prefetch_bucket_size", raw.step.prefetch_bucket_size, "N",
      "0: no unit is gathered ahead of its use");
  add(app, group, "--stage3_param_persistence_threshold", raw.step.persistence_threshold, "N",
      "Elements; smaller units stay whole");
}

void add_output_flags(CLI::App& app, RawOptions& raw) {
  const std::string group = "Output";
  add(app, group, "--plot", raw.plot, "FILE",
      "SVG of efficiency over ranks; none for no plot (default: ds_plan.svg where --nodes has several)");
  app.add_flag("--json", raw.json, "JSON instead of the table; a plot only with --plot")->group(group);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

template <class Number>
Number parse_number(std::string_view flag, const std::string& text, Number least) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  DS_CHECK(error == std::errc{} && end == text.data() + text.size() && value >= least, ValueError, "[ds_plan] ", flag,
           ": got ", text, ", expected numbers of at least ", least, ".");
  return value;
}

std::vector<int> parse_stages(const std::string& text) {
  if (text == "all") return {0, 1, 2, 3};
  std::vector<int> stages;
  for (const std::string& part : split(text)) stages.push_back(parse_number("--stage", part, 0));
  for (const int stage : stages) stage_lifetimes(stage);  // its error names the stages
  DS_CHECK(!stages.empty(), ValueError, "[ds_plan] --stage: got nothing, expected all or a list such as 1,3.");
  return stages;
}

bool is_file(const std::string& text) { return text.ends_with(".json") || std::filesystem::is_regular_file(text); }

PlanOptions resolve(const RawOptions& raw) {
  DS_CHECK(!raw.model.empty(), ValueError, "[ds_plan] no model was given. Usage: ds_plan --model NAME [flags]; -h ",
           "lists the names.");
  PlanOptions options;
  ScalingQuestion& question = options.question;
  question.dtype = core::parse_dtype(raw.dtype);
  question.host = is_file(raw.device) ? parse_host(core::read_file(raw.device), raw.device) : find_host(raw.device);
  if (raw.tflops > 0) question.host.flops = raw.tflops * 1e12;
  if (raw.memory_gb > 0) question.host.memory_bytes = raw.memory_gb * 1e9;
  if (is_file(raw.model)) {
    question.model = parse_model(core::read_file(raw.model), raw.model, question.dtype);
  } else {
    question.model = describe_decoder(find_shape(raw.model), question.dtype);
  }
  question.tokens = raw.tokens > 0 ? raw.tokens : static_cast<double>(question.model.sequence);
  question.ranks_per_host = raw.gpus;
  question.hosts = parse_counts("--nodes", raw.nodes);
  question.stages = parse_stages(raw.stage);
  question.gigabits.clear();
  for (const std::string& part : split(raw.network)) question.gigabits.push_back(parse_number("--network", part, 1e-3));
  DS_CHECK(!question.gigabits.empty(), ValueError, "[ds_plan] --network: got nothing, expected a list such as 1,10.");
  if (question.hosts == std::vector<int>{1}) question.gigabits.resize(1);  // one host has no network to compare
  question.recomputes = raw.recomputes;
  question.step = raw.step;
  question.step.overlap_comm = !raw.no_overlap;
  options.json = raw.json;
  const bool has_curve = question.hosts.size() > 1 && !raw.json;
  options.plot = raw.plot == "none" ? "" : raw.plot.empty() && has_curve ? "ds_plan.svg" : raw.plot;
  return options;
}

}  // namespace

std::vector<int> parse_counts(std::string_view flag, const std::string& text) {
  std::vector<int> counts;
  if (const size_t colon = text.find(':'); colon != std::string::npos) {
    const int last = parse_number(flag, text.substr(colon + 1), 1);
    for (int64_t count = parse_number(flag, text.substr(0, colon), 1); count <= last; count *= 2)
      counts.push_back(static_cast<int>(count));
  } else {
    for (const std::string& part : split(text)) counts.push_back(parse_number(flag, part, 1));
  }
  DS_CHECK(!counts.empty(), ValueError, "[ds_plan] ", flag, ": got '", text, "', expected 4, 1,2,4 or 1:128.");
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  return counts;
}

std::variant<PlanOptions, PlanHelp> parse_plan_options(const std::vector<std::string>& arguments) {
  CLI::App app("Predicts how long a training step takes on machines that are not here, and what it sends and holds.");
  app.formatter(std::make_shared<HelpFormatter>());
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.set_help_flag();
  app.footer(kExamples);
  RawOptions raw;
  add_model_flags(app, raw);
  add_machine_flags(app, raw);
  add_zero_flags(app, raw);
  add_output_flags(app, raw);
  app.set_help_flag("-h,--help", "Show this help")->group("Output");
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // CLI11 takes them from the back
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    return PlanHelp{app.help()};
  } catch (const CLI::ParseError& error) {
    throw ValueError(concat("[ds_plan] ", error.what(), ". `ds_plan -h` lists the flags."));
  }
  return resolve(raw);
}

}  // namespace deepspeed::plan
