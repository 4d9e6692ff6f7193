// Parses, predicts, prints, plots.
#include "plan/ds_plan.h"

#include <exception>
#include <ostream>

#include "core/file.h"
#include "deepspeed/error.h"
#include "plan/plan_options.h"
#include "plan/plan_report.h"

namespace deepspeed::plan {
namespace {

constexpr int kBadInputExit = 2;
constexpr int kFailedExit = 1;

void answer(const PlanOptions& options, std::ostream& out, std::ostream& err) {
  const std::vector<Prediction> predictions = predict(options.question);
  out << (options.json ? plan_json(options.question, predictions) : plan_text(options.question, predictions));
  if (options.plot.empty()) return;
  core::write_file_atomically(options.plot, draw_svg(plan_chart(options.question, predictions)));
  (options.json ? err : out) << "Plot: " << options.plot << "\n";
}

}  // namespace

int run_ds_plan(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  try {
    const auto parsed = parse_plan_options(arguments);
    if (const auto* help = std::get_if<PlanHelp>(&parsed)) {
      out << help->text;
    } else {
      answer(std::get<PlanOptions>(parsed), out, err);
    }
    return 0;
  } catch (const ValueError& error) {
    err << error.what() << "\n";
    return kBadInputExit;
  } catch (const std::exception& error) {
    err << error.what() << "\n";
    return kFailedExit;
  }
}

}  // namespace deepspeed::plan
