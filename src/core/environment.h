// Every environment variable that the library reads, in one place. docs/environment.md lists the same.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace deepspeed::core {

/// The value, or nothing where the variable is unset or empty.
std::optional<std::string> environment(const char* name);

/// As above as an integer. Throws ValueError with name and value where it is none.
std::optional<int64_t> environment_integer(const char* name);

/// What the launcher tells each rank: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_SIZE, MASTER_ADDR, MASTER_PORT.
struct RankEnvironment {
  int rank = 0;
  int world_size = 1;
  int local_rank = 0;
  int local_size = 1;
  std::string master_addr = "127.0.0.1";
  int master_port = 29500;
};

/// Absent variables mean one process alone. Throws ValueError where RANK is not below WORLD_SIZE.
RankEnvironment rank_environment();

/// DEEPSPEED_TIMEOUT in minutes, default 10: how long a collective may wait.
int64_t collective_timeout_seconds();

/// DEEPSPEED_SHARED_MEMORY, default 1: whether CPU ranks of one host exchange data through memory that they share.
bool uses_shared_memory();

}  // namespace deepspeed::core
