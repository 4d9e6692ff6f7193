// Fuzz target: any bytes on a control connection give frames and messages, or a ValueError.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "deepspeed/error.h"
#include "launcher/frame.h"
#include "launcher/messages.h"

namespace {

template <class Decode>
void try_to(Decode&& decode, const std::string& payload) {
  try {
    decode(payload);
  } catch (const deepspeed::ValueError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace launcher = deepspeed::launcher;
  if (size == 0) return 0;
  try {
    launcher::FrameDecoder decoder(data[0] % 2 == 1);
    decoder.feed({reinterpret_cast<const char*>(data) + 1, size - 1});
    while (const auto frame = decoder.next()) {
      try_to(launcher::decode_hello, frame->payload);
      try_to(launcher::decode_order, frame->payload);
      try_to(launcher::decode_failure, frame->payload);
      try_to(launcher::decode_line, frame->payload);
      try_to(launcher::decode_number, frame->payload);
    }
  } catch (const deepspeed::ValueError&) {
  }
  return 0;
}
