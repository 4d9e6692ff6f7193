# LibTorch: of the Python interpreter in use (the environment's wheel), unless CMAKE_PREFIX_PATH names another.
# We link the libraries by hand: the wheel's own CMake package looks for CUDA, MKL and protobuf that we do not need.
if(NOT DS_BUILD_TORCH_PARTS)
  return()
endif()

set(Python_FIND_VIRTUALENV FIRST)
find_package(Python 3.10 REQUIRED COMPONENTS Interpreter Development.Module)
if(NOT DS_TORCH_DIR)
  execute_process(COMMAND "${Python_EXECUTABLE}" -c "import importlib.util as u; print(u.find_spec('torch').submodule_search_locations[0])"
                  OUTPUT_VARIABLE DS_TORCH_DIR OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed ERROR_QUIET)
  if(failed)
    message(FATAL_ERROR "${Python_EXECUTABLE} has no torch. Run `make setup`, or pass -DDS_TORCH_DIR=/path/to/site-packages/torch.")
  endif()
endif()
set(DS_TORCH_DIR "${DS_TORCH_DIR}" CACHE PATH "The torch folder (with include/ and lib/)")
file(READ "${DS_TORCH_DIR}/version.py" version_text)
string(REGEX MATCH "__version__ = '([0-9]+)\\.([0-9]+)[^']*'" _ "${version_text}")
set(DS_TORCH_VERSION "${CMAKE_MATCH_1}.${CMAKE_MATCH_2}")
if(DS_TORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "torch ${DS_TORCH_VERSION} in ${DS_TORCH_DIR} is too old: 2.11 to 2.13 are supported.")
endif()
message(STATUS "LibTorch ${DS_TORCH_VERSION}: ${DS_TORCH_DIR}")

add_library(ds_torch INTERFACE)
target_include_directories(ds_torch SYSTEM INTERFACE "${DS_TORCH_DIR}/include" "${DS_TORCH_DIR}/include/torch/csrc/api/include")
target_compile_definitions(ds_torch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
target_link_libraries(ds_torch INTERFACE "${DS_TORCH_DIR}/lib/libtorch.so" "${DS_TORCH_DIR}/lib/libtorch_cpu.so" "${DS_TORCH_DIR}/lib/libc10.so")
if(EXISTS "${DS_TORCH_DIR}/lib/libtorch_cuda.so")
  set(DS_TORCH_HAS_CUDA ON)
  target_link_libraries(ds_torch INTERFACE "${DS_TORCH_DIR}/lib/libtorch_cuda.so" "${DS_TORCH_DIR}/lib/libc10_cuda.so")
else()
  set(DS_TORCH_HAS_CUDA OFF)
endif()
target_link_options(ds_torch INTERFACE "LINKER:-rpath,${DS_TORCH_DIR}/lib")

# One precompiled header for every part that sees torch (STYLE: 10 s a file without it).
file(WRITE "${CMAKE_BINARY_DIR}/torch_pch.cpp" "// Holds the precompiled header.\n")
add_library(ds_torch_pch OBJECT "${CMAKE_BINARY_DIR}/torch_pch.cpp")
target_link_libraries(ds_torch_pch PRIVATE ds_compiler ds_torch ds_deps)
target_precompile_headers(ds_torch_pch PRIVATE <ATen/ATen.h> <torch/csrc/autograd/function.h> <torch/csrc/distributed/c10d/ProcessGroup.hpp>
                          <map> <memory> <string> <vector> <functional>)
target_compile_options(ds_torch_pch PRIVATE -fpch-preprocess)
