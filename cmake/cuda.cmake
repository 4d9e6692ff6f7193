# nvcc, where there is one: DS_HAS_NVCC, and ds_cuda_object(out file.cu [flags]) compiles one torch-free CUDA file to an
# object.
# A custom command rather than the CUDA language, so that machines without a toolkit need nothing at all.
find_program(DS_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda/bin PATH_SUFFIXES bin)
set(DS_CUDA_ARCHITECTURES "80;90" CACHE STRING "GPU architectures of our CUDA kernels, as numbers")
if(DS_NVCC)
  set(DS_HAS_NVCC ON)
  get_filename_component(cuda_folder "${DS_NVCC}" REALPATH)
  get_filename_component(cuda_folder "${cuda_folder}/../.." ABSOLUTE)
  find_library(DS_CUDART_STATIC cudart_static HINTS "${cuda_folder}" PATHS /usr/local/cuda
               PATH_SUFFIXES lib64 lib targets/x86_64-linux/lib targets/sbsa-linux/lib)
  if(NOT DS_CUDART_STATIC)
    set(DS_HAS_NVCC OFF)
    message(STATUS "CUDA kernels skipped: ${DS_NVCC} has no libcudart_static.a beside it")
  endif()
else()
  set(DS_HAS_NVCC OFF)
  message(STATUS "CUDA kernels skipped: no nvcc found")
endif()

function(ds_cuda_object out source)
  get_filename_component(name "${source}" NAME)
  set(object "${CMAKE_CURRENT_BINARY_DIR}/${name}.o")
  set(architectures "")
  foreach(architecture IN LISTS DS_CUDA_ARCHITECTURES)
    list(APPEND architectures "-gencode=arch=compute_${architecture},code=sm_${architecture}")
  endforeach()
  list(GET DS_CUDA_ARCHITECTURES -1 newest)  # later GPUs compile this one themselves
  list(APPEND architectures "-gencode=arch=compute_${newest},code=compute_${newest}")
  add_custom_command(OUTPUT "${object}"
    COMMAND "${DS_NVCC}" -std=c++20 -O2 ${ARGN} ${architectures} -Xcompiler=-fPIC,-fvisibility=hidden -MMD -MF "${object}.d"
            -I "${CMAKE_SOURCE_DIR}/include" -I "${CMAKE_SOURCE_DIR}/src" -c "${CMAKE_CURRENT_SOURCE_DIR}/${source}" -o "${object}"
    DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${source}" DEPFILE "${object}.d" COMMENT "nvcc ${name}" VERBATIM)
  set(${out} "${object}" PARENT_SCOPE)
endfunction()
