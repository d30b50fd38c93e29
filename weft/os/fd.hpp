// fd: an owned file descriptor.
#pragma once

#include <utility>

namespace weft::os {

class fd {
 public:
  fd() noexcept = default;
  /// Takes over `number`; a negative one is nothing.
  explicit fd(int number) noexcept;
  fd(fd&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  fd& operator=(fd&& other) noexcept {
    if (this != &other) {
      close();
      number_ = std::exchange(other.number_, -1);
    }
    return *this;
  }
  ~fd() { close(); }

  int get() const noexcept { return number_; }
  explicit operator bool() const noexcept { return number_ >= 0; }
  /// Gives the number away; nobody closes it any more.
  int release() noexcept;
  /// Never retried: on Linux the number is free even if close was interrupted.
  void close() noexcept;

 private:
  int number_ = -1;
};

}  // namespace weft::os
