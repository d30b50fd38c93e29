#include <unistd.h>

#include <cerrno>

#include "weft/os/error.hpp"
#include "weft/os/fd.hpp"

namespace weft::os {

std::error_code fd::close() noexcept {
  const int number = release();
  if (number < 0 || ::close(number) == 0 || errno == EINTR) return {};
  return last_error();
}

}  // namespace weft::os
