# Everything that a builder may choose, with its default.
option(DS_BUILD_TESTS "Build the C++ tests" OFF)
option(DS_BUILD_PYTHON "Build the Python extension and lay out the package" ON)
option(DS_BUILD_TORCH_PARTS "Build the parts that need LibTorch (off: launcher, config, io, kernels, plan only)" ON)
option(DS_WARNINGS_AS_ERRORS "Treat compiler warnings as errors" OFF)
option(DS_BUILD_FUZZERS "Build the libFuzzer programs of tests/fuzz (clang only; others skip them)" OFF)
set(DS_SANITIZE "" CACHE STRING "Sanitizer list for -fsanitize=, e.g. address,undefined or thread")
set(DS_DEPS_DIR "${CMAKE_SOURCE_DIR}/.deps" CACHE PATH "Where scripts/setup put third-party headers and libraries")

# All parts, lowest layer first; a shorter list configures faster while one part is worked on.
set(DS_ONLY_PARTS "" CACHE STRING "The parts to build, with those that they use; empty: all")
set(DS_PART_LIST core config monitor kernels io plan transport tensor comm precision optim checkpoint zero engine launcher hosts)
if(DS_ONLY_PARTS)
  set(DS_PART_LIST ${DS_ONLY_PARTS})
endif()
