// table: which calls are refused with which errors, and what may come of it.
#pragma once

#include <span>
#include <string_view>

#include "intercept.hpp"
#include "weft/runtime/options.hpp"

namespace weft::faults {

/// What a refusal may end in, besides "nobody noticed" and "an error that somebody was given".
enum class worst : unsigned char {
  error,    // those two only
  message,  // abort() after a line on stderr that says what to do: a promise of the system was broken
};

struct fault {
  const char* call;
  int number;
  const char* error_name;
  int error;
  worst at_worst = worst::error;
  bool (*applies)(const call_seen&) = nullptr;
  bool not_on_epoll = false;  // what the kernel would never say, and edge-triggered epoll relies on
};
std::span<const fault> faults();

}  // namespace weft::faults
