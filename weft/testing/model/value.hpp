// value: what models put into queues that hold values. The checker watches it for data races, and a
// second look at a value that was moved away shows.
#pragma once

#include "weft/base/atomic.hpp"

namespace weft::model {

class value {
 public:
  static constexpr int none = -1;

  explicit value(int number = none) noexcept : number_(number) {}
  value(value&& other) noexcept : number_(other.take()) {}
  value& operator=(value&& other) noexcept {
    number_.set(other.take());
    return *this;
  }
  int number() const noexcept { return number_.get(); }

 private:
  int take() noexcept {
    const int n = number_.get();
    number_.set(none);
    return n;
  }
  plain<int> number_;
};

}  // namespace weft::model
