// reader_writer: what a stream of bytes is to the functions of this folder: something with read_some(),
// something with write_some(). net::tcp_stream, both ends of io::duplex, and what a program has of its own.
//
//   Reader   read_some(to) gives what is there, at least a byte; 0 at the end of the stream, or if `to` is
//            empty. A read that was stopped has taken nothing
//   Writer   write_some(from) takes at least a byte of what is not empty. A write that was stopped has
//            taken nothing
//   Result   result<std::size_t>, of an awaitable of any type
//   Threads  one job reads and one job writes at a time
#pragma once

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include "weft/base/result.hpp"
#include "weft/task/awaiter.hpp"
#include "weft/task/task.hpp"
#include "weft/together/catch_stop.hpp"

namespace weft::io {

template <class R>
concept async_reader = requires(R& r, std::span<std::byte> to) {
  requires std::is_same_v<await_result_t<decltype(r.read_some(to))>, result<std::size_t>>;
};

template <class W>
concept async_writer = requires(W& w, std::span<const std::byte> from) {
  requires std::is_same_v<await_result_t<decltype(w.write_some(from))>, result<std::size_t>>;
};

/// A writer that can say that no more comes, by a function that gives result<void>, or by an awaitable of it.
template <class W>
concept half_closable = async_writer<W> && (requires(W& w) {
  requires std::is_same_v<decltype(w.shutdown_write()), result<void>>;
} || requires(W& w) {
  requires std::is_same_v<await_result_t<decltype(w.shutdown_write())>, result<void>>;
});

/// Both directions: what a proxy needs.
template <class S>
concept async_stream = async_reader<S> && half_closable<S>;

namespace detail {
/// What a writer gave for bytes that were not empty. One that takes none of them, and says that that is fine,
/// would be asked for ever.
inline result<std::size_t> some_of(result<std::size_t> n) noexcept {
  if (n && *n == 0) return std::unexpected(std::make_error_code(std::errc::io_error));
  return n;
}
}  // namespace detail

/// Fills `to` from any reader.
///
/// Result  to.size(); less if the stream ended before, or if a stop came after some bytes
/// Cancel  no byte is lost: with none read yet it ends as stopped; with some it returns how many, and the
///         job ends at its next await
template <async_reader R>
task<result<std::size_t>> read_exact(R& from, std::span<std::byte> to) {
  std::size_t got = 0;
  while (got < to.size()) {
    const std::span<std::byte> rest = to.subspan(got);
    if (got == 0) {
      const result<std::size_t> n = co_await from.read_some(rest);
      if (!n || *n == 0) co_return n;
      got = *n;
    } else {
      const auto n = co_await catch_stop(from.read_some(rest));
      if (!n) break;
      if (!*n) co_return std::unexpected(n->error());
      if (**n == 0) break;
      got += **n;
    }
  }
  co_return got;
}

/// Hands all of `from` to any writer.
///
/// Errors  operation_canceled: a stop came after some bytes, so the stream is cut in the middle of a
///         message and good for nothing but to be closed
/// Cancel  with nothing written yet it ends as stopped. Who must know how far it came uses write_some(),
///         or a buffered_writer
template <async_writer W>
task<result<void>> write_all(W& to, std::span<const std::byte> from) {
  const std::size_t size = from.size();
  while (!from.empty()) {
    if (from.size() == size) {
      const result<std::size_t> n = detail::some_of(co_await to.write_some(from));
      if (!n) co_return std::unexpected(n.error());
      from = from.subspan(*n);
    } else {
      const auto n = co_await catch_stop(to.write_some(from));
      if (!n) co_return std::unexpected(std::make_error_code(std::errc::operation_canceled));
      const result<std::size_t> some = detail::some_of(*n);
      if (!some) co_return std::unexpected(some.error());
      from = from.subspan(*some);
    }
  }
  co_return result<void>();
}

/// shutdown_write() of either kind.
template <half_closable W>
task<result<void>> shut_down(W& w) {
  if constexpr (std::is_same_v<decltype(w.shutdown_write()), result<void>>) {
    co_return w.shutdown_write();
  } else {
    const result<void> done = co_await w.shutdown_write();
    co_return done;
  }
}

}  // namespace weft::io
