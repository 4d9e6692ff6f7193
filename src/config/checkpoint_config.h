// What is written and how: sections checkpoint and aio (the engine for NVMe files).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/field.h"

namespace deepspeed::config {

struct CheckpointWriterConfig {
  std::string type = "FAST";          ///< mock, python or fast
  bool decoupled = false;             ///< write behind the training steps
  int64_t io_buffer_size = 64 << 20;  ///< bytes
  bool io_buffer_double = true;
  bool show_statistics = false;
  std::optional<std::string> data_parallel;  ///< replica, socket or machine
  int64_t io_multiplier = 1;
};

struct ParallelWriteConfig {
  bool pipeline_stage = false;  ///< spread layer files over data-parallel ranks
};

struct CheckpointConfig {
  std::string tag_validation = "Warn";  ///< Ignore, Warn or Fail where ranks disagree on the tag
  bool load_universal = false;
  bool use_node_local_storage = false;  ///< every node writes to a disk of its own
  ParallelWriteConfig parallel_write;
  bool checkpoint_serialization = true;  ///< DeepSpeed's torch zip format
  std::optional<CheckpointWriterConfig> writer;
};

struct AioConfig {
  int64_t block_size = 1 << 20;      ///< bytes of one request
  int64_t queue_depth = 8;           ///< requests in flight
  int64_t intra_op_parallelism = 1;  ///< threads that share one read or write
  bool single_submit = false;
  bool overlap_events = true;
  bool use_gds = false;                 ///< GPU Direct Storage
  std::optional<int64_t> thread_count;  ///< deprecated, without effect: intra_op_parallelism
};

Fields fields(CheckpointWriterConfig& config);
Fields fields(ParallelWriteConfig& config);
Fields fields(CheckpointConfig& config);
Fields fields(AioConfig& config);

}  // namespace deepspeed::config
