// Building a module without paying for random weights that pretrained ones replace.
//
//   std::shared_ptr<GPTImpl> model;
//   {
//     const deepspeed::SkipInit skip;  // weights get shapes; their memory is not touched
//     model = std::make_shared<GPTImpl>(options);
//   }
//   auto engine = deepspeed::initialize(model, "ds_config.json");
//   engine->load_pretrained("SmolLM2-135M");
#pragma once

#include <memory>

#include "deepspeed/export.h"

namespace deepspeed {

/// While it lives, this thread writes no random numbers: not by uniform_, normal_ and kin, which torch::nn's modules
/// initialize weights with, nor by randn and rand. Such tensors hold anything. Constants are written as always, so that
/// norms are right. Memory that nobody wrote takes no room: at stage 3 a rank then needs its shards and one
/// unit, however large the module. Scopes may nest; leave them in reverse order, on the same thread.
class DS_API SkipInit {
 public:
  SkipInit();
  ~SkipInit();
  SkipInit(const SkipInit&) = delete;
  SkipInit& operator=(const SkipInit&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace deepspeed
