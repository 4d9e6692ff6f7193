// The kernel's count of processes that it killed for want of memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace deepspeed::launcher {

/// Where the count was read, and the count.
struct OomKills {
  std::string source;  ///< "cgroup", or "host" where only the whole host's count can be read
  int64_t count = 0;
};

/// The number after `key` in text of lines "key number"; nothing where it is not there.
std::optional<int64_t> read_counter(std::string_view text, std::string_view key);

/// Of this process's memory cgroup (version 2 or 1), else of the host; nothing where neither can be read.
/// `root` is "/" but in tests.
std::optional<OomKills> read_oom_kills(const std::filesystem::path& root);

/// Size of /dev/shm in bytes, 0 where there is none.
int64_t shared_memory_bytes();

}  // namespace deepspeed::launcher
