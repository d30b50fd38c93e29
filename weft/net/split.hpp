// split: a stream as two halves, one that reads and one that writes, for two jobs.
//
//   auto [in, out] = stream.split();                  // borrowed: the stream outlives both halves
//   auto [in, out] = std::move(stream).split();       // owned: each may go to a job of its own
//   auto whole = net::reunite(std::move(in), std::move(out));
//
//   Owned    a half that goes shuts its direction: without its writer the peer sees the end of the
//            stream, without its reader nobody waits for more. The last one closes the descriptor
//   Borrowed nothing happens when one goes
//   Cost     borrowed: a pointer; owned: one allocation for both
//   After    Tokio's split() and into_split()
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/net/stream_operation.hpp"
#include "weft/os/socket.hpp"

namespace weft::net {

namespace internal {

/// The reading functions of a stream, for a half that has `S& stream()`.
template <class Half>
class reading_functions {
 public:
  [[nodiscard("co_await it")]] transfer_operation read_some(std::span<std::byte> to
                                                            WEFT_LIFETIMEBOUND) {
    return self().stream().read_some(to);
  }
  [[nodiscard("co_await it")]] pooled_read_operation read_pooled() {
    return self().stream().read_pooled();
  }
  [[nodiscard("co_await it")]] transfer_operation read_exact(std::span<std::byte> to
                                                             WEFT_LIFETIMEBOUND) {
    return self().stream().read_exact(to);
  }
  [[nodiscard("co_await it")]] wait_operation wait_readable() {
    return self().stream().wait_readable();
  }

 private:
  Half& self() noexcept { return static_cast<Half&>(*this); }
};

template <class Half>
class writing_functions {
 public:
  [[nodiscard("co_await it")]] transfer_operation write_some(std::span<const std::byte> from
                                                             WEFT_LIFETIMEBOUND) {
    return self().stream().write_some(from);
  }
  [[nodiscard("co_await it")]] write_all_operation write_all(std::span<const std::byte> from
                                                             WEFT_LIFETIMEBOUND) {
    return self().stream().write_all(from);
  }
  [[nodiscard("co_await it")]] write_all_operation write_all(std::span<const io::io_part> parts
                                                             WEFT_LIFETIMEBOUND) {
    return self().stream().write_all(parts);
  }
  [[nodiscard("co_await it")]] wait_operation wait_writable() {
    return self().stream().wait_writable();
  }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> shutdown_write() noexcept {
    return self().stream().shutdown_write();
  }

 private:
  Half& self() noexcept { return static_cast<Half&>(*this); }
};

template <class S, os::shutdown_side Side>
class owned_half {
 public:
  owned_half() noexcept = default;
  explicit owned_half(std::shared_ptr<S> whole) noexcept : whole_(std::move(whole)) {}
  owned_half(owned_half&&) noexcept = default;
  owned_half& operator=(owned_half&& other) noexcept {
    if (this != &other) {
      close();
      whole_ = std::move(other.whole_);
    }
    return *this;
  }
  ~owned_half() { close(); }

  explicit operator bool() const noexcept { return whole_ != nullptr; }
  /// Shuts this direction, and the stream if the other half is gone.
  void close() noexcept {
    if (whole_ == nullptr) return;
    // Fails where the connection is over already: nothing is left to shut.
    static_cast<void>(os::shutdown(whole_->native(), Side));
    whole_.reset();
  }
  /// For options and addresses.
  S& stream() noexcept {
    WEFT_ASSERT(whole_ != nullptr, "this half of a stream was closed or moved from");
    return *whole_;
  }

 private:
  template <class T>
  friend struct halves_access;
  std::shared_ptr<S> whole_;
};

template <class S>
struct halves_access {
  template <class Half>
  static std::shared_ptr<S>& whole_of(Half& half) noexcept {
    return half.whole_;
  }
};

}  // namespace internal

template <class S>
class read_half : public internal::reading_functions<read_half<S>> {
 public:
  explicit read_half(S& of) noexcept : whole_(&of) {}
  S& stream() noexcept { return *whole_; }

 private:
  S* whole_;
};

template <class S>
class write_half : public internal::writing_functions<write_half<S>> {
 public:
  explicit write_half(S& of) noexcept : whole_(&of) {}
  S& stream() noexcept { return *whole_; }

 private:
  S* whole_;
};

template <class S>
class owned_read_half : public internal::owned_half<S, os::shutdown_side::receive>,
                        public internal::reading_functions<owned_read_half<S>> {
 public:
  using internal::owned_half<S, os::shutdown_side::receive>::owned_half;
};

template <class S>
class owned_write_half : public internal::owned_half<S, os::shutdown_side::send>,
                         public internal::writing_functions<owned_write_half<S>> {
 public:
  using internal::owned_half<S, os::shutdown_side::send>::owned_half;
};

template <class S>
struct borrowed_halves {
  read_half<S> reader;
  write_half<S> writer;
};
template <class S>
struct owned_halves {
  owned_read_half<S> reader;
  owned_write_half<S> writer;
};

/// The stream that both are halves of; nothing is shut. Nothing is in flight on them.
///
/// Errors  invalid_argument: they are not of one stream; both stay as they are
template <class S>
[[nodiscard(WEFT_RESULT_MESSAGE)]] result<S> reunite(owned_read_half<S>&& reader,
                                                     owned_write_half<S>&& writer) noexcept {
  auto& in = internal::halves_access<S>::whole_of(reader);
  auto& out = internal::halves_access<S>::whole_of(writer);
  if (in == nullptr || in != out) {
    return std::unexpected(std::make_error_code(std::errc::invalid_argument));
  }
  S whole(std::move(*in));
  in.reset();
  out.reset();
  return whole;
}

}  // namespace weft::net
