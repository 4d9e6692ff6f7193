// Encoding and cutting.
#include "launcher/frame.h"

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr size_t kLengthBytes = 4;
constexpr char kFrameEnd = '\n';
constexpr size_t kMostSkippedBytes = size_t{256} << 10;

bool is_kind(uint8_t value) {
  const auto in = [&](FrameKind first, FrameKind last) {
    return value >= static_cast<uint8_t>(first) && value <= static_cast<uint8_t>(last);
  };
  return in(FrameKind::kHello, FrameKind::kLast) || in(FrameKind::kOrder, FrameKind::kCredit) ||
         value == static_cast<uint8_t>(FrameKind::kBeat);
}

}  // namespace

std::string encode_frame(FrameKind kind, std::string_view payload) {
  const size_t length = payload.size() + 1;
  DS_INTERNAL_CHECK(length <= kLargestFrameBytes, "a control frame is too large");
  std::string bytes;
  bytes.reserve(kLengthBytes + length + 1);
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((length >> shift) & 0xFF);
  bytes += static_cast<char>(kind);
  bytes += payload;
  bytes += kFrameEnd;
  return bytes;
}

void FrameDecoder::feed(std::string_view bytes) {
  buffer_.append(bytes);
  if (is_skipping_) skip();
}

void FrameDecoder::skip() {
  const size_t at = buffer_.find(kPreamble);
  if (at == std::string::npos) return;
  skipped_ = buffer_.substr(0, at);
  buffer_.erase(0, at + kPreamble.size());
  is_skipping_ = false;
}

std::optional<Frame> FrameDecoder::next() {
  DS_CHECK(!is_skipping_ || buffer_.size() <= kMostSkippedBytes, ValueError,
           "[launcher] no agent answered, but something wrote ", buffer_.size(), " bytes");
  if (is_skipping_ || buffer_.size() < kLengthBytes) return std::nullopt;
  size_t length = 0;
  for (size_t i = 0; i < kLengthBytes; ++i) length = (length << 8) | static_cast<uint8_t>(buffer_[i]);
  DS_CHECK(length >= 1 && length <= kLargestFrameBytes, ValueError, "[launcher] control connection: a frame of ",
           length, " bytes, expected 1 to ", kLargestFrameBytes, ". Something else writes into it.");
  if (buffer_.size() < kLengthBytes + length + 1) return std::nullopt;
  const auto kind = static_cast<uint8_t>(buffer_[kLengthBytes]);
  DS_CHECK(is_kind(kind), ValueError, "[launcher] control connection: frame kind ", static_cast<int>(kind),
           " is unknown. Something else writes into it.");
  DS_CHECK(buffer_[kLengthBytes + length] == kFrameEnd, ValueError,
           "[launcher] control connection: a frame that does not end where it should. Something else writes into it.");
  Frame frame{static_cast<FrameKind>(kind), buffer_.substr(kLengthBytes + 1, length - 1)};
  buffer_.erase(0, kLengthBytes + length + 1);
  return frame;
}

}  // namespace deepspeed::launcher
