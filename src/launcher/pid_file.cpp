// Writing and removing the file.
#include "launcher/pid_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "core/descriptor.h"
#include "deepspeed/error.h"

namespace deepspeed::launcher {

PidFile::PidFile() : path_(concat("/tmp/", ::getpid(), ".deepspeed")) {
  const core::Descriptor file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  DS_CHECK(file, ValueError, "[launcher] --save_pid: ", path_.string(), ": ", std::strerror(errno),
           ". A launch that was killed may have left it; remove it.");
  const std::string text = std::to_string(::getpid());
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    throw IoError("[launcher] --save_pid: writing " + path_.string(), path_.string(), errno);
  }
}

PidFile::~PidFile() { ::unlink(path_.c_str()); }

}  // namespace deepspeed::launcher
