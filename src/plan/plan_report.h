// What ds_plan says: tables with advice for people, JSON for programs, a chart.
#pragma once

#include <string>
#include <vector>

#include "plan/scaling.h"
#include "plan/svg_chart.h"

namespace deepspeed::plan {

/// Aligned tables, a table of the largest world's parts, and a sentence a network. `predictions` are predict(question).
std::string plan_text(const ScalingQuestion& question, const std::vector<Prediction>& predictions);

/// Seconds, bytes and elements, as their keys say.
std::string plan_json(const ScalingQuestion& question, const std::vector<Prediction>& predictions);

/// Efficiency over ranks: a panel a network, a curve a stage.
Chart plan_chart(const ScalingQuestion& question, const std::vector<Prediction>& predictions);

}  // namespace deepspeed::plan
