# Third-party libraries, as scripts/setup laid them out in .deps/ (headers in include/, libraries in lib/).
if(NOT EXISTS "${DS_DEPS_DIR}/include/nlohmann/json.hpp")
  message(FATAL_ERROR "No third-party headers in ${DS_DEPS_DIR}. Run `make setup` (or scripts/setup) first, or pass -DDS_DEPS_DIR.")
endif()

add_library(ds_deps INTERFACE)
target_include_directories(ds_deps SYSTEM INTERFACE "${DS_DEPS_DIR}/include")

find_package(Threads REQUIRED)

# Highway's run-time dispatch lives in a small shared library, which is installed beside ours.
add_library(ds_highway INTERFACE)
target_link_libraries(ds_highway INTERFACE ds_deps "${DS_DEPS_DIR}/lib/libhwy.so")

add_library(ds_gtest INTERFACE)
target_link_libraries(ds_gtest INTERFACE ds_deps "${DS_DEPS_DIR}/lib/libgtest.a" "${DS_DEPS_DIR}/lib/libgmock.a" Threads::Threads)
