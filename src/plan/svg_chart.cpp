// Pixels are counted from the upper left, as SVG does.
#include "plan/svg_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iomanip>
#include <limits>
#include <sstream>

namespace deepspeed::plan {
namespace {

constexpr double kPanelWidth = 250;
constexpr double kPanelHeight = 220;
constexpr double kGap = 28;
constexpr double kLeft = 64;
constexpr double kTop = 84;
constexpr double kBottom = 56;
constexpr double kRight = 24;
// Told apart also without colours: each has a marker and dashes of its own (colours of Okabe and Ito).
constexpr std::array<const char*, 4> kColours = {"#0072b2", "#e69f00", "#009e73", "#d55e00"};
constexpr std::array<const char*, 4> kDashes = {"", "7 3", "2 3", "9 3 2 3"};

std::string escape(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '&') {
      escaped += "&amp;";
    } else if (c == '<') {
      escaped += "&lt;";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

class Drawing {
 public:
  Drawing(double width, double height) {
    out_ << std::fixed << std::setprecision(1);
    out_ << "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" << width << "\" height=\"" << height
         << "\" viewBox=\"0 0 " << width << ' ' << height
         << "\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  }

  void line(double x1, double y1, double x2, double y2, const char* colour) {
    out_ << "<line x1=\"" << x1 << "\" y1=\"" << y1 << "\" x2=\"" << x2 << "\" y2=\"" << y2 << "\" stroke=\"" << colour
         << "\"/>\n";
  }
  void text(double x, double y, const std::string& words, const char* anchor, const char* more = "") {
    out_ << "<text x=\"" << x << "\" y=\"" << y << "\" text-anchor=\"" << anchor << "\" " << more << '>'
         << escape(words) << "</text>\n";
  }
  void curve(const std::vector<std::pair<double, double>>& points, size_t number) {
    out_ << "<polyline fill=\"none\" stroke-width=\"2\" stroke=\"" << kColours[number % kColours.size()]
         << "\" stroke-dasharray=\"" << kDashes[number % kDashes.size()] << "\" points=\"";
    for (const auto& [x, y] : points) out_ << x << ',' << y << ' ';
    out_ << "\"/>\n";
    for (const auto& [x, y] : points) {
      out_ << "<circle cx=\"" << x << "\" cy=\"" << y << "\" r=\"2.5\" fill=\"" << kColours[number % kColours.size()]
           << "\"/>\n";
    }
  }
  std::string finish() {
    out_ << "</svg>\n";
    return out_.str();
  }

 private:
  std::ostringstream out_;
};

struct Extent {
  double least = std::numeric_limits<double>::infinity();
  double most = 0;
};

Extent x_extent(const Chart& chart) {
  Extent extent;
  for (const ChartPanel& panel : chart.panels) {
    for (const Curve& curve : panel.curves) {
      for (const auto& [x, y] : curve.points) {
        extent.least = std::min(extent.least, x);
        extent.most = std::max(extent.most, x);
      }
    }
  }
  return extent;
}

std::string number(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

void draw_panel(Drawing& drawing, const ChartPanel& panel, Extent extent, double left, bool has_y_labels) {
  const double span = std::max(std::log2(extent.most / extent.least), 1e-9);
  const auto x_of = [&](double x) { return left + std::log2(x / extent.least) / span * kPanelWidth; };
  const auto y_of = [](double y) { return kTop + (1 - y) * kPanelHeight; };
  drawing.text(left + kPanelWidth / 2, kTop - 10, panel.title, "middle", "font-weight=\"bold\"");
  for (const int percent : {0, 20, 40, 60, 80, 100}) {
    const double y = y_of(percent / 100.0);
    drawing.line(left, y, left + kPanelWidth, y, percent == 0 ? "black" : "#dddddd");
    if (has_y_labels) drawing.text(left - 8, y + 4, number(percent) + " %", "end");
  }
  const int ticks = static_cast<int>(std::floor(span + 1e-9));
  const int stride = ticks / 8 + 1;
  for (int tick = 0; tick <= ticks; tick += stride) {
    const double x = extent.least * std::exp2(tick);
    drawing.line(x_of(x), kTop + kPanelHeight, x_of(x), kTop + kPanelHeight + 4, "black");
    drawing.text(x_of(x), kTop + kPanelHeight + 18, number(x), "middle", "font-size=\"10\"");
  }
  for (size_t index = 0; index < panel.curves.size(); ++index) {
    std::vector<std::pair<double, double>> points;
    for (const auto& [x, y] : panel.curves[index].points) points.emplace_back(x_of(x), y_of(y));
    drawing.curve(points, index);
  }
}

void draw_legend(Drawing& drawing, const ChartPanel& panel) {
  double x = kLeft;
  for (size_t index = 0; index < panel.curves.size(); ++index) {
    drawing.curve({{x, 46}, {x + 18, 46}, {x + 36, 46}}, index);
    drawing.text(x + 44, 50, panel.curves[index].name, "start");
    x += 64 + 7.0 * static_cast<double>(panel.curves[index].name.size());
  }
}

}  // namespace

std::string draw_svg(const Chart& chart) {
  const auto num_panels = static_cast<double>(chart.panels.size());
  const double width = kLeft + num_panels * kPanelWidth + (num_panels - 1) * kGap + kRight;
  Drawing drawing(width, kTop + kPanelHeight + kBottom);
  drawing.text(kLeft, 24, chart.title, "start", "font-size=\"15\" font-weight=\"bold\"");
  if (!chart.panels.empty()) draw_legend(drawing, chart.panels.front());
  const Extent extent = x_extent(chart);
  double left = kLeft;
  for (const ChartPanel& panel : chart.panels) {
    draw_panel(drawing, panel, extent, left, left == kLeft);
    left += kPanelWidth + kGap;
  }
  drawing.text(width / 2, kTop + kPanelHeight + 42, chart.x_label, "middle");
  const std::string turned = "transform=\"rotate(-90 16 " + number(kTop + kPanelHeight / 2) + ")\"";
  drawing.text(16, kTop + kPanelHeight / 2, chart.y_label, "middle", turned.c_str());
  return drawing.finish();
}

}  // namespace deepspeed::plan
