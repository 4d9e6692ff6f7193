// Properties that hold for every key of every section, found by walking the schema itself.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>
#include <string_view>

#include "config/config.h"
#include "config/effective.h"
#include "config/known_keys.h"
#include "config/landed.h"
#include "config/reader.h"
#include "config/value.h"
#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

using nlohmann::json;

// Six letters, others at each call; all of them in `make test-all`, which takes five times as long.
std::string some_letters() {
  static const bool all = std::getenv("DS_TEST_ALL") != nullptr && std::string_view(std::getenv("DS_TEST_ALL")) == "1";
  static std::mt19937 random(20261123);
  std::string letters = "abcdefghijklmnopqrstuvwxyz0123456789_";
  if (all) return letters;
  std::shuffle(letters.begin(), letters.end(), random);
  return letters.substr(0, 6);
}

std::vector<std::string> single_edits(const std::string& key) {
  std::vector<std::string> typos;
  for (size_t at = 0; at <= key.size(); ++at) {
    for (const char c : some_letters()) {
      typos.push_back(key.substr(0, at) + c + key.substr(at));
      if (at < key.size()) typos.push_back(key.substr(0, at) + c + key.substr(at + 1));
    }
    if (at < key.size()) typos.push_back(key.substr(0, at) + key.substr(at + 1));
    if (at + 1 < key.size()) {
      std::string swapped = key;
      std::swap(swapped[at], swapped[at + 1]);
      typos.push_back(swapped);
    }
  }
  return typos;
}

// Calls `read` with every typing error of every key; each must throw an error that has the key in quotes.
template <class Read>
int expect_all_typos_named(const Fields& fields, const Read& read) {
  const auto names = spellings(fields);
  const std::set<std::string> known(names.begin(), names.end());
  int tried = 0;
  for (const auto& name : names) {
    for (const auto& typo : single_edits(name)) {
      if (known.count(typo) != 0) continue;
      ++tried;
      try {
        read(typo);
        ADD_FAILURE() << typo << " was accepted for " << name;
      } catch (const ConfigError& error) {
        if (std::string(error.what()).find("\"" + name + "\"") == std::string::npos) {
          ADD_FAILURE() << typo << " for " << name << ": " << error.what();
        }
      }
    }
  }
  return tried;
}

TEST(Schema, EveryTypoOfATopLevelKeyIsAnErrorWithTheRightKey) {
  Config scratch;
  const int tried = expect_all_typos_named(fields(scratch), [](const std::string& typo) {
    load_config(json{{typo, 1}}.dump(), "test.json");
  });
  EXPECT_GT(tried, 3'000);
}

TEST(Schema, EveryTypoOfASectionsKeyIsAnErrorWithTheRightKey) {
  Config scratch;
  int sections = 0;
  walk_fields(fields(scratch), "", [&](const std::string& path, Field& field) {
    Fields inner;
    if (const auto* section = std::get_if<Section>(&field.target)) inner = section->open();
    if (const auto* group = std::get_if<SectionGroup>(&field.target)) inner = group->add("typo");
    if (inner.empty()) return;
    ++sections;
    Provenance provenance;
    std::vector<std::string> warnings;
    expect_all_typos_named(inner, [&](const std::string& typo) {
      Reader(provenance, warnings).read_object(inner, json{{typo, 1}}, path);
    });
  });
  EXPECT_GT(sections, 50);
}

TEST(Schema, EveryTypoOfAnArgumentIsAnErrorWithTheRightArgument) {
  ParameterSlots slots;
  for (const char* type : {"adam", "sgd", "adagrad", "lion", "lamb"}) {
    expect_all_typos_named(optimizer_parameters(type, slots), [&](const std::string& typo) {
      load_config(json{{"optimizer", {{"type", type}, {"params", {{typo, 1}}}}}}.dump(), "test.json");
    });
  }
  for (const char* type : {"LRRangeTest", "OneCycle", "WarmupLR", "WarmupDecayLR", "WarmupCosineLR"}) {
    expect_all_typos_named(scheduler_parameters(type, slots), [&](const std::string& typo) {
      load_config(json{{"scheduler", {{"type", type}, {"params", {{typo, 1}}}}}}.dump(), "test.json");
    });
  }
}

// An allowed value that differs from the default.
json other_value(Field field) {
  const json before = current_value(field);
  if (field.allowed.choices.size() == 1) return before;  // nothing else is allowed
  std::vector<json> candidates = {true,       false,        1,       2,          3,     0, 0.5, "float16",
                                  "bfloat16", json{"item"}, json{7}, json{1, 2}, {{"k", 1}}, "text"};
  for (const auto& choice : field.allowed.choices) candidates.insert(candidates.begin(), {choice, json{choice}});
  for (const auto& candidate : candidates) {
    if (candidate != before && assign_value(field, candidate) && current_value(field) == candidate) return candidate;
  }
  ADD_FAILURE() << field.key << " takes none of the candidates";
  return before;
}

json other_values(Fields fields) {
  auto object = json::object();
  for (auto& field : fields) {
    if (const auto* section = std::get_if<Section>(&field.target)) {
      object[field.key] = other_values(section->open());
    } else if (const auto* group = std::get_if<SectionGroup>(&field.target)) {
      const json item = other_values(group->add("name"));
      object[field.key] = group->named ? json{{"name", item}} : json::array({item});
    } else {
      object[field.key] = other_value(field);
    }
  }
  return object;
}

json written_values(Fields fields) {
  auto object = json::object();
  for (auto& field : fields) {
    if (const auto* section = std::get_if<Section>(&field.target)) {
      object[field.key] = written_values(section->open());
    } else if (const auto* group = std::get_if<SectionGroup>(&field.target)) {
      for (auto& [name, item] : group->items()) {
        if (group->named) object[field.key]["name"] = written_values(item);
        if (!group->named) object[field.key].push_back(written_values(item));
      }
    } else {
      object[field.key] = current_value(field);
    }
  }
  return object;
}

TEST(Schema, EveryKeyKeepsAnotherValueThanItsDefault) {
  Config scratch;
  const json given = other_values(fields(scratch));
  Config config;
  Reader(config.provenance, config.warnings).read_object(fields(config), given, "");
  EXPECT_EQ(written_values(fields(config)), given);
  EXPECT_EQ(all_of(config.warnings.begin(), config.warnings.end(), [](const auto& text) { return text.empty(); }),
            true);
}

TEST(Schema, NamesInASectionAreDistinct) {
  Config scratch;
  walk_fields(fields(scratch), "", [](const std::string& path, Field& field) {
    const auto* section = std::get_if<Section>(&field.target);
    if (section == nullptr) return;
    const auto names = spellings(section->open());
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()).size(), names.size()) << path;
  });
}

TEST(Schema, WhatHasNotLandedNamesRealKeys) {
  for (const auto& entry : not_landed()) EXPECT_TRUE(is_known_path(entry.path)) << entry.path;
}

TEST(Schema, ReferenceListsEveryKeyWithItsDefault) {
  const std::string text = config_reference();
  EXPECT_NE(text.find("| `gradient_clipping` | a number not below 0 | `1` |"), std::string::npos);
  EXPECT_NE(text.find("ZenFlow not built yet (an error)"), std::string::npos);
  EXPECT_GT(std::count(text.begin(), text.end(), '\n'), 350);
}

}  // namespace
}  // namespace deepspeed::config
