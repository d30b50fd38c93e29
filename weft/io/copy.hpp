// copy: all that one stream gives goes into another.
//
//   const auto n = co_await io::copy(from, to);                   // until the end of `from`
//   const auto n = co_await io::copy(from, to, 1 << 20);          // at most so many bytes
//
//   Result   bytes
//   Errors   the first, of either; the other stream is as it was then
//   Cancel   from a buffered_reader: lossless: what was not written is still in its buffer, or in the stream.
//            From another reader: what has been read and not written yet goes with the copy, at most
//            buffer_default bytes. Where that matters, put a buffered_reader of your own in front
//   Limits   at most `limit` bytes are taken from `from`, and it does not look for an end behind them
//   Memory   of a plain reader: a buffer of buffer_default bytes. The writer's own pace is the copy's
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>

#include "weft/io/buffered_reader.hpp"

namespace weft::io {

inline constexpr std::uint64_t copy_all = std::numeric_limits<std::uint64_t>::max();

namespace detail {

// Both count in `copied` as they go, which outlives an error.
template <async_reader R, async_writer W>
task<result<void>> copy_counted(buffered_reader<R>& from, W& to, std::uint64_t limit,
                                std::uint64_t& copied) {
  while (copied < limit) {
    if (from.buffered().empty()) {
      const result<std::size_t> n = co_await from.fill();
      if (!n) co_return std::unexpected(n.error());
      if (*n == 0) break;
    }
    const auto most =
        static_cast<std::size_t>(std::min<std::uint64_t>(limit - copied, from.buffered().size()));
    const result<std::size_t> n = some_of(co_await to.write_some(from.buffered().first(most)));
    if (!n) co_return std::unexpected(n.error());
    from.consume(*n);
    copied += *n;
  }
  co_return result<void>();
}
template <async_reader R, async_writer W>
task<result<void>> copy_counted(R& from, W& to, std::uint64_t limit, std::uint64_t& copied) {
  const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(limit, buffer_default));
  const auto bytes = std::make_unique_for_overwrite<std::byte[]>(size);
  while (copied < limit) {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(limit - copied, size));
    const result<std::size_t> got =
        co_await from.read_some(std::span<std::byte>(bytes.get(), most));
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) break;
    std::span<const std::byte> rest(bytes.get(), *got);
    while (!rest.empty()) {
      const result<std::size_t> n = some_of(co_await to.write_some(rest));
      if (!n) co_return std::unexpected(n.error());
      rest = rest.subspan(*n);
      copied += *n;
    }
  }
  co_return result<void>();
}

}  // namespace detail

/// See the top of the file.
template <async_reader R, async_writer W>
task<result<std::uint64_t>> copy(R& from, W& to, std::uint64_t limit = copy_all) {
  std::uint64_t copied = 0;
  const result<void> done = co_await detail::copy_counted(from, to, limit, copied);
  if (!done) co_return std::unexpected(done.error());
  co_return copied;
}

}  // namespace weft::io
