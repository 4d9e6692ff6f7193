#include "comm/mesh.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::comm {
namespace {

TEST(Mesh, NamesItsAxesWhereOneIsMissing) {
  Mesh mesh(std::make_unique<SingleRank>(at::kCPU));
  EXPECT_EQ(mesh.axis("data").size(), 1);
  try {
    mesh.axis("tensor");
    FAIL() << "expected ValueError";
  } catch (const ValueError& error) {
    EXPECT_NE(std::string(error.what()).find("there are: data"), std::string::npos);
  }
  EXPECT_THROW(mesh.add_axis("data", std::make_unique<SingleRank>(at::kCPU)), ValueError);
}

}  // namespace
}  // namespace deepspeed::comm
