// What stands in the frames of a control connection. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launcher/command.h"
#include "launcher/failure_report.h"
#include "launcher/hostfile.h"
#include "launcher/line_sink.h"

namespace deepspeed::launcher {

// JSON values in their binary form (CBOR), since arguments and variables are bytes that need not be UTF-8. Every
// decode_x() throws ValueError where the bytes are not such a message.

/// The agent's facts about its host.
struct Hello {
  std::string version;                      ///< of deepspeed-cpp
  std::string host_name;                    ///< as the host calls itself
  int pid = 0;                              ///< of the agent
  int free_port = 0;                        ///< kept for this launch until the order
  std::vector<std::string> addresses = {};  ///< of its interfaces, without loopback ones
  std::string caller_address = {};          ///< of the launcher's host, as ssh or Slurm knows it; empty: neither
  std::string called_address = {};          ///< of this host, as the launcher reached it
  int num_gpus = 0;                         ///< that ranks here may use; 0 where they are to run on CPUs
};
std::string encode_hello(const Hello& hello);
Hello decode_hello(std::string_view bytes);

/// All that an agent needs to start its ranks.
struct StartOrder {
  std::vector<std::string> arguments = {};  ///< of the `deepspeed` command, as the user gave them
  std::string folder;                       ///< to work in
  Environment environment = {};             ///< on top of the host's own
  std::vector<Host> hosts = {};             ///< of the whole launch
  int host_index = 0;
  std::string master_addr;
  int master_port = 0;
  std::string timestamp;
};
std::string encode_order(const StartOrder& order);
StartOrder decode_order(std::string_view bytes);

std::string encode_failure(const Failure& failure);
Failure decode_failure(std::string_view bytes);

/// One line of a rank, or what it has begun.
struct RankLine {
  LineSource source;
  LineEnd end = LineEnd::kNewline;
  std::string_view text;  ///< of the decoded bytes
};
std::string encode_line(const LineSource& source, const Line& line);
RankLine decode_line(std::string_view bytes);

std::string encode_number(int64_t number);
int64_t decode_number(std::string_view bytes);

}  // namespace deepspeed::launcher
