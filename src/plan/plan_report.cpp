// Numbers are rounded here and nowhere before.
#include "plan/plan_report.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "deepspeed/error.h"

namespace deepspeed::plan {
namespace {

constexpr double kGoodEfficiency = 0.8;

/// Three significant digits, no exponent: 0.0123, 1.23, 123, 12300.
std::string rounded(double value) {
  if (value == 0) return "0";
  const int decimals = std::clamp(2 - static_cast<int>(std::floor(std::log10(std::abs(value)))), 0, 9);
  std::ostringstream out;
  out.setf(std::ios::fixed);
  out.precision(decimals);
  out << value;
  return out.str();
}

std::string plain(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

/// Below 10 % with a decimal, so that little is not nothing.
std::string percent(double part) {
  const double tenths = std::round(1000 * part) / 10;
  return (tenths < 10 ? plain(tenths) : plain(std::round(100 * part))) + " %";
}

std::string with_commas(int64_t value) {
  std::string digits = std::to_string(value);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return digits;
}

std::string gigabytes(double bytes) { return rounded(bytes / 1e9) + " GB"; }

/// Cells right-aligned under their heads, two spaces apart.
std::string align(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 0);
    for (size_t column = 0; column < row.size(); ++column)
      widths[column] = std::max(widths[column], row[column].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t column = 0; column < row.size(); ++column)
      text += std::string(widths[column] - row[column].size() + 2, ' ') + row[column];
    text += '\n';
  }
  return text;
}

std::string head(const ScalingQuestion& question, int num_units) {
  std::ostringstream out;
  out << question.model.name << ": " << with_commas(question.model.numel()) << " parameters in " << num_units
      << " units, " << core::dtype_name(question.dtype) << ", " << plain(question.tokens) << " tokens a rank";
  if (question.step.micro_batches > 1) out << " x " << question.step.micro_batches << " micro-batches";
  if (question.recomputes) out << ", recomputed";
  out << "; " << question.host.name << ", " << question.ranks_per_host << " ranks a host\n";
  return out.str();
}

/// Rows are worlds, a pair of columns a stage.
std::string network_table(const ScalingQuestion& question, const std::vector<Prediction>& predictions,
                          double gigabits) {
  std::vector<std::vector<std::string>> rows = {{"ranks"}};
  for (const int stage : question.stages) rows[0].insert(rows[0].end(), {concat("ZeRO-", stage, " s"), "eff."});
  int world = 0;
  for (const Prediction& prediction : predictions) {
    if (prediction.gigabits != gigabits) continue;
    if (prediction.world != world) rows.push_back({with_commas(prediction.world)});
    world = prediction.world;
    rows.back().push_back(rounded(prediction.time.total_s()) + (prediction.fits ? "" : "*"));
    rows.back().push_back(percent(prediction.time.efficiency()));
  }
  return align(rows);
}

std::string parts_table(const std::vector<Prediction>& predictions, int world) {
  std::vector<std::vector<std::string>> rows = {{"network", "ZeRO", "forward s", "backward s", "boundary s",
                                                 "computing s", "sent a rank", "sent a host", "held a rank"}};
  for (const Prediction& prediction : predictions) {
    if (prediction.world != world) continue;
    const StepTime& time = prediction.time;
    rows.push_back({prediction.hosts > 1 ? plain(prediction.gigabits) + " Gb/s" : "-", std::to_string(prediction.stage),
                    rounded(time.forward_s), rounded(time.backward_s), rounded(time.boundary_s),
                    rounded(time.compute_s), gigabytes(time.sent_rank_bytes), gigabytes(time.sent_host_bytes),
                    gigabytes(prediction.held_bytes) + (prediction.fits ? "" : "*")});
  }
  return align(rows);
}

/// The fastest that fits, or null.
const Prediction* best_of(const std::vector<Prediction>& predictions, double gigabits, int world) {
  const Prediction* best = nullptr;
  for (const Prediction& prediction : predictions) {
    if (prediction.gigabits != gigabits || prediction.world != world || !prediction.fits) continue;
    if (best == nullptr || prediction.time.total_s() < best->time.total_s()) best = &prediction;
  }
  return best;
}

/// What the highest stage, the one that fits most, costs on this network; and which stage is fastest.
std::string advice(const std::vector<Prediction>& predictions, double gigabits, int world) {
  const Prediction* highest = nullptr;
  for (const Prediction& prediction : predictions) {
    if (prediction.gigabits == gigabits && prediction.world == world &&
        (highest == nullptr || prediction.stage > highest->stage))
      highest = &prediction;
  }
  std::ostringstream out;
  const StepTime& time = highest->time;
  if (highest->hosts > 1) {
    out << plain(gigabits) << " Gb/s: a ZeRO-" << highest->stage << " step of this model moves "
        << gigabytes(time.sent_rank_bytes) << " a rank and " << gigabytes(time.sent_host_bytes)
        << " out of each host, about " << rounded(time.sent_host_bytes * 8 / (gigabits * 1e9)) << " s";
  } else {
    out << "One host: a ZeRO-" << highest->stage << " step of this model moves " << gigabytes(time.sent_rank_bytes)
        << " a rank, about " << rounded(time.traffic_s) << " s";
  }
  out << " beside " << rounded(time.compute_s) << " s of computing; ";
  if (const Prediction* best = best_of(predictions, gigabits, world)) {
    out << "ZeRO-" << best->stage << " is the fastest that fits, " << rounded(best->time.total_s()) << " s a step ("
        << percent(best->time.efficiency()) << ").\n";
  } else {
    out << "no stage fits into the memory of a rank: take more ranks.\n";
  }
  return out.str();
}

/// Where all networks are slow: what to do about it.
std::string remedy(const ScalingQuestion& question, const std::vector<Prediction>& predictions, int world) {
  std::vector<double> gigabits = question.gigabits;
  std::sort(gigabits.begin(), gigabits.end());
  for (const double candidate : gigabits) {
    const Prediction* best = best_of(predictions, candidate, world);
    if (best == nullptr || best->time.efficiency() < kGoodEfficiency) continue;
    return concat(plain(candidate), " Gb/s is the slowest of these networks that keeps ", percent(kGoodEfficiency),
                  " of the ranks' time for computing, with ZeRO-", best->stage, ".\n");
  }
  return concat("None of these networks keeps ", percent(kGoodEfficiency),
                " of the ranks' time for computing. More tokens a rank (--tokens) or more micro-batches a step "
                "(--accumulation, at stages 0 and 1) make it use the network less.\n");
}

}  // namespace

