// fd: the owner of a descriptor.
//
//   Threads  one owner
//   Census   each open one counts as census_kind::fds
#pragma once

#include <system_error>

#include "weft/base/census.hpp"

namespace weft::os {

class fd {
 public:
  fd() noexcept = default;
  /// Takes over `number`; a negative one is no descriptor.
  explicit fd(int number) noexcept : number_(number) {
    if (number_ >= 0) census_add(census_kind::fds, 1);
  }
  fd(fd&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  fd& operator=(fd&& other) noexcept {
    if (this != &other) {
      close();
      number_ = other.number_;
      other.number_ = -1;
    }
    return *this;
  }
  fd(const fd&) = delete;
  fd& operator=(const fd&) = delete;
  ~fd() { close(); }

  explicit operator bool() const noexcept { return number_ >= 0; }
  /// -1 when there is none.
  int get() const noexcept { return number_; }
  /// Gives the descriptor out of care.
  [[nodiscard]] int release() noexcept {
    if (number_ >= 0) census_add(census_kind::fds, -1);
    const int number = number_;
    number_ = -1;
    return number;
  }
  /// Closes it, if there is one; afterwards there is none, whatever the result. The result is for
  /// who has written to a file. Never tried twice: after EINTR the descriptor is gone already, and
  /// its number may be somebody else's by now.
  std::error_code close() noexcept;

 private:
  int number_ = -1;
};

}  // namespace weft::os
