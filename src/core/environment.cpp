// Reading the environment.
#include "core/environment.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "deepspeed/error.h"

namespace deepspeed::core {

std::optional<std::string> environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

std::optional<int64_t> environment_integer(const char* name) {
  const auto value = environment(name);
  if (!value) return std::nullopt;
  int64_t number = 0;
  const char* end = value->data() + value->size();
  const auto [stop, error] = std::from_chars(value->data(), end, number);
  DS_CHECK(error == std::errc() && stop == end, ValueError, "[core] environment variable ", name, "=\"", *value,
           "\": expected an integer");
  return number;
}

RankEnvironment rank_environment() {
  RankEnvironment result;
  result.world_size = static_cast<int>(environment_integer("WORLD_SIZE").value_or(1));
  result.rank = static_cast<int>(environment_integer("RANK").value_or(0));
  result.local_rank = static_cast<int>(environment_integer("LOCAL_RANK").value_or(result.rank));
  result.local_size = static_cast<int>(environment_integer("LOCAL_SIZE").value_or(result.world_size));
  result.master_addr = environment("MASTER_ADDR").value_or(result.master_addr);
  result.master_port = static_cast<int>(environment_integer("MASTER_PORT").value_or(result.master_port));
  DS_CHECK(result.world_size >= 1 && result.rank >= 0 && result.rank < result.world_size, ValueError,
           "[core] RANK=", result.rank, " and WORLD_SIZE=", result.world_size,
           " do not fit: expected 0 <= RANK < WORLD_SIZE. Start the program with the `deepspeed` command.");
  return result;
}

int64_t collective_timeout_seconds() { return 60 * environment_integer("DEEPSPEED_TIMEOUT").value_or(10); }

bool uses_shared_memory() { return environment_integer("DEEPSPEED_SHARED_MEMORY").value_or(1) != 0; }

}  // namespace deepspeed::core
