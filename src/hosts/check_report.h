// What ds_check says. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "hosts/findings.h"
#include "hosts/network_advice.h"
#include "hosts/pair_streams.h"

namespace deepspeed::hosts {

struct CheckReport {
  Check check;
  std::vector<Finding> findings;
  bool has_speeds = false;             ///< --bandwidth
  std::vector<PairSpeed> speeds = {};  ///< of the pairs that could be measured; hosts by their place in the check
  std::optional<NetworkAdvice> advice = {};
};

/// Tables for people, and all findings.
std::string check_text(const CheckReport& report);
std::string check_json(const CheckReport& report);

}  // namespace deepspeed::hosts
