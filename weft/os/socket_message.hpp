// socket_message: one datagram, or one piece of a stream with descriptors, as the system takes it:
// its parts, its address and what else travels with it. The drivers hand the header over
// (io_code::receive_message, send_message).
//
//   Lifetimes  a header refers to what it was set with, which outlives the call
//   Errors     values
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"
#include "weft/os/socket.hpp"

namespace weft::os {

/// One part of a message; layout of struct iovec.
struct message_part {
  void* data;
  std::size_t size;
};

/// struct mmsghdr; several in a row are a batch.
struct message_header {
  alignas(8) unsigned char bytes[64];
};

/// Of descriptors in one message. The kernel has a limit of 253.
inline constexpr std::size_t descriptors_max = 64;

/// Room for what travels beside the bytes; the functions that fill it, or say what is expected, give
/// the size in use.
struct descriptors_room {
  alignas(8) unsigned char bytes[16 + descriptors_max * sizeof(int)];
};
struct segment_room {
  alignas(8) unsigned char bytes[24];
};

/// `address` and `control` may be nullptr. To receive, address->size is 0, and what it came to be is
/// what facts_of() says.
void set_message(message_header& header, const message_part* parts, std::size_t count,
                 socket_address* address, void* control, std::size_t control_size) noexcept;

struct message_facts {
  std::uint32_t address_size = 0;
  std::uint32_t bytes = 0;         // of a batch: what this one has. Alone, the call's answer says
  bool truncated = false;          // the rest of the datagram is gone
  bool control_truncated = false;  // descriptors came that there was no room for; they are closed
};
message_facts facts_of(const message_header& header) noexcept;

/// To receive `count` descriptors, up to descriptors_max.
std::size_t expect_descriptors(std::size_t count) noexcept;
/// At most descriptors_max of them.
std::size_t put_descriptors(descriptors_room& control, std::span<const int> numbers) noexcept;
/// Takes the descriptors that came into `into` and closes those that it has no room for. Result:
/// how many came.
std::size_t take_descriptors(const message_header& header, std::span<fd> into) noexcept;

/// The bytes of the message go as datagrams of `size` each, but the last (UDP_SEGMENT).
std::size_t put_segment_size(segment_room& control, std::uint16_t size) noexcept;
std::size_t expect_segment_size() noexcept;
/// What the kernel says of several datagrams that it has put together; 0: it did not.
std::size_t segment_size_of(const message_header& header) noexcept;

/// Bytes of a stream, as many as go without a wait; never raises SIGPIPE. Errors: operation_would_block.
result<std::size_t> send_now(int socket, const void* data, std::size_t size) noexcept;
/// The same of several parts, at most the system's limit (1024) of them.
result<std::size_t> send_now(int socket, std::span<const message_part> parts) noexcept;

/// As many messages as go without a wait: recvmmsg, sendmmsg. Errors: operation_would_block.
result<std::size_t> receive_messages_now(int socket, std::span<message_header> batch) noexcept;
result<std::size_t> send_messages_now(int socket, std::span<message_header> batch) noexcept;

}  // namespace weft::os
