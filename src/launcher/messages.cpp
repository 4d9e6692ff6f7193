// Between structs and bytes.
#include "launcher/messages.h"

#include <nlohmann/json.hpp>

#include <charconv>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

using nlohmann::json;

constexpr size_t kLineHeadBytes = 6;  // rank (4, big end first), channel, end

std::string to_bytes(const json& value) {
  std::string bytes;
  json::to_cbor(value, bytes);
  return bytes;
}

// `read` takes fields out of the value; what it misses or finds of another type is not such a message.
template <class Read>
auto from_bytes(std::string_view bytes, const char* what, Read&& read) {
  try {
    return read(json::from_cbor(bytes.begin(), bytes.end()));
  } catch (const json::exception& error) {
    throw ValueError(concat("[launcher] control connection: not a ", what, " (", error.what(),
                            "). Do all hosts have the same deepspeed?"));
  }
}

json hosts_to_json(const std::vector<Host>& hosts) {
  json list = json::array();
  for (const Host& host : hosts) list.push_back({{"name", host.name}, {"slots", host.slots}});
  return list;
}

std::vector<Host> hosts_from_json(const json& list) {
  std::vector<Host> hosts;
  for (const json& host : list) {
    hosts.push_back({host.at("name").get<std::string>(), host.at("slots").get<std::vector<int>>()});
  }
  return hosts;
}

}  // namespace

std::string encode_hello(const Hello& hello) {
  return to_bytes({{"version", hello.version},
                   {"host_name", hello.host_name},
                   {"pid", hello.pid},
                   {"free_port", hello.free_port},
                   {"addresses", hello.addresses},
                   {"caller_address", hello.caller_address},
                   {"called_address", hello.called_address},
                   {"num_gpus", hello.num_gpus}});
}

Hello decode_hello(std::string_view bytes) {
  return from_bytes(bytes, "hello", [](const json& value) {
    return Hello{.version = value.at("version"),
                 .host_name = value.at("host_name"),
                 .pid = value.at("pid"),
                 .free_port = value.at("free_port"),
                 .addresses = value.at("addresses"),
                 .caller_address = value.at("caller_address"),
                 .called_address = value.at("called_address"),
                 .num_gpus = value.at("num_gpus")};
  });
}

std::string encode_order(const StartOrder& order) {
  return to_bytes({{"arguments", order.arguments},
                   {"folder", order.folder},
                   {"environment", order.environment},
                   {"hosts", hosts_to_json(order.hosts)},
                   {"host_index", order.host_index},
                   {"master_addr", order.master_addr},
                   {"master_port", order.master_port},
                   {"timestamp", order.timestamp}});
}

StartOrder decode_order(std::string_view bytes) {
  auto order = from_bytes(bytes, "start order", [](const json& value) {
    return StartOrder{.arguments = value.at("arguments"),
                      .folder = value.at("folder"),
                      .environment = value.at("environment"),
                      .hosts = hosts_from_json(value.at("hosts")),
                      .host_index = value.at("host_index"),
                      .master_addr = value.at("master_addr"),
                      .master_port = value.at("master_port"),
                      .timestamp = value.at("timestamp")};
  });
  const auto num_hosts = static_cast<int>(order.hosts.size());
  DS_CHECK(order.host_index >= 0 && order.host_index < num_hosts, ValueError,
           "[launcher] control connection: a start order for host ", order.host_index, " of ", num_hosts, ".");
  return order;
}

std::string encode_failure(const Failure& failure) {
  return to_bytes({{"rank", failure.rank},
                   {"local_rank", failure.local_rank},
                   {"world_size", failure.world_size},
                   {"pid", failure.pid},
                   {"command", failure.command},
                   {"wait_status", failure.wait_status},
                   {"ended_by", failure.ended_by},
                   {"lines", failure.lines},
                   {"log_file", failure.log_file}});
}

Failure decode_failure(std::string_view bytes) {
  return from_bytes(bytes, "failure", [](const json& value) {
    return Failure{.rank = value.at("rank"),
                   .local_rank = value.at("local_rank"),
                   .world_size = value.at("world_size"),
                   .host = {},
                   .pid = value.at("pid"),
                   .command = value.at("command"),
                   .wait_status = value.at("wait_status"),
                   .ended_by = value.at("ended_by"),
                   .lines = value.at("lines"),
                   .log_file = value.at("log_file")};
  });
}

std::string encode_line(const LineSource& source, const Line& line) {
  std::string bytes;
  bytes.reserve(kLineHeadBytes + line.text.size());
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>((source.rank >> shift) & 0xFF);
  bytes += static_cast<char>(source.channel);
  bytes += static_cast<char>(line.end);
  bytes += line.text;
  return bytes;
}

RankLine decode_line(std::string_view bytes) {
  DS_CHECK(bytes.size() >= kLineHeadBytes, ValueError, "[launcher] control connection: a line of ", bytes.size(),
           " bytes.");
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  const uint32_t rank = (uint32_t{byte(0)} << 24) | (uint32_t{byte(1)} << 16) | (uint32_t{byte(2)} << 8) | byte(3);
  DS_CHECK(rank < (uint32_t{1} << 31) && byte(4) <= 1 && byte(5) <= static_cast<uint8_t>(LineEnd::kNone), ValueError,
           "[launcher] control connection: a line without a place.");
  return {{static_cast<int>(rank), byte(4)}, static_cast<LineEnd>(byte(5)), bytes.substr(kLineHeadBytes)};
}

std::string encode_number(int64_t number) { return std::to_string(number); }

int64_t decode_number(std::string_view bytes) {
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(bytes.data(), bytes.data() + bytes.size(), number);
  DS_CHECK(error == std::errc() && stop == bytes.data() + bytes.size(), ValueError,
           "[launcher] control connection: got \"", bytes, "\", expected a number.");
  return number;
}

}  // namespace deepspeed::launcher
