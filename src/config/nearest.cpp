#include "config/nearest.h"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <sstream>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

constexpr size_t kShortName = 5;     // "fp16", "aio": two edits would reach half of the language
constexpr size_t kComparable = 100;  // longer names are cut: no known one is that long

std::string fold(std::string_view name) {
  std::string folded = lower_case(std::string(name.substr(0, kComparable)));
  std::replace(folded.begin(), folded.end(), '-', '_');
  return folded;
}

// Optimal string alignment: three rows of the table are enough for swaps of neighbours.
size_t aligned_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before_last[j - 2] + 1);
      }
    }
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

constexpr size_t kStem = 5;  // "optimizer" and "optimization"

// Folded names in other libraries, and our paths.
constexpr std::pair<std::string_view, std::string_view> kOtherNames[] = {
    {"zero", "zero_optimization"},
    {"zero_stage", "zero_optimization.stage"},
    {"lr_scheduler", "scheduler"},
    {"lr", "optimizer.params.lr"},
    {"learning_rate", "optimizer.params.lr"},
    {"weight_decay", "optimizer.params.weight_decay"},
    {"max_grad_norm", "gradient_clipping"},
    {"grad_clip", "gradient_clipping"},
    {"clip_grad_norm", "gradient_clipping"},
    {"mixed_precision", "bf16.enabled"},
};

std::vector<std::string> words_of(const std::string& folded) {
  std::vector<std::string> words;
  std::istringstream parts(folded);
  for (std::string word; std::getline(parts, word, '_');) {
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

}  // namespace

std::string lower_case(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

size_t edit_distance(std::string_view a, std::string_view b) { return aligned_distance(fold(a), fold(b)); }

Nearest find_nearest(std::string_view name, const std::vector<std::string>& known) {
  const std::string folded = fold(name);
  std::vector<std::pair<size_t, std::string>> candidates;
  size_t best = static_cast<size_t>(-1);
  for (const auto& candidate : known) {
    const size_t least = std::max(folded.size(), candidate.size()) - std::min(folded.size(), candidate.size());
    if (least > std::max<size_t>(best, 1)) continue;  // too long or too short to win
    candidates.emplace_back(aligned_distance(folded, fold(candidate)), candidate);
    best = std::min(best, candidates.back().first);
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Nearest nearest;
  for (const auto& [distance, candidate] : candidates) {
    nearest.distance = std::min(nearest.distance, distance);
    if (distance > std::max<size_t>(nearest.distance, 1)) break;
    nearest.names.push_back(candidate);
  }
  return nearest;
}

bool is_likely_typo(std::string_view name, const Nearest& nearest) {
  if (nearest.names.empty()) return false;
  const size_t length = std::min(name.size(), nearest.names.front().size());
  return nearest.distance <= (length <= kShortName ? 1 : 2);
}

std::vector<std::string> find_with_words(std::string_view name, const std::vector<std::string>& known) {
  const auto words = words_of(fold(name));
  std::vector<std::string> found;
  if (words.size() < 2) return found;
  for (const auto& candidate : known) {
    const auto others = words_of(fold(candidate));
    const auto same = [](const std::string& a, const std::string& b) {
      return a == b || (std::min(a.size(), b.size()) >= kStem && a.compare(0, kStem, b, 0, kStem) == 0);
    };
    const auto at = std::search(others.begin(), others.end(), words.begin(), words.end(), same);
    if (at != others.end()) found.push_back(candidate);
  }
  return found;
}

std::string find_by_other_name(std::string_view name) {
  const std::string folded = fold(name);
  for (const auto& [other, ours] : kOtherNames) {
    if (folded == other) return std::string(ours);
  }
  return "";
}

std::string quote_list(const std::vector<std::string>& names) {
  std::string list;
  for (size_t i = 0; i < names.size(); ++i) {
    const char* separator = i == 0 ? "" : (i + 1 == names.size() ? " or " : ", ");
    list += concat(separator, "\"", names[i], "\"");
  }
  return list;
}

}  // namespace deepspeed::config
