// A table of communicators.
#include "comm/mesh.h"

#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::comm {

Mesh::Mesh(std::unique_ptr<Communicator> data) { add_axis("data", std::move(data)); }

void Mesh::add_axis(std::string name, std::unique_ptr<Communicator> communicator) {
  const auto [axis, added] = axes_.try_emplace(std::move(name), std::move(communicator));
  DS_CHECK(added, ValueError, "[comm.mesh] axis \"", axis->first, "\" exists already");
}

Communicator& Mesh::axis(std::string_view name) const {
  const auto found = axes_.find(name);
  if (found != axes_.end()) return *found->second;
  std::string known;
  for (const auto& [axis, communicator] : axes_) known += (known.empty() ? "" : ", ") + axis;
  throw ValueError(concat("[comm.mesh] no axis \"", name, "\"; there are: ", known));
}

}  // namespace deepspeed::comm
