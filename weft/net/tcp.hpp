// tcp: streams of bytes between two endpoints, and the listener that takes them in.
//
//   auto listener = net::tcp_listener::bind(*net::endpoint::parse("0.0.0.0:8080"));
//   auto stream = co_await listener->accept();
//   const auto n = co_await stream->read_some(buffer);
//
//   Threads    one task reads and one task writes at a time; a stream that is moved or closed has
//              nothing in flight. Made and used inside of jobs: I/O needs a runtime
//   Errors     values; a closed peer is std::errc::broken_pipe or connection_reset, never a signal
//   Cancel     accept, connect, read_some, write_some and the waits: lossless. read_exact and
//              write_all of which a part has happened: see there
//   Lifetimes  the buffer and the stream outlive the await; the kernel has let go of the buffer
//              when the await ends, stopped or not
//   Cost       no allocation, but the stream's own state once; TCP_NODELAY is on, as what is
//              written here is written whole
#pragma once

#include <cstddef>
#include <span>

#include "weft/net/address.hpp"
#include "weft/runtime/io_request.hpp"
#include "weft/task/task.hpp"

namespace weft::net {

class tcp_stream;

/// What the awaits of this file have in common: one operation on one descriptor.
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
};

class accept_operation final : public stream_operation {
 public:
  explicit accept_operation(io::io_handle& h) noexcept : stream_operation(h, io::io_code::accept) {}
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<tcp_stream> await_resume() noexcept;
};

class connect_operation final : public stream_operation {
 public:
  connect_operation(io::io_handle& h, const endpoint& to) noexcept
      : stream_operation(h, io::io_code::connect), to_(to_system(to)) {
    address = &to_;
  }
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

class tcp_stream {
 public:
  tcp_stream() noexcept = default;
  explicit tcp_stream(io::io_handle handle) noexcept : handle_(std::move(handle)) {}

  /// Connects to an address. Cancel: lossless, the half-made connection is dropped.
  static task<result<tcp_stream>> connect(endpoint to);

  /// Waits until there are bytes and takes what is there, up to the size of `to`.
  ///
  /// Result  bytes; 0 at the end of the stream (or if `to` is empty)
  /// Cancel  lossless: the bytes stay in the socket
  [[nodiscard("co_await it")]] transfer_operation read_some(std::span<std::byte> to
                                                            WEFT_LIFETIMEBOUND) {
    return transfer_operation(handle_, io::io_code::receive, to.data(), to.size(), false);
  }
  /// Fills `to`.
  ///
  /// Result  to.size(); less if the stream ended before, or if a stop came after some bytes
  /// Cancel  no byte is lost: with none read yet it ends as stopped; with some it returns how many,
  ///         and the job ends at its next await
  [[nodiscard("co_await it")]] transfer_operation read_exact(std::span<std::byte> to
                                                             WEFT_LIFETIMEBOUND) {
    return transfer_operation(handle_, io::io_code::receive, to.data(), to.size(), true);
  }
  /// Hands over as much as the socket takes, at least one byte.
  ///
  /// Result  bytes
  /// Cancel  lossless: nothing was sent
  [[nodiscard("co_await it")]] transfer_operation write_some(std::span<const std::byte> from
                                                             WEFT_LIFETIMEBOUND) {
    return transfer_operation(handle_, io::io_code::send, from.data(), from.size(), false);
  }
  /// Hands over all of it.
  ///
  /// Errors  operation_canceled: a stop came after some bytes, so the stream is cut in the middle
  ///         of a message and good for nothing but to be closed
  /// Cancel  with nothing sent yet it ends as stopped
  [[nodiscard("co_await it")]] write_all_operation write_all(std::span<const std::byte> from
                                                             WEFT_LIFETIMEBOUND) {
    return write_all_operation(handle_, from);
  }
  /// The same for several buffers, without copying them together first.
  [[nodiscard("co_await it")]] write_all_operation write_all(std::span<const io::io_part> parts
                                                             WEFT_LIFETIMEBOUND) {
    return write_all_operation(handle_, parts);
  }
  /// Until a read, or a write, would not block.
  [[nodiscard("co_await it")]] wait_operation wait_readable() {
    return wait_operation(handle_, io::io_code::wait_readable);
  }
  [[nodiscard("co_await it")]] wait_operation wait_writable() {
    return wait_operation(handle_, io::io_code::wait_writable);
  }

  /// Sends `count` bytes of an open file, from the page cache, without a copy in the process. The
  /// worker waits for the disk where the cache is cold.
  ///
  /// Result  bytes sent: less than `count` if the file ended before
  /// Cancel  as write_all, but between pieces: what was sent is sent
  task<result<std::size_t>> send_file(int file, std::uint64_t offset, std::size_t count);

  /// The peer sees the end of the stream; reading goes on.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> shutdown_write() noexcept;
  /// Off: small writes are gathered by the kernel (Nagle).
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_no_delay(bool on) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> set_keep_alive(bool on) noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<endpoint> local_endpoint() const noexcept;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<endpoint> peer_endpoint() const noexcept;

  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
  /// The system's number for it, -1 when closed. For options that have no name here.
  int native() const noexcept { return handle_.fd(); }
  void close() noexcept { handle_.close(); }

 private:
  io::io_handle handle_;
};

/// How a listener is made; an aggregate that is trivially copyable, safe in a co_await on GCC 12.
struct listen_options {
  int backlog = 1024;  // connections that wait to be accepted; the kernel has a limit of its own
  bool reuse_port = false;  // several listeners share the port, the kernel spreads connections
};

class tcp_listener {
 public:
  tcp_listener() noexcept = default;

  /// Listens; port 0 takes a free one (see local_endpoint()). Errors: address_in_use,
  /// permission_denied.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<tcp_listener> bind(
      endpoint where, listen_options options = {}) noexcept;

  /// Waits for a connection.
  ///
  /// Errors  too_many_files_open and its like, at which one should wait a little before trying
  ///         again (serve() does). A connection that dies while it waits is passed over.
  /// Cancel  lossless: the connection stays in the queue
  [[nodiscard("co_await it")]] accept_operation accept() { return accept_operation(handle_); }

  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<endpoint> local_endpoint() const noexcept;
  explicit operator bool() const noexcept { return static_cast<bool>(handle_); }
  int native() const noexcept { return handle_.fd(); }
  void close() noexcept { handle_.close(); }

 private:
  explicit tcp_listener(io::io_handle handle) noexcept : handle_(std::move(handle)) {}
  io::io_handle handle_;
};

}  // namespace weft::net
