// Every key is read once by name; one that is left over is a mistake.
#include "plan/plan_files.h"

#include <nlohmann/json.hpp>

#include <set>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

using nlohmann::json;

json parse(std::string_view text, const std::string& path) {
  const json value = json::parse(text, nullptr, false, true);
  DS_CHECK(!value.is_discarded(), ValueError, "[plan.files] ", path, ": not JSON. Check its brackets and commas.");
  return value;
}

/// An object whose keys are taken one by one.
class Fields {
 public:
  Fields(const json& object, std::string where) : object_(object), where_(std::move(where)) {
    DS_CHECK(object.is_object(), ValueError, "[plan.files] ", where_, ": got ", object.type_name(),
             ", expected an object.");
  }

  double number(const std::string& key, double absent) { return has(key) ? number(key) : absent; }
  double number(const std::string& key) {
    const json& value = take(key);
    DS_CHECK(value.is_number(), ValueError, "[plan.files] ", where_, ".", key, ": got ", value.dump(),
             ", expected a number.");
    return value.get<double>();
  }
  std::string text(const std::string& key) {
    const json& value = take(key);
    DS_CHECK(value.is_string(), ValueError, "[plan.files] ", where_, ".", key, ": got ", value.dump(),
             ", expected a text.");
    return value.get<std::string>();
  }
  const json& take(const std::string& key) {
    DS_CHECK(has(key), ValueError, "[plan.files] ", where_, ": ", key, " is missing.");
    taken_.insert(key);
    return object_[key];
  }
  bool has(const std::string& key) const { return object_.contains(key); }

  void end() const {
    for (const auto& [key, value] : object_.items())
      DS_CHECK(taken_.contains(key), ValueError, "[plan.files] ", where_, ": unknown key ", key, ".");
  }

 private:
  const json& object_;
  std::string where_;
  std::set<std::string> taken_;
};

}  // namespace

ModelDescription parse_model(std::string_view text, const std::string& path, core::Dtype dtype) {
  const json value = parse(text, path);
  Fields fields(value, path);
  ModelDescription model{.name = fields.text("name"), .sequence = static_cast<int64_t>(fields.number("sequence"))};
  const json& units = fields.take("units");
  DS_CHECK(units.is_array() && !units.empty(), ValueError, "[plan.files] ", path, ".units: got ", units.type_name(),
           ", expected a list of at least one unit.");
  for (size_t index = 0; index < units.size(); ++index) {
    Fields unit(units[index], concat(path, ".units[", index, "]"));
    const std::string name = unit.text("name");
    const auto numel = static_cast<int64_t>(unit.number("numel"));
    DS_CHECK(numel >= 1, ValueError, "[plan.files] ", path, ": numel of ", name, ": got ", numel,
             ", expected 1 or more.");
    model.hints.leaf_modules.push_back(name);
    model.parameters.push_back({.name = name + ".weight", .numel = numel, .dtype = dtype, .group = 0});
    const double flops = unit.number("forward_flops_per_token", 2.0 * static_cast<double>(numel));
    model.uses.push_back({.parameter = static_cast<int>(index), .forward_flops_per_token = flops});
    unit.end();
  }
  fields.end();
  return model;
}

HostKind parse_host(std::string_view text, const std::string& path) {
  const json value = parse(text, path);
  Fields fields(value, path);
  HostKind host{.name = path,
                .flops = fields.number("flops"),
                .memory_bandwidth = fields.number("memory_bandwidth"),
                .link_bandwidth = fields.number("link_bandwidth"),
                .link_latency_s = fields.number("link_latency_us", 0) * 1e-6,
                .network_latency_s = fields.number("network_latency_us", 0) * 1e-6,
                .memory_bytes = fields.number("memory_gb", 0) * 1e9,
                .cores = static_cast<int>(fields.number("cores", 0))};
  if (fields.has("contention")) {
    Fields contention(fields.take("contention"), path + ".contention");
    host.contention = {.compute = contention.number("compute", 0), .transfer = contention.number("transfer", 0)};
    contention.end();
  }
  fields.end();
  return host;
}

}  // namespace deepspeed::plan
