// Quoting, and splitting of quoted words.
#include "launcher/ssh_command.h"

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr const char* kConnectSeconds = "10";

}  // namespace

// A quote itself goes between two quoted words.
std::string shell_word(const std::string& word) {
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string remote_command(const std::string& agent_path) {
  const std::string path = shell_word(agent_path);
  return concat("test -x ", path, " && exec ", path, " ", kAgentFlag, "; exec deepspeed ", kAgentFlag);
}

std::vector<std::string> ssh_to(const SshOptions& options, const std::string& host, const std::string& remote) {
  std::vector<std::string> command = {options.program, "-T"};
  command.insert(command.end(), options.arguments.begin(), options.arguments.end());
  if (!options.port.empty()) command.insert(command.end(), {"-p", options.port});
  command.insert(command.end(), {"-o", "BatchMode=yes", "-o", concat("ConnectTimeout=", kConnectSeconds)});
  command.insert(command.end(), {"--", host, remote});
  return command;
}

std::vector<std::string> ssh_command(const SshOptions& options, const std::string& host,
                                     const std::string& agent_path) {
  return ssh_to(options, host, remote_command(agent_path));
}

std::vector<std::string> split_words(const std::string& text) {
  std::vector<std::string> words;
  bool in_word = false;
  char quote = '\0';
  size_t quote_at = 0;
  const auto put = [&](char c) {
    if (!in_word) words.emplace_back();
    in_word = true;
    words.back() += c;
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool has_next = i + 1 < text.size();
    if (quote == '\'' && c != '\'') {
      put(c);
    } else if (c == '\\' && has_next && (quote == '\0' || text[i + 1] == '"' || text[i + 1] == '\\')) {
      put(text[++i]);
    } else if (quote == c && quote != '\0') {
      quote = '\0';
    } else if (quote == '\0' && (c == '"' || c == '\'')) {
      quote = c;
      quote_at = i;
      if (!in_word) words.emplace_back();
      in_word = true;
    } else if (quote == '\0' && (c == ' ' || c == '\t' || c == '\n')) {
      in_word = false;
    } else {
      put(c);
    }
  }
  DS_CHECK(quote == '\0', ValueError, "[launcher] --launcher_args ", text, ": the quote at column ", quote_at + 1,
           " does not end.");
  return words;
}

}  // namespace deepspeed::launcher
