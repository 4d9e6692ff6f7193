// Words for ssh.
#include "hosts/probe_targets.h"

#include <filesystem>

#include "deepspeed/error.h"
#include "hosts/probe_messages.h"

namespace deepspeed::hosts {

std::string remote_probe(const std::string& path) {
  const std::string word = launcher::shell_word(path);
  return concat("test -x ", word, " && exec ", word, " ", kProbeFlag, "; exec ", kProbeProgram, " ", kProbeFlag);
}

std::vector<ProbeTarget> probe_targets(const ToolCall& call, const SshFlags& flags,
                                       const std::vector<launcher::Host>& hosts) {
  const launcher::SshOptions ssh = ssh_options(flags, call.environment);
  const std::string path = std::filesystem::path(folder_of_program(call)) / kProbeProgram;
  std::vector<ProbeTarget> targets;
  for (const launcher::Host& host : hosts) {
    targets.push_back({host.name, launcher::ssh_to(ssh, host.name, remote_probe(path))});
  }
  return targets;
}

}  // namespace deepspeed::hosts
