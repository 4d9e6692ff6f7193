// Line charts side by side in one SVG file: a logarithmic x axis, percent upwards, one legend.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace deepspeed::plan {

struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points;  ///< (x above 0, 0 to 1), x ascending
};

struct ChartPanel {
  std::string title;
  std::vector<Curve> curves;  ///< the same names in every panel: the n-th has the n-th colour
};

struct Chart {
  std::string title;
  std::string x_label;
  std::string y_label;
  std::vector<ChartPanel> panels;
};

/// A whole SVG document that needs no fonts or scripts of its own.
std::string draw_svg(const Chart& chart);

}  // namespace deepspeed::plan
