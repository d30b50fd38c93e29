// message_operation: awaits that move one message: a datagram with its address, or bytes with
// descriptors.
#pragma once

#include <cstddef>
#include <span>

#include "weft/net/stream_operation.hpp"
#include "weft/os/socket_message.hpp"

namespace weft::net {

/// The owner of a descriptor.
using descriptor = os::fd;
/// That go in one message.
inline constexpr std::size_t descriptors_max = os::descriptors_max;

/// What is known of a datagram that came.
struct datagram {
  std::size_t size = 0;  // bytes in the buffer
  endpoint from;
  bool truncated = false;  // the buffer was too small: the rest is gone
  /// With udp_options::receive_merged several datagrams of one sender may come at once: each has so
  /// many bytes, but the last, which has the rest. Else `size`.
  std::size_t segment_size = 0;
};

class message_operation : public stream_operation {
 protected:
  message_operation(io::io_handle& h, io::io_code c, const void* bytes, std::size_t size) noexcept
      : stream_operation(h, c), part_{const_cast<void*>(bytes), size} {
    buffer = &header_;
    length = 1;
  }
  ~message_operation() = default;

  os::message_part part_;
  os::message_header header_;
};

/// Sends one datagram: to the address given, or to the peer.
class send_message_operation final : public message_operation {
 public:
  send_message_operation(io::io_handle& h, std::span<const std::byte> bytes) noexcept
      : message_operation(h, io::io_code::send_message, bytes.data(), bytes.size()) {
    os::set_message(header_, &part_, 1, nullptr, nullptr, 0);
  }
  send_message_operation(io::io_handle& h, std::span<const std::byte> bytes,
                         const os::socket_address& to) noexcept
      : message_operation(h, io::io_code::send_message, bytes.data(), bytes.size()), to_(to) {
    os::set_message(header_, &part_, 1, &to_, nullptr, 0);
  }
  /// As datagrams of `segment` bytes, to `to` or, if it has no size, to the peer.
  send_message_operation(io::io_handle& h, std::span<const std::byte> bytes,
                         const os::socket_address& to, std::uint16_t segment) noexcept
      : message_operation(h, io::io_code::send_message, bytes.data(), bytes.size()), to_(to) {
    os::set_message(header_, &part_, 1, to.size != 0 ? &to_ : nullptr, control_.bytes,
                    os::put_segment_size(control_, segment));
  }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> await_resume() noexcept { return count(); }

 private:
  os::socket_address to_;
  os::segment_room control_;
};

/// Takes one datagram.
class receive_datagram_operation final : public message_operation {
 public:
  receive_datagram_operation(io::io_handle& h, std::span<std::byte> into) noexcept
      : message_operation(h, io::io_code::receive_message, into.data(), into.size()) {
    from_.size = 0;
    os::set_message(header_, &part_, 1, &from_, control_.bytes, os::expect_segment_size());
  }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<datagram> await_resume() noexcept;

 private:
  os::socket_address from_;
  os::segment_room control_;
};

/// What came with descriptors.
struct message_with_descriptors {
  std::size_t size = 0;         // bytes
  std::size_t descriptors = 0;  // in the span that was given
  bool truncated = false;       // a message, not a stream: the rest of it is gone
  /// More came than there was room for: those are closed.
  bool descriptors_truncated = false;
};

class send_descriptors_operation final : public message_operation {
 public:
  send_descriptors_operation(io::io_handle& h, std::span<const std::byte> bytes,
                             std::span<const int> numbers) noexcept
      : message_operation(h, io::io_code::send_message, bytes.data(), bytes.size()),
        too_many_(numbers.size() > descriptors_max || bytes.empty()) {
    if (too_many_) return;
    os::set_message(header_, &part_, 1, nullptr, control_.bytes,
                    os::put_descriptors(control_, numbers));
  }
  bool await_ready() const noexcept { return too_many_; }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> await_resume() noexcept {
    if (too_many_) return std::unexpected(std::make_error_code(std::errc::invalid_argument));
    return count();
  }

 private:
  const bool too_many_;
  os::descriptors_room control_;
};

class receive_descriptors_operation final : public message_operation {
 public:
  receive_descriptors_operation(io::io_handle& h, std::span<std::byte> bytes,
                                std::span<descriptor> into) noexcept
      : message_operation(h, io::io_code::receive_message, bytes.data(), bytes.size()),
        into_(into) {
    os::set_message(header_, &part_, 1, nullptr, control_.bytes,
                    os::expect_descriptors(into.size()));
  }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<message_with_descriptors> await_resume() noexcept;

 private:
  std::span<descriptor> into_;
  os::descriptors_room control_;
};

}  // namespace weft::net
