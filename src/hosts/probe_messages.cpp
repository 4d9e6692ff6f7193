// JSON, one line each.
#include "hosts/probe_messages.h"

#include <nlohmann/json.hpp>

#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

using nlohmann::json;

constexpr int kLargestPort = 65535;
constexpr double kLongest_s = 60;

std::string to_line(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

template <class Read>
auto from_line(std::string_view line, const char* what, Read&& read) {
  try {
    return read(json::parse(line));
  } catch (const json::exception& error) {
    throw ValueError(concat("[hosts] not ", what, " (", error.what(), ")."));
  }
}

int port_of(const json& value) {
  const int port = value.at("port");
  DS_CHECK(port >= 0 && port <= kLargestPort, ValueError, "[hosts] port: got ", port, ", expected 0 to ", kLargestPort,
           ".");
  return port;
}

std::string token_of(const json& value) {
  std::string token = value.at("token");
  DS_CHECK(token.size() == kTokenBytes, ValueError, "[hosts] a token of ", token.size(), " bytes, expected ",
           kTokenBytes, ".");
  return token;
}

double seconds_of(const json& value, const char* name) {
  const double seconds = value.at(name);
  DS_CHECK(seconds >= 0 && seconds <= kLongest_s, ValueError, "[hosts] ", name, ": got ", seconds, ", expected 0 to ",
           kLongest_s, ".");
  return seconds;
}

struct Encode {
  json operator()(const FactsRequest&) const { return {{"ask", "facts"}}; }
  json operator()(const ClockRequest&) const { return {{"ask", "clock"}}; }
  json operator()(const ListenRequest& one) const {
    return {{"ask", "listen"}, {"port", one.port}, {"token", one.token}};
  }
  json operator()(const MeetRequest& one) const {
    return {{"ask", "meet"},      {"address", one.address},       {"port", one.port},
            {"token", one.token}, {"patience_s", one.patience_s}, {"stream_s", one.stream_s}};
  }
};

ProbeRequest request_from(const json& value) {
  const std::string ask = value.at("ask");
  if (ask == "facts") return FactsRequest{};
  if (ask == "clock") return ClockRequest{};
  if (ask == "listen") return ListenRequest{.port = port_of(value), .token = token_of(value)};
  DS_CHECK(ask == "meet", ValueError, "[hosts] a request for \"", ask, "\", which this probe does not know.");
  return MeetRequest{.address = value.at("address"),
                     .port = port_of(value),
                     .token = token_of(value),
                     .patience_s = seconds_of(value, "patience_s"),
                     .stream_s = seconds_of(value, "stream_s")};
}

}  // namespace

std::string encode_request(const ProbeRequest& request) { return to_line(std::visit(Encode{}, request)); }

ProbeRequest decode_request(std::string_view line) { return from_line(line, "a request", request_from); }

std::string encode_clock(double unix_s) { return to_line({{"unix_s", unix_s}}); }

double decode_clock(std::string_view line) {
  return from_line(line, "a time", [](const json& value) { return value.at("unix_s").get<double>(); });
}

std::string encode_listening(const Listening& one) { return to_line({{"port", one.port}, {"fault", one.fault}}); }

Listening decode_listening(std::string_view line) {
  return from_line(line, "an answer about a port",
                   [](const json& value) { return Listening{.port = port_of(value), .fault = value.at("fault")}; });
}

std::string encode_meeting(const Meeting& one) {
  return to_line({{"fault", one.fault},
                  {"interface", one.interface},
                  {"round_trip_s", one.round_trip_s},
                  {"bytes_per_s", one.bytes_per_s}});
}

Meeting decode_meeting(std::string_view line) {
  return from_line(line, "an answer about a meeting", [](const json& value) {
    return Meeting{.fault = value.at("fault"),
                   .interface = value.at("interface"),
                   .round_trip_s = value.at("round_trip_s"),
                   .bytes_per_s = value.at("bytes_per_s")};
  });
}

}  // namespace deepspeed::hosts
