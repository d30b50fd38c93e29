#include "weft/io/driver.hpp"

#include <cstdlib>

#include "weft/io/probe.hpp"

namespace weft::io {

io_handle& io_handle::operator=(io_handle&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::move(other.fd_);
    home_ = other.home_;
    state_ = std::exchange(other.state_, nullptr);
  }
  return *this;
}

void io_handle::close() noexcept {
  if (!fd_) return;
  home_->detach(std::exchange(state_, nullptr), fd_.get());
  fd_ = os::fd();
}

void io_operation::withdraw() noexcept { at->withdraw(*this); }

const char* io_operation::what() const noexcept {
  switch (code) {
    case io_code::accept:
      return "accept";
    case io_code::connect:
      return "connect";
    case io_code::receive:
    case io_code::receive_lent:
      return "receive";
    case io_code::send:
      return "send";
    case io_code::send_vector:
      return "send";
    case io_code::receive_message:
      return "receive";
    case io_code::send_message:
      return "send";
    case io_code::wait_readable:
      return "wait readable";
    case io_code::wait_writable:
      return "wait writable";
    case io_code::futex_wait:
      return "futex wait";
    case io_code::file:
      return "file";
  }
  return "io";
}

result<std::unique_ptr<driver>> make_driver(driver_kind kind, std::string_view* why) noexcept {
  std::string_view ignored;
  if (why == nullptr) why = &ignored;
  if (kind == driver_kind::automatic) {
    const char* forced = std::getenv("WEFT_DRIVER");
    const std::string_view wish = forced != nullptr ? forced : "";
    if (wish == "epoll") {
      kind = driver_kind::epoll;
    } else if (wish == "io_uring") {
      kind = driver_kind::io_uring;
    } else if (wish == "poll") {
      kind = driver_kind::poll;
    } else if (!wish.empty()) {
      *why = "WEFT_DRIVER is set to what it does not know; it may be io_uring, epoll or poll";
      return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    }
    if (kind != driver_kind::automatic) {
      auto made = make_platform_driver(kind, *why);
      if (made) *why = "forced by WEFT_DRIVER";
      return made;
    }
  }
  return make_platform_driver(kind, *why);
}

}  // namespace weft::io
