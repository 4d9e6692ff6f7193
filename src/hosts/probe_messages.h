// What ds_check asks the probe on each host, and what that answers: a line of JSON each. Pure.
#pragma once

#include <string>
#include <string_view>
#include <variant>

namespace deepspeed::hosts {

/// [Note: Probe]
/// `ds_check --host_probe` is started on each host over ssh. It says kProbePreamble with its version, then answers
/// each line that it gets with one line, in order, until its input ends. Whatever it opens is closed by then. HostFacts
/// answer a FactsRequest; the other requests have their answers below. Nobody else's connection counts at a meeting
/// point: who connects says the token, which goes to both ends over ssh.

inline constexpr std::string_view kProbePreamble = "deepspeed host probe, protocol 1, version ";
inline constexpr const char* kProbeFlag = "--host_probe";
inline constexpr const char* kProbeProgram = "ds_check";
inline constexpr size_t kTokenBytes = 32;  ///< hexadecimal digits

struct FactsRequest {
  bool operator==(const FactsRequest&) const = default;
};

struct ClockRequest {
  bool operator==(const ClockRequest&) const = default;
};

/// Opens the meeting point; it serves whoever has the token until the next such request or the end.
struct ListenRequest {
  int port = 0;  ///< 0: a free one
  std::string token;
  bool operator==(const ListenRequest&) const = default;
};

/// Connects to another host's meeting point.
struct MeetRequest {
  std::string address;
  int port = 0;
  std::string token;
  double patience_s = 1;
  double stream_s = 0;  ///< above 0: sends for that long, to measure
  bool operator==(const MeetRequest&) const = default;
};

using ProbeRequest = std::variant<FactsRequest, ClockRequest, ListenRequest, MeetRequest>;
std::string encode_request(const ProbeRequest& request);
/// Throws ValueError where the line is no request.
ProbeRequest decode_request(std::string_view line);

// Answers. decode_x() throws ValueError where the line is not such an answer.

/// Seconds since 1970.
std::string encode_clock(double unix_s);
double decode_clock(std::string_view line);

struct Listening {
  int port = 0;
  std::string fault = {};  ///< why there is none; empty: there is
  bool operator==(const Listening&) const = default;
};
std::string encode_listening(const Listening& listening);
Listening decode_listening(std::string_view line);

struct Meeting {
  std::string fault = {};      ///< why it was not reached; empty: it was
  std::string interface = {};  ///< over which
  double round_trip_s = 0;     ///< of a few bytes, the median of several
  double bytes_per_s = 0;      ///< received there, where a stream was asked for
  bool operator==(const Meeting&) const = default;
};
std::string encode_meeting(const Meeting& meeting);
Meeting decode_meeting(std::string_view line);

}  // namespace deepspeed::hosts
