#include "launcher/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using ::testing::HasSubstr;

TEST(Frame, ComesOutAsItWentInHoweverTheStreamIsCut) {
  const std::string payload("a\0b\n", 4);
  const std::string stream = encode_frame(FrameKind::kLine, payload) + encode_frame(FrameKind::kBeat, "");
  for (size_t cut = 0; cut <= stream.size(); ++cut) {
    FrameDecoder decoder(false);
    std::vector<Frame> frames;
    for (const auto& part : {stream.substr(0, cut), stream.substr(cut)}) {
      decoder.feed(part);
      while (auto frame = decoder.next()) frames.push_back(*frame);
    }
    ASSERT_EQ(frames.size(), 2u) << cut;
    EXPECT_EQ(frames[0].kind, FrameKind::kLine);
    EXPECT_EQ(frames[0].payload, payload);
    EXPECT_EQ(frames[1].kind, FrameKind::kBeat);
  }
}

TEST(Frame, WhatALoginShellSaysBeforeThePreambleIsSkippedAndKept) {
  FrameDecoder decoder(true);
  decoder.feed("Welcome to node1!\n");
  EXPECT_FALSE(decoder.has_begun());
  decoder.feed(std::string(kPreamble) + encode_frame(FrameKind::kHello, "x"));
  EXPECT_TRUE(decoder.has_begun());
  EXPECT_EQ(decoder.skipped(), "Welcome to node1!\n");
  EXPECT_EQ(decoder.next()->payload, "x");
}

std::string error_of(FrameDecoder decoder, const std::string& bytes) {
  try {
    decoder.feed(bytes);
    decoder.next();
  } catch (const ValueError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Frame, WhatCannotBeAFrameIsAnError) {
  EXPECT_THAT(error_of(FrameDecoder(false), "text that somebody printed\n"), HasSubstr("a frame of 1952807028 bytes"));
  EXPECT_THAT(error_of(FrameDecoder(false), std::string("\0\0\0\1\77\n", 6)), HasSubstr("kind 63"));
  EXPECT_THAT(error_of(FrameDecoder(false), std::string("\0\0\0\1\4x", 6)), HasSubstr("does not end where it should"));
  EXPECT_THAT(error_of(FrameDecoder(false), std::string(4, '\0')), HasSubstr("a frame of 0 bytes"));
  EXPECT_THAT(error_of(FrameDecoder(true), std::string(300'000, 'x')), HasSubstr("no agent answered"));
}

}  // namespace
}  // namespace deepspeed::launcher
