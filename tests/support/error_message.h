// What an error says, for tests that look at the words.
#pragma once

#include <string>

#include "deepspeed/error.h"

namespace deepspeed::test {

/// The message of the `Failure` that `action` throws; "no error" where it throws nothing. Others go on.
template <class Failure = Error, class Action>
std::string message_of(const Action& action) {
  try {
    action();
  } catch (const Failure& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace deepspeed::test
