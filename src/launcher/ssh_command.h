// How an agent is reached on another host: one `ssh` with a fixed command behind it. Pure.
#pragma once

#include <string>
#include <vector>

namespace deepspeed::launcher {

/// The only argument that makes `deepspeed` an agent; see agent.h.
inline constexpr const char* kAgentFlag = "--host_agent";

struct SshOptions {
  std::string program = "ssh";
  std::string port;                    ///< empty: ssh's own choice
  std::vector<std::string> arguments;  ///< of --launcher_args, before ours: for ssh the first of two counts
};

/// `word` in single quotes, where nothing in it means anything to sh, bash, zsh, dash or fish.
std::string shell_word(const std::string& word);

/// What the login shell there gets: the agent at the same path as here, else the one on its PATH. The path is quoted
/// for any shell; all else about the launch goes through the connection.
std::string remote_command(const std::string& agent_path);

/// ssh with `remote` for the login shell of `host`, which stands after --, so that it is never taken for a flag. ssh
/// never asks for a password: there may be a hundred.
std::vector<std::string> ssh_to(const SshOptions& options, const std::string& host, const std::string& remote);

/// To the agent there.
std::vector<std::string> ssh_command(const SshOptions& options, const std::string& host, const std::string& agent_path);

/// Cuts the text of --launcher_args into words as a shell would, with its quotes and backslashes but nothing else of
/// it. Throws ValueError, with the column, for a quote that does not end.
std::vector<std::string> split_words(const std::string& text);

}  // namespace deepspeed::launcher
