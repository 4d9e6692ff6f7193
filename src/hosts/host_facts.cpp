// Between the struct and JSON.
#include "hosts/host_facts.h"

#include <nlohmann/json.hpp>

#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

using nlohmann::json;

json kernels_to_json(const BuiltKernels& kernels) {
  return {{"simd", kernels.simd}, {"simd_used", kernels.simd_used}, {"cuda_optimizers", kernels.cuda_optimizers}};
}

BuiltKernels kernels_from_json(const json& value) {
  return {.simd = value.at("simd"),
          .simd_used = value.at("simd_used"),
          .cuda_optimizers = value.at("cuda_optimizers").get<bool>()};
}

HostFacts from_json(const json& value) {
  return {.version = value.at("version"),
          .host_name = value.at("host_name"),
          .boot_id = value.at("boot_id"),
          .kernel = value.at("kernel"),
          .cpu = value.at("cpu"),
          .num_sockets = value.at("num_sockets"),
          .num_cores = value.at("num_cores"),
          .gpus = value.at("gpus"),
          .driver = value.at("driver"),
          .memory_bytes = value.at("memory_bytes"),
          .memory_free_bytes = value.at("memory_free_bytes"),
          .shared_memory_bytes = value.at("shared_memory_bytes"),
          .shared_memory_free_bytes = value.at("shared_memory_free_bytes"),
          .io_uring_fault = value.at("io_uring_fault"),
          .kernels = kernels_from_json(value.at("kernels")),
          .python = launcher::decode_versions(value.at("python").dump()),
          .addresses = value.at("addresses"),
          .ssh_client_address = value.at("ssh_client_address"),
          .ssh_server_address = value.at("ssh_server_address")};
}

}  // namespace

std::string HostFacts::version_of(const std::string& what) const {
  const auto found = python.versions.find(what);
  return found == python.versions.end() ? "" : found->second;
}

std::string encode_facts(const HostFacts& facts) {
  const json value = {{"version", facts.version},
                      {"host_name", facts.host_name},
                      {"boot_id", facts.boot_id},
                      {"kernel", facts.kernel},
                      {"cpu", facts.cpu},
                      {"num_sockets", facts.num_sockets},
                      {"num_cores", facts.num_cores},
                      {"gpus", facts.gpus},
                      {"driver", facts.driver},
                      {"memory_bytes", facts.memory_bytes},
                      {"memory_free_bytes", facts.memory_free_bytes},
                      {"shared_memory_bytes", facts.shared_memory_bytes},
                      {"shared_memory_free_bytes", facts.shared_memory_free_bytes},
                      {"io_uring_fault", facts.io_uring_fault},
                      {"kernels", kernels_to_json(facts.kernels)},
                      {"python", json::parse(launcher::encode_versions(facts.python))},
                      {"addresses", facts.addresses},
                      {"ssh_client_address", facts.ssh_client_address},
                      {"ssh_server_address", facts.ssh_server_address}};
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

HostFacts decode_facts(std::string_view text) {
  try {
    return from_json(json::parse(text));
  } catch (const json::exception& error) {
    throw ValueError(concat("[hosts] not the facts of a host (", error.what(), ")."));
  }
}

}  // namespace deepspeed::hosts
