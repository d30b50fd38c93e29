// buffered_writer: gathers small writes into large ones.
//
//   io::buffered_writer out(stream);                       // borrows the stream
//   const auto wrote = co_await out.write_all(head);       // waits only if the buffer is full
//   const auto sent = co_await out.flush();                // now the stream has all of it
//
//   Order    the stream gets the bytes in the order in which they were taken
//   Errors   those of the stream. What it did not take stays in pending()
//   Cancel   what was taken and not handed to the stream stays in pending(), and flush() goes on exactly
//            there: no byte is lost, or sent twice. A flush() that was stopped may have handed over a part.
//            A write_some() that was stopped has taken nothing; of a write_all() that was cut off
//            (operation_canceled) taken() says how much was taken
//   The end  what is pending when it goes away is dropped: flush() first
//   Threads  one job at a time
//   Cost     a call: a pooled frame; try_write(): a copy and nothing else
//   Memory   the capacity, made at once
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "weft/base/assert.hpp"
#include "weft/io/buffered_reader.hpp"
#include "weft/io/reader_writer.hpp"

namespace weft::io {

template <async_writer W>
class buffered_writer {
 public:
  explicit buffered_writer(W& to WEFT_LIFETIMEBOUND, std::size_t capacity = buffer_default)
      : to_(to),
        capacity_(capacity),
        bytes_(std::make_unique_for_overwrite<std::byte[]>(capacity)) {
    WEFT_ASSERT(capacity != 0, "a buffered_writer needs a buffer");
  }

  /// Taken, and not handed to the stream yet.
  std::span<const std::byte> pending() const noexcept {
    return std::span<const std::byte>(bytes_.get() + begin_, end_ - begin_);
  }
  /// Bytes taken since the beginning, pending or handed over.
  std::uint64_t taken() const noexcept { return taken_; }
  std::size_t capacity() const noexcept { return capacity_; }
  /// Bytes that are taken without a wait.
  std::size_t room() const noexcept { return capacity_ - (end_ - begin_); }

  /// Takes all of it, if there is room, else nothing.
  [[nodiscard]] bool try_write(std::span<const std::byte> from) noexcept {
    if (from.size() > room()) return false;
    static_cast<void>(keep(from));
    return true;
  }
  /// Takes as much as there is room for, at least a byte: if there is none, the stream is first handed a part
  /// of what is pending. Result: bytes.
  task<result<std::size_t>> write_some(std::span<const std::byte> from) {
    if (from.empty()) co_return std::size_t{0};
    if (begin_ == end_ && from.size() >= capacity_) {  // past the buffer
      const result<std::size_t> n = co_await to_.write_some(from);
      if (n) taken_ += *n;
      co_return n;
    }
    if (room() == 0) {
      const result<std::size_t> n = co_await hand_over();
      if (!n) co_return n;
    }
    co_return keep(from);
  }
  /// See io::write_all.
  task<result<void>> write_all(std::span<const std::byte> from) {
    return io::write_all(*this, from);
  }
  /// Until the stream has all that is pending.
  task<result<void>> flush() {
    while (begin_ != end_) {
      const result<std::size_t> n = co_await hand_over();
      if (!n) co_return std::unexpected(n.error());
    }
    co_return result<void>();
  }
  /// flush(), and then the stream's own.
  task<result<void>> shutdown_write()
    requires half_closable<W>
  {
    const result<void> flushed = co_await flush();
    if (!flushed) co_return flushed;
    const result<void> done = co_await shut_down(to_);
    co_return done;
  }

 private:
  task<result<std::size_t>> hand_over() {
    const result<std::size_t> n = detail::some_of(co_await to_.write_some(pending()));
    if (n) begin_ += *n;
    co_return n;
  }
  std::size_t keep(std::span<const std::byte> from) noexcept {
    const std::size_t n = std::min(from.size(), room());
    if (n == 0) return 0;
    if (n > capacity_ - end_) {
      std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    std::memcpy(bytes_.get() + end_, from.data(), n);
    end_ += n;
    taken_ += n;
    return n;
  }

  W& to_;
  const std::size_t capacity_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t taken_ = 0;
  const std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace weft::io
