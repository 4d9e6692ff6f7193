#include "config/checkpoint_config.h"

namespace deepspeed::config {

Fields fields(CheckpointWriterConfig& config) {
  return {
      field("type", config.type).one_of({"MOCK", "PYTHON", "FAST"}),
      field("decoupled", config.decoupled),
      field("io_buffer_size", config.io_buffer_size).at_least(1),
      field("io_buffer_double", config.io_buffer_double),
      field("show_statistics", config.show_statistics),
      field("data_parallel", config.data_parallel).one_of({"replica", "socket", "machine"}),
      field("io_multiplier", config.io_multiplier).at_least(1),
  };
}

Fields fields(ParallelWriteConfig& config) { return {field("pipeline_stage", config.pipeline_stage)}; }

Fields fields(CheckpointConfig& config) {
  return {
      field("tag_validation", config.tag_validation).one_of({"Ignore", "Warn", "Fail"}),
      field("load_universal", config.load_universal),
      field("use_node_local_storage", config.use_node_local_storage),
      section("parallel_write", config.parallel_write),
      field("checkpoint_serialization", config.checkpoint_serialization),
      section("writer", config.writer),
  };
}

Fields fields(AioConfig& config) {
  return {
      field("block_size", config.block_size).at_least(1),
      field("queue_depth", config.queue_depth).at_least(1),
      field("intra_op_parallelism", config.intra_op_parallelism).at_least(1),
      field("single_submit", config.single_submit),
      field("overlap_events", config.overlap_events),
      field("use_gds", config.use_gds),
      field("thread_count", config.thread_count),
  };
}

}  // namespace deepspeed::config
