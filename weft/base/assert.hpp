// assert: what we believe, checked in release builds too. The message tells the reader what to do.
//
//   WEFT_ASSERT(condition, "what is wrong and what to do instead")    always on
//   WEFT_CHECK_SLOW(condition, "...")                                 only where NDEBUG is not set
//
//   Threads  any
//   Cost     a predicted branch; the failing side is out of line
#pragma once

#include "weft/base/config.hpp"

namespace weft {

/// Prints "weft: FILE:LINE: MESSAGE (CONDITION)" to stderr and aborts; under the interleaving
/// checker the schedule that led here is reported instead.
[[noreturn]] void assertion_failed(const char* condition, const char* message, const char* file,
                                   int line) noexcept;

}  // namespace weft

#define WEFT_ASSERT(condition, message)          \
  (WEFT_LIKELY(condition) ? static_cast<void>(0) \
                          : ::weft::assertion_failed(#condition, message, __FILE__, __LINE__))

#ifdef NDEBUG
#define WEFT_CHECK_SLOW(condition, message) static_cast<void>(0)
#else
#define WEFT_CHECK_SLOW(condition, message) WEFT_ASSERT(condition, message)
#endif
