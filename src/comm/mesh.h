// Topology: ranks form a grid of named axes. Call sites take their axis's communicator and know no global rank.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "comm/communicator.h"

namespace deepspeed::comm {

/// Owns one communicator an axis. Axes today: "data"; others join without a change to call sites.
class Mesh {
 public:
  /// A mesh with one axis, "data".
  explicit Mesh(std::unique_ptr<Communicator> data);

  void add_axis(std::string name, std::unique_ptr<Communicator> communicator);

  /// Throws ValueError that lists the axes where there is none of that name.
  Communicator& axis(std::string_view name) const;

 private:
  std::map<std::string, std::unique_ptr<Communicator>, std::less<>> axes_;
};

}  // namespace deepspeed::comm
