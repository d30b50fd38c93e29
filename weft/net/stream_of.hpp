// stream_of: reading and writing a stream of bytes, for every kind of socket that is one. `Self` is
// the kind, `Base` what it has beside (addresses, options).
//
//   Threads    one task reads and one task writes at a time; a stream that is moved or closed has
//              nothing in flight
//   Errors     values; a closed peer is std::errc::broken_pipe or connection_reset, never a signal
//   Cancel     read_some, read_pooled, write_some and the waits: lossless. read_exact and write_all of which a
//              part has happened: see there
//   Lifetimes  the buffer and the stream outlive the await; the kernel has let go of the buffer
//              when the await ends, stopped or not
//   Cost       no allocation, but the stream's own state once
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "weft/net/socket.hpp"
#include "weft/net/split.hpp"
#include "weft/net/stream_operation.hpp"
#include "weft/task/task.hpp"

namespace weft::net {

namespace internal {
task<result<std::size_t>> send_file(io::io_handle& to, int file, std::uint64_t offset,
                                    std::size_t count);
result<std::size_t> try_write(int socket, std::span<const std::byte> from) noexcept;
result<std::size_t> try_write(int socket, std::span<const io::io_part> parts) noexcept;
}  // namespace internal

template <class Self, class Base>
class stream_of : public Base {
 public:
  /// Waits until there are bytes and takes what is there, up to the size of `to`.
  ///
  /// Result  bytes; 0 at the end of the stream (or if `to` is empty)
  /// Cancel  lossless: the bytes stay in the socket
  [[nodiscard("co_await it")]] transfer_operation read_some(std::span<std::byte> to
                                                            WEFT_LIFETIMEBOUND) {
    return transfer_operation(handle(), io::io_code::receive, to.data(), to.size(), false);
  }
  /// Waits until there are bytes and gives what is there, up to io::lent_bytes_max, in a buffer that is
  /// lent for as long as the result lives. A connection that waits here holds no buffer.
  ///
  /// Result  the bytes; empty at the end of the stream
  /// Errors  not_enough_memory: no buffer was to be had; the bytes stay in the socket
  /// Cancel  lossless: the bytes stay in the socket
  [[nodiscard("co_await it")]] pooled_read_operation read_pooled() {
    return pooled_read_operation(handle());
  }
  /// Fills `to`.
  ///
  /// Result  to.size(); less if the stream ended before, or if a stop came after some bytes
  /// Cancel  no byte is lost: with none read yet it ends as stopped; with some it returns how many,
  ///         and the job ends at its next await
  [[nodiscard("co_await it")]] transfer_operation read_exact(std::span<std::byte> to
                                                             WEFT_LIFETIMEBOUND) {
    return transfer_operation(handle(), io::io_code::receive, to.data(), to.size(), true);
  }
  /// Hands over as much as the socket takes, at least one byte.
  ///
  /// Result  bytes
  /// Cancel  lossless: nothing was sent
  [[nodiscard("co_await it")]] transfer_operation write_some(std::span<const std::byte> from
                                                             WEFT_LIFETIMEBOUND) {
    return transfer_operation(handle(), io::io_code::send, from.data(), from.size(), false);
  }
  /// Hands over all of it.
  ///
  /// Errors  operation_canceled: a stop came after some bytes, so the stream is cut in the middle
  ///         of a message and good for nothing but to be closed
  /// Cancel  with nothing sent yet it ends as stopped
  [[nodiscard("co_await it")]] write_all_operation write_all(std::span<const std::byte> from
                                                             WEFT_LIFETIMEBOUND) {
    return write_all_operation(handle(), from);
  }
  /// The same for several buffers, without copying them together first.
  [[nodiscard("co_await it")]] write_all_operation write_all(std::span<const io::io_part> parts
                                                             WEFT_LIFETIMEBOUND) {
    return write_all_operation(handle(), parts);
  }
  /// Hands over what the socket takes at once: an await less where it takes all. Of several buffers, up to
  /// 64 at a time.
  ///
  /// Result  bytes, at least one (unless `from` is empty)
  /// Errors  operation_would_block: none, and a write would wait
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> try_write(
      std::span<const std::byte> from) noexcept {
    return internal::try_write(this->native(), from);
  }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> try_write(
      std::span<const io::io_part> parts) noexcept {
    return internal::try_write(this->native(), parts);
  }
  /// Whether a write that is awaited begins with the call that try_write() makes, which then saves the
  /// rest of the await. Not on io_uring: many writes are one call there, and one of its own costs more.
  [[nodiscard]] bool writes_by_trying() const noexcept {
    return this->handle_.state() != nullptr;  // who tries has to keep beside it what waits
  }
  /// Until a read, or a write, would not block.
  [[nodiscard("co_await it")]] wait_operation wait_readable() {
    return wait_operation(handle(), io::io_code::wait_readable);
  }
  [[nodiscard("co_await it")]] wait_operation wait_writable() {
    return wait_operation(handle(), io::io_code::wait_writable);
  }

  /// Sends `count` bytes of an open file, from the page cache, without a copy in the process. The
  /// worker waits for the disk where the cache is cold.
  ///
  /// Result  bytes sent: less than `count` if the file ended before
  /// Cancel  as write_all, but between pieces: what was sent is sent
  task<result<std::size_t>> send_file(int file, std::uint64_t offset, std::size_t count) {
    return internal::send_file(handle(), file, offset, count);
  }

  /// The peer sees the end of the stream; reading goes on.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> shutdown_write() noexcept {
    return os::shutdown(this->native(), os::shutdown_side::send);
  }
  /// The end of both directions: what waits on the stream ends at once, as if the peer had ended it, and
  /// so does all that is begun later. Threads: any, while the stream stays open.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> shutdown_both() noexcept {
    return os::shutdown(this->native(), os::shutdown_side::both);
  }

  /// One half to read and one to write: borrowed, or, from an rvalue, owned: see split.hpp.
  [[nodiscard]] borrowed_halves<Self> split() & noexcept WEFT_LIFETIMEBOUND {
    Self& self = static_cast<Self&>(*this);
    return {read_half<Self>(self), write_half<Self>(self)};
  }
  [[nodiscard]] owned_halves<Self> split() && {
    auto whole = std::make_shared<Self>(std::move(static_cast<Self&>(*this)));
    return {owned_read_half<Self>(whole), owned_write_half<Self>(whole)};
  }

 protected:
  stream_of() noexcept = default;
  explicit stream_of(io::io_handle handle) noexcept : Base(std::move(handle)) {}

 private:
  io::io_handle& handle() noexcept { return this->handle_; }
};

}  // namespace weft::net
