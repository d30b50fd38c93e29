// error: errno as a value.
#pragma once

#include <system_error>

namespace weft::os {

/// Comparable with std::errc, e.g. == std::errc::address_in_use.
std::error_code from_errno(int number) noexcept;
std::error_code last_error() noexcept;

}  // namespace weft::os
