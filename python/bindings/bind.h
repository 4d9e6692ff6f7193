// One function a file of bindings. torch's own copy of pybind11: another copy's casters fail at run time.
#pragma once

#include <torch/csrc/utils/pybind.h>

namespace deepspeed::bindings {

void bind_checkpoint_weights(pybind11::module_& module);
void bind_errors(pybind11::module_& module);
void bind_front_end(pybind11::module_& module);
void bind_memory_estimate(pybind11::module_& module);
void bind_pretrained_files(pybind11::module_& module);
void bind_script_probe(pybind11::module_& module);
void bind_sharded_parameters(pybind11::module_& module);
void bind_shared_memory_backend(pybind11::module_& module);
void bind_step_alone(pybind11::module_& module);
void bind_training_engine(pybind11::module_& module);

}  // namespace deepspeed::bindings
