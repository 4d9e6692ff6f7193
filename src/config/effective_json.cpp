// The same walk over all fields as the printed form, into JSON.
#include "config/effective_json.h"

#include "config/config.h"
#include "config/value.h"

namespace deepspeed::config {
namespace {

nlohmann::json collect(const Fields& fields) {
  nlohmann::json result = nlohmann::json::object();
  for (const Field& field : fields) {
    if (const auto* section = std::get_if<Section>(&field.target)) {
      result[field.key] = section->exists() ? collect(section->open()) : nlohmann::json();
    } else if (const auto* group = std::get_if<SectionGroup>(&field.target)) {
      nlohmann::json items = group->named ? nlohmann::json::object() : nlohmann::json::array();
      for (auto& [name, item] : group->items()) {
        if (group->named) {
          items[name.substr(1)] = collect(item);  // the name comes with its dot
        } else {
          items.push_back(collect(item));
        }
      }
      result[field.key] = std::move(items);
    } else {
      result[field.key] = current_value(field);
    }
  }
  return result;
}

}  // namespace

nlohmann::json effective_json(const Config& config) {
  Config copy = config;  // fields() hands out pointers to change; only read here
  return collect(fields(copy));
}

}  // namespace deepspeed::config
