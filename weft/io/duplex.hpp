// duplex: two ends in memory that are connected with each other, each a stream in both directions: what a
// socket is to a program, without a system. For tests of protocols, and for parts of a program that talk.
//
//   auto [client, server] = io::duplex(4096);            // that many bytes under way, each way
//   const auto sent = co_await client.write_all(hello);
//   const auto n = co_await server.read_some(buffer);
//
// Threads, errors, stops and costs are those of two pipes: pipe.hpp. What an end does when it is closed is
// what a socket's does: the peer reads what is under way and then the end, and its writes fail.
#pragma once

#include <cstddef>
#include <span>
#include <utility>

#include "weft/io/pipe.hpp"

namespace weft::io {

class duplex_stream {
 public:
  duplex_stream() noexcept = default;
  duplex_stream(pipe_reader from, pipe_writer to) noexcept
      : from_(std::move(from)), to_(std::move(to)) {}

  /// See pipe_reader::read_some().
  [[nodiscard("co_await it")]] pipe_read_operation read_some(std::span<std::byte> to
                                                             WEFT_LIFETIMEBOUND) {
    return from_.read_some(to);
  }
  /// See io::read_exact.
  [[nodiscard("co_await it")]] task<result<std::size_t>> read_exact(std::span<std::byte> to) {
    return io::read_exact(from_, to);
  }
  /// See pipe_writer::write_some().
  [[nodiscard("co_await it")]] pipe_write_operation write_some(std::span<const std::byte> from
                                                               WEFT_LIFETIMEBOUND) {
    return to_.write_some(from);
  }
  /// See io::write_all.
  [[nodiscard("co_await it")]] task<result<void>> write_all(std::span<const std::byte> from) {
    return io::write_all(to_, from);
  }
  /// The peer sees the end of the stream; reading goes on.
  result<void> shutdown_write() noexcept { return to_.shutdown_write(); }
  /// Both directions. Afterwards there is nothing to be done with it.
  void close() noexcept {
    from_ = pipe_reader();
    to_ = pipe_writer();
  }
  /// Bytes that a read would find; a moment's truth.
  std::size_t size() const noexcept { return from_.size(); }
  /// Its two directions, for two jobs that each own one.
  pipe_ends split() && noexcept { return pipe_ends{std::move(from_), std::move(to_)}; }
  explicit operator bool() const noexcept { return static_cast<bool>(from_); }

 private:
  pipe_reader from_;
  pipe_writer to_;
};

/// `auto [a, b] = io::duplex(...)`.
class duplex_ends {
 public:
  duplex_stream first;
  duplex_stream second;
};

/// Each way at most `capacity` bytes are under way, at least one. Errors: std::bad_alloc.
[[nodiscard]] inline duplex_ends duplex(std::size_t capacity) {
  pipe_ends there = pipe(capacity);
  pipe_ends back = pipe(capacity);
  return duplex_ends{duplex_stream(std::move(back.reader), std::move(there.writer)),
                     duplex_stream(std::move(there.reader), std::move(back.writer))};
}

}  // namespace weft::io
