// The process's world: the one piece of process-wide state, behind init_distributed().
#include "deepspeed/distributed.h"

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <memory>
#include <mutex>

#include "comm/factory.h"
#include "comm/rendezvous.h"
#include "core/log.h"
#include "deepspeed/error.h"

namespace deepspeed {
namespace {

constexpr comm::Tag kTag{.step = 0, .phase = comm::Phase::kUser, .unit = -1, .name = "the program"};

struct World {
  std::mutex mutex;
  bool initialized = false;
  core::RankEnvironment ranks;
  std::unique_ptr<comm::Communicator> communicator;
  int next_group = 0;
};

World& world() {
  static World instance;
  return instance;
}

}  // namespace

void init_distributed() {
  const std::lock_guard lock(world().mutex);
  if (world().initialized) return;
  world().ranks = core::rank_environment();
  if (world().ranks.world_size > 1) core::set_log_rank(world().ranks.rank);
  world().communicator = comm::make_communicator(comm::make_process_group(world().ranks, "world", at::kCPU), at::kCPU);
  world().initialized = true;
}

bool is_initialized() { return world().initialized; }
int rank() { return world().initialized ? world().ranks.rank : 0; }
int world_size() { return world().initialized ? world().ranks.world_size : 1; }
int local_rank() { return world().initialized ? world().ranks.local_rank : 0; }

void barrier() {
  if (world().initialized) world().communicator->barrier(kTag);
}

double sum_over_ranks(double value) {
  if (!world().initialized) return value;
  const at::Tensor sum = at::full({1}, value, at::kDouble);
  world().communicator->all_reduce(sum, 1.0, kTag).wait();
  return sum.item<double>();
}

namespace detail {

c10::intrusive_ptr<c10d::ProcessGroup> new_process_group() {
  if (world_size() == 1) return {};
  return comm::make_process_group(world().ranks, concat("engine", world().next_group++), at::kCPU);
}

}  // namespace detail
}  // namespace deepspeed
