#include <unistd.h>

#include "weft/base/census.hpp"
#include "weft/os/fd.hpp"

namespace weft::os {

fd::fd(int number) noexcept : number_(number) {
  if (number_ >= 0) census_add(census_kind::fds, 1);
}

int fd::release() noexcept {
  if (number_ >= 0) census_add(census_kind::fds, -1);
  return std::exchange(number_, -1);
}

void fd::close() noexcept {
  const int number = release();
  if (number >= 0) ::close(number);
}

}  // namespace weft::os
