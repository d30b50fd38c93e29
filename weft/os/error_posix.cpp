#include <cerrno>

#include "weft/os/error.hpp"

namespace weft::os {

std::error_code from_errno(int number) noexcept {
  return std::error_code(number, std::system_category());
}
std::error_code last_error() noexcept { return from_errno(errno); }

}  // namespace weft::os
