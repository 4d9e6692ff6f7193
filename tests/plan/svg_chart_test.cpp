#include "plan/svg_chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace deepspeed::plan {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

Chart make_chart() {
  const Curve curve{.name = "ZeRO-1", .points = {{8, 1.0}, {16, 0.5}, {32, 0.25}}};
  return {.title = "a < b & c",
          .x_label = "ranks",
          .y_label = "efficiency",
          .panels = {{.title = "1 Gb/s", .curves = {curve}}, {.title = "10 Gb/s", .curves = {curve}}}};
}

TEST(SvgChart, IsOneDocumentWithEscapedText) {
  const std::string svg = draw_svg(make_chart());
  EXPECT_THAT(svg, StartsWith("<svg "));
  EXPECT_THAT(svg, EndsWith("</svg>\n"));
  EXPECT_THAT(svg, HasSubstr("a &lt; b &amp; c"));
}

TEST(SvgChart, EveryPanelHasItsCurvesAndTheLegendOneMore) {
  EXPECT_EQ(count(draw_svg(make_chart()), "<polyline"), 2 + 1);
  EXPECT_EQ(count(draw_svg(make_chart()), ">ZeRO-1</text>"), 1);
  EXPECT_EQ(count(draw_svg(make_chart()), "Gb/s</text>"), 2);
}

TEST(SvgChart, XIsLogarithmicAndYGoesUp) {
  // A panel is 250 wide from 64 on and 220 high from 84 on: the middle of 8 to 32 is 16, and a half is in the middle.
  EXPECT_THAT(draw_svg(make_chart()), HasSubstr("points=\"64.0,84.0 189.0,194.0 314.0,249.0 \""));
}

TEST(SvgChart, AxesAreLabelled) {
  const std::string svg = draw_svg(make_chart());
  for (const char* label :
       {">8</text>", ">16</text>", ">32</text>", ">0 %</text>", ">100 %</text>", ">ranks</text>", ">efficiency</text>"})
    EXPECT_THAT(svg, HasSubstr(label));
}

TEST(SvgChart, NothingAndASinglePointAreDrawnToo) {
  EXPECT_THAT(draw_svg({}), EndsWith("</svg>\n"));
  EXPECT_THAT(draw_svg({.panels = {{.curves = {{.name = "x", .points = {{4, 1}}}}}}}), HasSubstr("64.0,84.0"));
}

}  // namespace
}  // namespace deepspeed::plan