std::string plan_text(const ScalingQuestion& question, const std::vector<Prediction>& predictions) {
  const int world = predictions.back().world;
  const std::vector<Unit> units = cut_for_steps(question.model, world, 1, false).units;
  std::string text = head(question, static_cast<int>(units.size()));
  const bool has_network = predictions.back().hosts > 1;
  for (const double gigabits : question.gigabits) {
    text += has_network ? concat("\n", plain(gigabits), " Gb/s between hosts\n") : "\n";
    text += network_table(question, predictions, gigabits);
  }
  text += concat("\nThe step on ", with_commas(world), " ranks in parts\n") + parts_table(predictions, world);
  if (!std::all_of(predictions.begin(), predictions.end(), [](const Prediction& each) { return each.fits; }))
    text += concat("* more than the ",
                   gigabytes(make_machine(question.host, question.ranks_per_host, 1, 0).memory_bytes), " of a rank\n");
  text += '\n';
  for (const double gigabits : question.gigabits) text += advice(predictions, gigabits, world);
  if (has_network) text += remedy(question, predictions, world);
  return text;
}

std::string plan_json(const ScalingQuestion& question, const std::vector<Prediction>& predictions) {
  nlohmann::ordered_json root;
  root["model"] = question.model.name;
  root["numel"] = question.model.numel();
  root["dtype"] = core::dtype_name(question.dtype);
  root["tokens"] = question.tokens;
  root["micro_batches"] = question.step.micro_batches;
  root["device"] = question.host.name;
  root["predictions"] = nlohmann::ordered_json::array();
  for (const Prediction& prediction : predictions) {
    const StepTime& time = prediction.time;
    root["predictions"].push_back({{"network_gbps", prediction.gigabits},
                                   {"hosts", prediction.hosts},
                                   {"ranks", prediction.world},
                                   {"stage", prediction.stage},
                                   {"step_s", time.total_s()},
                                   {"forward_s", time.forward_s},
                                   {"backward_s", time.backward_s},
                                   {"boundary_s", time.boundary_s},
                                   {"compute_s", time.compute_s},
                                   {"traffic_s", time.traffic_s},
                                   {"efficiency", time.efficiency()},
                                   {"gathers", time.num_gathers},
                                   {"reductions", time.num_reductions},
                                   {"sent_rank_bytes", time.sent_rank_bytes},
                                   {"sent_host_bytes", time.sent_host_bytes},
                                   {"held_rank_bytes", prediction.held_bytes},
                                   {"fits", prediction.fits}});
  }
  return root.dump(1) + "\n";
}

Chart plan_chart(const ScalingQuestion& question, const std::vector<Prediction>& predictions) {
  Chart chart{.title = concat("Predicted efficiency: ", question.model.name, ", ", core::dtype_name(question.dtype),
                              ", ", plain(question.tokens), " tokens a rank, ", question.ranks_per_host, " x ",
                              question.host.name, " a host"),
              .x_label = "ranks",
              .y_label = "computing, part of the step"};
  for (const double gigabits : question.gigabits) {
    ChartPanel panel{.title = plain(gigabits) + " Gb/s"};
    for (const int stage : question.stages) {
      Curve curve{.name = concat("ZeRO-", stage)};
      for (const Prediction& prediction : predictions) {
        if (prediction.gigabits == gigabits && prediction.stage == stage)
          curve.points.emplace_back(prediction.world, prediction.time.efficiency());
      }
      panel.curves.push_back(std::move(curve));
    }
    chart.panels.push_back(std::move(panel));
  }
  return chart;
}

}  // namespace deepspeed::plan
