// pipe: bytes from one end to the other, in memory, in order, and no more than fit.
//
//   auto [from, to] = io::pipe(4096);
//   const auto sent = co_await to.write_all(bytes);      // waits while 4096 bytes are in it
//   const auto n = co_await from.read_some(buffer);      // waits while there is none; 0: the end
//
//   Fairness  first come, first served on both sides, where several jobs share an end
//   Threads   any; the ends are on workers of their own. One object is one job's to move or close
//   Errors    writing to an end that nobody reads, or after shutdown_write(): broken_pipe. Reading from
//             an end that one has closed oneself: errc::closed
//   Cancel    a read that is stopped has taken no byte, a write_some has left none; whichever took place
//             is reported. So may a timeout or a select use them (a race of two
//             reads may do both and give one: see race.hpp)
//   Closing   when the writer goes, or by shutdown_write(): the reader gets what is in it, then 0. When
//             the reader goes, or by close(): what is in it is dropped, and who waits to write has an error
//   Cost      what need not wait: a spin lock, held for the copy of at most pipe_piece_max bytes; a reader
//             that waits is given them directly. Nothing is allocated per operation
//   Memory    the capacity, made at once; freed when both ends are gone
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "weft/base/result.hpp"
#include "weft/channel/line.hpp"
#include "weft/io/reader_writer.hpp"

namespace weft::io {

/// Bytes that one read_some() or write_some() of a pipe moves at most: what the other end waits for.
inline constexpr std::size_t pipe_piece_max = std::size_t{16} << 10;

class pipe_reader;
class pipe_writer;
class pipe_ends;

/// At most `capacity` bytes are under way, at least one. Errors: std::bad_alloc.
[[nodiscard]] pipe_ends pipe(std::size_t capacity);

namespace detail {

class pipe_core;

/// A read or a write, of one end.
class pipe_transfer : public weft::detail::line_waiter {
 protected:
  pipe_transfer(pipe_core& core, std::size_t size) noexcept;
  ~pipe_transfer() = default;

  friend class pipe_core;
  pipe_core& core_;
  const std::size_t size_;
  std::size_t moved_ = 0;
  enum class end : std::uint8_t { fine, closed, broken };
  end end_ = end::fine;

  result<std::size_t> outcome() const noexcept;
};

class pipe_reading : public pipe_transfer {
 public:
  bool await_ready() noexcept;
  std::coroutine_handle<> start(promise_base& who) noexcept;
  const char* what() const noexcept override { return "pipe read"; }

 protected:
  pipe_reading(pipe_core& core, std::span<std::byte> to) noexcept
      : pipe_transfer(core, to.size()), to_(to.data()) {}
  ~pipe_reading() = default;

 private:
  friend class pipe_core;
  std::byte* const to_;
};

class pipe_writing : public pipe_transfer {
 public:
  bool await_ready() noexcept;
  std::coroutine_handle<> start(promise_base& who) noexcept;
  const char* what() const noexcept override { return "pipe write"; }

 protected:
  pipe_writing(pipe_core& core, std::span<const std::byte> from) noexcept
      : pipe_transfer(core, from.size()), from_(from.data()) {}
  ~pipe_writing() = default;

 private:
  friend class pipe_core;
  const std::byte* const from_;
};

}  // namespace detail

class [[nodiscard("co_await it")]] pipe_read_operation final
    : public awaitable_operation<pipe_read_operation, detail::pipe_reading> {
 public:
  pipe_read_operation(detail::pipe_core& core, std::span<std::byte> to) noexcept
      : awaitable_operation(core, to) {}
  bool await_ready() noexcept { return detail::pipe_reading::await_ready(); }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> await_resume() noexcept {
    return outcome();
  }
};

class [[nodiscard("co_await it")]] pipe_write_operation final
    : public awaitable_operation<pipe_write_operation, detail::pipe_writing> {
 public:
  pipe_write_operation(detail::pipe_core& core, std::span<const std::byte> from) noexcept
      : awaitable_operation(core, from) {}
  bool await_ready() noexcept { return detail::pipe_writing::await_ready(); }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> await_resume() noexcept {
    return outcome();
  }
};

/// Where the bytes come out. Movable; it closes when it goes. Not while one of its reads is awaited.
class pipe_reader {
 public:
  pipe_reader() noexcept = default;
  pipe_reader(pipe_reader&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  pipe_reader& operator=(pipe_reader&& other) noexcept;
  ~pipe_reader() { release(); }

  /// Result  bytes, at most pipe_piece_max; 0 at the end of the stream, or if `to` is empty
  /// Errors  errc::closed: this end was closed
  /// Cancel  lossless
  [[nodiscard("co_await it")]] pipe_read_operation read_some(std::span<std::byte> to
                                                             WEFT_LIFETIMEBOUND);
  /// See io::read_exact.
  [[nodiscard("co_await it")]] task<result<std::size_t>> read_exact(std::span<std::byte> to) {
    return io::read_exact(*this, to);
  }
  /// Nobody reads any more: writers are told so. Who waits in a read of it gets errc::closed.
  void close() noexcept;
  /// Bytes that a read would find; a moment's truth.
  std::size_t size() const noexcept;
  explicit operator bool() const noexcept { return core_ != nullptr; }

 private:
  friend pipe_ends pipe(std::size_t capacity);
  explicit pipe_reader(detail::pipe_core& core) noexcept : core_(&core) {}
  void release() noexcept;
  detail::pipe_core* core_ = nullptr;
};

/// Where the bytes go in. Movable; the stream ends when it goes. Not while one of its writes is awaited.
class pipe_writer {
 public:
  pipe_writer() noexcept = default;
  pipe_writer(pipe_writer&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  pipe_writer& operator=(pipe_writer&& other) noexcept;
  ~pipe_writer() { release(); }

  /// Result  bytes, at least one (of what is not empty), at most pipe_piece_max
  /// Errors  broken_pipe: nobody reads any more, or shutdown_write() was called
  /// Cancel  lossless
  [[nodiscard("co_await it")]] pipe_write_operation write_some(std::span<const std::byte> from
                                                               WEFT_LIFETIMEBOUND);
  /// See io::write_all.
  [[nodiscard("co_await it")]] task<result<void>> write_all(std::span<const std::byte> from) {
    return io::write_all(*this, from);
  }
  /// The reader gets what is under way, then the end of the stream. Always fine; a second one does nothing.
  result<void> shutdown_write() noexcept;
  explicit operator bool() const noexcept { return core_ != nullptr; }

 private:
  friend pipe_ends pipe(std::size_t capacity);
  explicit pipe_writer(detail::pipe_core& core) noexcept : core_(&core) {}
  void release() noexcept;
  detail::pipe_core* core_ = nullptr;
};

/// `auto [from, to] = io::pipe(...)`.
class pipe_ends {
 public:
  pipe_reader reader;
  pipe_writer writer;
};

}  // namespace weft::io
