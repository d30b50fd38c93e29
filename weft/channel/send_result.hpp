// send_result: what became of a value that was to be sent; a refused one comes back in it.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "weft/base/assert.hpp"

namespace weft {

enum class send_status : std::uint8_t {
  sent,    // it is in line, or a receiver has it
  full,    // try_send() only: it would have to wait
  closed,  // nobody will receive it
};

/// What became of a send: true if it was sent, else it has the value.
template <class T>
class [[nodiscard("what was not sent is in it: look, or say static_cast<void>")]] send_result {
 public:
  send_result() noexcept {}  // sent
  send_result(send_status why, T&& refused) noexcept : refused_(std::move(refused)), status_(why) {}

  bool has_value() const noexcept { return status_ == send_status::sent; }
  explicit operator bool() const noexcept { return has_value(); }
  send_status status() const noexcept { return status_; }
  /// The value that was not sent. Only if none was.
  T& refused() & noexcept {
    WEFT_ASSERT(refused_.has_value(), "a send that succeeded has no value to give back");
    return *refused_;
  }
  T&& refused() && noexcept { return std::move(refused()); }

 private:
  std::optional<T> refused_;
  send_status status_ = send_status::sent;
};

}  // namespace weft
