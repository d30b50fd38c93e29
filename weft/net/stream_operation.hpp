// stream_operation: what the awaits of sockets have in common: one operation on one descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "weft/io/lent_bytes.hpp"
#include "weft/net/address.hpp"
#include "weft/os/fd.hpp"
#include "weft/runtime/io_request.hpp"

namespace weft::net {

class stream_operation : public io::request {
 protected:
  stream_operation(io::io_handle& h, io::io_code c) noexcept {
    handle = &h;
    code = c;
  }
  ~stream_operation() = default;
  /// The kernel's answer as a count or an error.
  result<std::size_t> count() const noexcept;
  result<void> success() const noexcept;
  static std::error_code error_of(std::int64_t answer) noexcept;
};

/// Takes a connection; S is made of its handle.
template <class S>
class accept_operation final : public stream_operation {
 public:
  explicit accept_operation(io::io_handle& h) noexcept : stream_operation(h, io::io_code::accept) {}
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<S> await_resume() noexcept {
    if (answer < 0) return std::unexpected(error_of(answer));
    auto attached = current_driver().attach(os::fd(static_cast<int>(answer)));
    if (!attached) return std::unexpected(attached.error());
    return S(std::move(*attached));
  }
};

class connect_operation final : public stream_operation {
 public:
  connect_operation(io::io_handle& h, const os::socket_address& to) noexcept
      : stream_operation(h, io::io_code::connect), to_(to) {
    address = &to_;
  }
  connect_operation(io::io_handle& h, const endpoint& to) noexcept
      : connect_operation(h, to_system(to)) {}
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> await_resume() noexcept { return success(); }

 private:
  os::socket_address to_;
};

class wait_operation final : public stream_operation {
 public:
  wait_operation(io::io_handle& h, io::io_code c) noexcept : stream_operation(h, c) {}
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> await_resume() noexcept { return success(); }
};

/// Moves up to all of a buffer, or all of it.
class transfer_operation final : public stream_operation {
 public:
  transfer_operation(io::io_handle& h, io::io_code c, const void* bytes, std::size_t size,
                     bool all) noexcept
      : stream_operation(h, c) {
    buffer = const_cast<void*>(bytes);  // io_code::send only reads it
    length = size;
    whole = all;
  }
  bool await_ready() const noexcept { return length == 0; }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> await_resume() noexcept { return count(); }
};

/// Waits without a buffer, and is given one with what came.
class pooled_read_operation final : public stream_operation {
 public:
  explicit pooled_read_operation(io::io_handle& h) noexcept
      : stream_operation(h, io::io_code::receive_lent) {}
  ~pooled_read_operation() { static_cast<void>(take_lent()); }  // nobody asked for the result
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<io::lent_bytes> await_resume() noexcept {
    if (answer < 0) return std::unexpected(error_of(answer));
    return take_lent();
  }
};

/// Writes all of one buffer, or of several one after the other.
class write_all_operation final : public stream_operation {
 public:
  write_all_operation(io::io_handle& h, std::span<const std::byte> bytes) noexcept
      : stream_operation(h, io::io_code::send) {
    buffer = const_cast<std::byte*>(bytes.data());
    length = bytes.size();
    whole = true;
  }
  write_all_operation(io::io_handle& h, std::span<const io::io_part> list) noexcept
      : stream_operation(h, io::io_code::send_vector) {
    parts = list.data();
    part_count = static_cast<std::uint32_t>(list.size());
    whole = true;
  }
  bool await_ready() const noexcept { return length == 0 && part_count == 0; }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> await_resume() noexcept { return success(); }
};

}  // namespace weft::net
