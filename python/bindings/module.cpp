// The extension module deepspeed._C: a list of what is bound. Translation only; the work is behind include/deepspeed.
#include "bindings/bind.h"

PYBIND11_MODULE(_C, module) {
  module.doc() = "deepspeed-cpp's engine; use it through the deepspeed package.";
  deepspeed::bindings::bind_checkpoint_weights(module);
  deepspeed::bindings::bind_errors(module);
  deepspeed::bindings::bind_front_end(module);
  deepspeed::bindings::bind_memory_estimate(module);
  deepspeed::bindings::bind_pretrained_files(module);
  deepspeed::bindings::bind_script_probe(module);
  deepspeed::bindings::bind_sharded_parameters(module);
  deepspeed::bindings::bind_shared_memory_backend(module);
  deepspeed::bindings::bind_step_alone(module);
  deepspeed::bindings::bind_training_engine(module);
}
