// error: the operating system's error numbers as std::error_code.
//
//   Result  compares with std::errc: `r.error() == std::errc::address_in_use`. Where a call would
//           have to wait it is std::errc::operation_would_block
#pragma once

#include <system_error>

namespace weft::os {

/// The code of an errno value; no error for 0.
std::error_code from_errno(int number) noexcept;

/// The code of the calling thread's errno.
std::error_code last_error() noexcept;

}  // namespace weft::os
