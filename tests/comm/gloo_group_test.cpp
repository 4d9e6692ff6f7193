// The Gloo headers at hand are older than torch's gloo: an emitted class of theirs would be wrong for everyone.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>

namespace deepspeed::comm {
namespace {

TEST(GlooGroup, NoVtableOfGlooOrC10dIsEmittedHere) {
  const std::string command = std::string("nm -C --defined-only ") + DS_GLOO_OBJECT + " 2>/dev/null";
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen(command.c_str(), "r"), &::pclose);
  ASSERT_NE(pipe, nullptr);
  std::array<char, 4096> line{};
  int symbols = 0;
  while (std::fgets(line.data(), line.size(), pipe.get()) != nullptr) {
    ++symbols;
    const std::string text(line.data());
    EXPECT_FALSE(text.find("vtable for gloo::") != std::string::npos ||
                 text.find("vtable for c10d::ProcessGroupGloo") != std::string::npos)
        << text;
  }
  EXPECT_GT(symbols, 100) << command << " listed nothing";
}

}  // namespace
}  // namespace deepspeed::comm
