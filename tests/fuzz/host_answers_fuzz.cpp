// Fuzz target: any bytes from another host are an answer or a ValueError, and so are requests to a probe.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "deepspeed/error.h"
#include "hosts/device_question.h"
#include "hosts/host_facts.h"
#include "hosts/no_answer.h"
#include "hosts/probe_messages.h"
#include "launcher/python_versions.h"

namespace {

template <class Decode>
void try_to(Decode&& decode) {
  try {
    decode();
  } catch (const deepspeed::ValueError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace hosts = deepspeed::hosts;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try_to([&] { hosts::encode_request(hosts::decode_request(text)); });
  try_to([&] { hosts::decode_clock(text); });
  try_to([&] { hosts::decode_listening(text); });
  try_to([&] { hosts::decode_meeting(text); });
  try_to([&] { hosts::encode_facts(hosts::decode_facts(text)); });
  try_to([&] { deepspeed::launcher::decode_versions(text); });
  std::vector<std::string> lines;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  try_to([&] { hosts::parse_devices(lines); });
  hosts::explain_no_answer({.host = "node1", .exit_code = 255, .error_lines = lines});
  return 0;
}
