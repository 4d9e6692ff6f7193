// From a plan of reads to tensors, for whole tensors and for parts of sharded ones alike.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "checkpoint/pretrained_files.h"
#include "zero/parameter_part.h"

namespace deepspeed::engine {

/// Elements `range` of the tensor `name` of `shape` are to come from `key`. With a master the values go there in
/// float32 first, and are the master's rounded.
struct PretrainedDestination {
  std::string name;
  std::string key;
  std::vector<int64_t> shape;
  checkpoint::Range range;
  at::Tensor values;  ///< range.numel() elements of any shape, written in place
  at::Tensor master;  ///< as many, 1-D; may be undefined
};

PretrainedDestination whole_destination(std::string name, std::string key, const at::Tensor& tensor);
PretrainedDestination part_destination(std::string name, std::string key, at::IntArrayRef shape,
                                       const zero::ParameterPart& part);

/// Reads in the order in which the files lie. Beside the destinations it needs one chunk, or one destination where that
/// is not in host memory. Throws CheckpointError, before the first read where that is possible.
void fill(checkpoint::PretrainedFiles& files, const std::vector<PretrainedDestination>& destinations);

}  // namespace deepspeed::engine
