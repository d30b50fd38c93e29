// buffered_reader: a reader with memory of its own, so that what comes in pieces can be read in lines,
// frames, and numbers of bytes.
//
//   io::buffered_reader in(stream);                           // borrows the stream
//   for (;;) {
//     const auto line = co_await in.read_line();
//     if (!line || !*line) break;                              // an error; or the end
//     use(**line);                                             // until the next call of `in`
//   }
//
//   Views    what read_line() and the like give lies in the buffer: valid until the next call that is not
//            const. Nothing is copied
//   Limits   the capacity, and what a call asks for besides. A line or frame that is over the limit is
//            errc::too_large, and nothing of it is used up: it is still in the buffer, for read_some() or
//            consume(), and the next read_line() finds the same
//   Errors   those of the stream; what was read before is still in the buffer (but for read_exact())
//   Cancel   lossless: bytes are used up when a call gives them, and at no other time. What came before the
//            stop is in the buffer, the rest in the stream. (read_exact() says itself what it does)
//   Threads  one job at a time
//   Cost     a call: a pooled frame, and where something is there, no wait
//   Memory   the capacity, made at once
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "weft/base/assert.hpp"
#include "weft/io/codec.hpp"
#include "weft/io/lines.hpp"
#include "weft/io/reader_writer.hpp"

namespace weft::io {

/// Bytes, of buffered_reader, buffered_writer and copy().
inline constexpr std::size_t buffer_default = std::size_t{8} << 10;

template <async_reader R>
class buffered_reader {
 public:
  explicit buffered_reader(R& from WEFT_LIFETIMEBOUND, std::size_t capacity = buffer_default)
      : from_(from),
        capacity_(capacity),
        bytes_(std::make_unique_for_overwrite<std::byte[]>(capacity + 1)) {
    WEFT_ASSERT(capacity != 0, "a buffered_reader needs a buffer");
  }

  /// What was read and not used.
  std::span<const std::byte> buffered() const noexcept {
    return std::span<const std::byte>(bytes_.get() + begin_, end_ - begin_);
  }
  /// Uses up the first `n` of it.
  void consume(std::size_t n) noexcept {
    WEFT_ASSERT(n <= end_ - begin_, "more than is buffered cannot be used up");
    begin_ += n;
  }
  std::size_t capacity() const noexcept { return capacity_; }
  /// The stream has said that no more comes.
  bool ended() const noexcept { return ended_; }

  /// Reads once, behind what is there. Result: bytes; 0 at the end. Errors: errc::too_large: it is full.
  task<result<std::size_t>> fill() {
    if (ended_) co_return std::size_t{0};
    if (end_ - begin_ >= capacity_) co_return std::unexpected(make_error_code(errc::too_large));
    if (begin_ == end_ || end_ >= capacity_) move_to_front();
    const result<std::size_t> n =
        co_await from_.read_some(std::span<std::byte>(bytes_.get() + end_, capacity_ - end_));
    if (!n) co_return n;
    end_ += *n;
    ended_ = *n == 0;
    co_return n;
  }
  /// At least `n` bytes, or all there are up to the end of the stream; nothing is used up.
  /// Errors: errc::too_large: `n` is more than the capacity.
  task<result<std::span<const std::byte>>> peek(std::size_t n) {
    if (n > capacity_) co_return std::unexpected(make_error_code(errc::too_large));
    while (end_ - begin_ < n && !ended_) {
      const result<std::size_t> more = co_await fill();
      if (!more) co_return std::unexpected(more.error());
    }
    co_return buffered();
  }

  /// Result  bytes; 0 at the end of the stream, or if `to` is empty
  task<result<std::size_t>> read_some(std::span<std::byte> to) {
    if (begin_ == end_ && !to.empty()) {
      if (to.size() >= capacity_ && !ended_) {  // past the buffer
        const result<std::size_t> n = co_await from_.read_some(to);
        if (n) ended_ = *n == 0;
        co_return n;
      }
      const result<std::size_t> n = co_await fill();
      if (!n || *n == 0) co_return n;
    }
    co_return take(to);
  }
  /// See io::read_exact: with some bytes in `to` a stop gives how many; an error of the stream does not, and
  /// they are in `to`.
  task<result<std::size_t>> read_exact(std::span<std::byte> to) {
    return io::read_exact(*this, to);
  }
  /// The next line without its end; std::nullopt: the end of the stream. See lines.hpp.
  task<result<std::optional<std::string_view>>> read_line(
      std::size_t limit = lines::limit_default) {
    const result<std::optional<std::span<const std::byte>>> got = co_await read_frame(lines(limit));
    if (!got) co_return std::unexpected(got.error());
    if (!*got) co_return std::nullopt;
    co_return std::string_view(reinterpret_cast<const char*>((*got)->data()), (*got)->size());
  }
  /// The bytes up to a delimiter, with it, at most `limit`; what stands behind the last one; std::nullopt:
  /// the end of the stream.
  task<result<std::optional<std::span<const std::byte>>>> read_until(
      std::byte delimiter, std::size_t limit = buffer_default) {
    return read_frame(until(delimiter, limit));
  }
  /// The payload of the next frame; std::nullopt: the end of the stream.
  ///
  /// Errors  the codec's; errc::too_large: the frame, with what stands around it, is larger than the capacity
  template <frame_decoder C>
  task<result<std::optional<std::span<const std::byte>>>> read_frame(C codec) {
    std::size_t seen = 0;
    for (;;) {
      const result<std::optional<frame>> got = codec.decode(buffered(), seen, ended_);
      if (!got) co_return std::unexpected(got.error());
      if (*got) {
        const std::span<const std::byte> payload = buffered().subspan((*got)->begin, (*got)->size);
        consume((*got)->used);
        co_return payload;
      }
      if (ended_) co_return std::nullopt;
      seen = end_ - begin_;
      const bool is_full = seen == capacity_;
      const result<std::size_t> more = is_full ? co_await fill_spare() : co_await fill();
      if (!more) co_return std::unexpected(more.error());
    }
  }

 private:
  void move_to_front() noexcept {
    std::memmove(bytes_.get(), bytes_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  /// It is full. Whether the stream ends here, as a last frame that fills it needs to know; or what is
  /// too large for it.
  task<result<std::size_t>> fill_spare() {
    move_to_front();
    const result<std::size_t> n =
        co_await from_.read_some(std::span<std::byte>(bytes_.get() + end_, 1));
    if (!n) co_return n;
    end_ += *n;
    ended_ = *n == 0;
    co_return n;
  }
  std::size_t take(std::span<std::byte> to) noexcept {
    const std::size_t n = std::min(to.size(), end_ - begin_);
    if (n != 0) std::memcpy(to.data(), bytes_.get() + begin_, n);
    begin_ += n;
    return n;
  }

  R& from_;
  const std::size_t capacity_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool ended_ = false;
  const std::unique_ptr<std::byte[]> bytes_;  // one more than the capacity: see fill_spare()
};

}  // namespace weft::io
