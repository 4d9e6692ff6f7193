// What a front end knows that collectives do not: whether the program sits in a collective of another library
// (torch.distributed's), and at which line of the script a thread is. With it a rank that waits for ranks which will
// never come says where those are.
#pragma once

#include <functional>
#include <string>

#include <c10/util/intrusive_ptr.h>

#include "deepspeed/export.h"

namespace c10d {
class ProcessGroup;
}

namespace deepspeed::detail {

/// Where a thread of the script is.
struct ScriptPlace {
  std::string call;  ///< the library's collective that it is in, which is over the whole world; empty: in none
  int root = -1;     ///< the rank whose values that collective brings; -1: it waits for everyone
  std::string line;  ///< "train.py:57"; empty: unknown
};

struct ScriptProbe {
  /// The library's group of all ranks, whose sequence number counts its collectives. Not kept alive.
  c10::intrusive_ptr<c10d::ProcessGroup> world;
  /// The place of the thread that sets the probe. Called on another thread, and only while that one sleeps; may take a
  /// lock that a sleeping thread does not hold.
  std::function<ScriptPlace()> look;
  /// Asked on a thread that is about to wait in a collective of ours: whether look() may be called meanwhile.
  bool (*may_look)() = nullptr;
};

/// Replaces an earlier one. All ranks of `world` set theirs; it does not wait for them.
DS_API void set_script_probe(ScriptProbe probe);

/// For the end of the program: once it returns, look() is not called any more, and nothing more is logged (unless a
/// store does not answer within a second). Waits are not watched from then on. Idempotent; C++ programs need not call
/// it.
DS_API void stop_wait_watch();

}  // namespace deepspeed::detail
