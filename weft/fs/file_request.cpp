#include "weft/fs/file_request.hpp"

#include "weft/os/error.hpp"

namespace weft::fs::detail {

std::coroutine_handle<> file_request::start(promise_base& waiter) noexcept {
  if (on_ring::driver_does_file(call_.code)) {
    way_ = way::ring;
    ring_.calls_file(call_, call_.length);
    ring_.whole = whole_;
    return ring_.start(waiter);
  }
  way_ = way::pool;
  pool_.call = &call_;
  pool_.whole = whole_;
  return pool_.start(waiter);
}

void file_request::on_pool::perform() noexcept {
  answer = os::blocking_file_call(*call, whole, moved);
}

void file_request::on_pool::refuse(std::exception_ptr) noexcept {
  answer = -static_cast<std::int64_t>(std::errc::resource_unavailable_try_again);
}

result<std::size_t> file_request::count() const noexcept {
  const std::int64_t n = answer();
  if (n >= 0) return static_cast<std::size_t>(n);
  if (interrupted()) return moved();
  return std::unexpected(os::from_errno(static_cast<int>(-n)));
}

result<void> file_request::success() const noexcept {
  const std::int64_t n = answer();
  if (n >= 0) return {};
  if (interrupted()) return std::unexpected(std::make_error_code(std::errc::operation_canceled));
  return std::unexpected(os::from_errno(static_cast<int>(-n)));
}

}  // namespace weft::fs::detail
