// shared_queue: messages between processes, in memory that they share: bounded, of one fixed size.
//
//   auto q = weft::shared_queue<order>::create_at(memory, 1024);    // one process; result<>
//   auto q = weft::shared_queue<order>::open_at(memory);            // the others
//   co_await q->send(o);        const auto o = co_await q->recv();
//
//   Threads   any number of processes and threads send and receive. Open it anew after a fork()
//   Fairness  messages come out in the order they went in; who waits is not served in order
//   Killed    a process may be killed at any instruction. Lost is at most the message that it was about
//             to send, or had just received: nothing else, nothing twice, and the others go on, after
//             shared_options::look_after at the latest
//   Cost      a message: a lock (a compare-exchange and an exchange), two copies, an exchange-add; a
//             system call only where somebody waits. A process that is suspended inside (SIGSTOP) holds
//             the others up until it goes on
//   Cancel    a stopped send has not sent, a stopped recv has not received
//   Limits    64 processes at a time, of one process-id namespace
//   After     bounded rings under a lock; what is special is in members.hpp and ring.hpp
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>

#include "weft/shared/attachment.hpp"
#include "weft/shared/ring.hpp"

namespace weft {

namespace shared {

struct queue_front : front {
  ring places;
  signal_word messages;  // changed by put, by close
  signal_word room;      // changed by take, by close
  atomic<std::uint32_t> closed{0};
  std::uint32_t message_bytes = 0;
  std::uint64_t capacity = 0;
};

/// What does not depend on the type.
class queue_end final : public attachment {
 public:
  static std::size_t bytes_needed(std::size_t message_bytes, std::size_t capacity) noexcept;
  static result<std::unique_ptr<queue_end>> create(std::span<std::byte> memory,
                                                   std::size_t message_bytes, std::size_t capacity,
                                                   shared_options how);
  static result<std::unique_ptr<queue_end>> open(std::span<std::byte> memory,
                                                 std::size_t message_bytes, shared_options how);
  queue_end(queue_front& q, shared_options how) noexcept : attachment(q, how), q_(q) {}
  ~queue_end() override { detach(); }

  enum class outcome : std::uint8_t { done, not_now, closed };
  task<outcome> send(const void* from);
  task<outcome> receive(void* to);
  outcome try_send(const void* from) noexcept;
  outcome try_receive(void* to) noexcept;
  outcome blocking_send(const void* from, std::int64_t deadline_ns) noexcept;
  outcome blocking_receive(void* to, std::int64_t deadline_ns) noexcept;
  void close() noexcept;

  std::size_t size() const noexcept { return static_cast<std::size_t>(q_.places.count()); }
  std::size_t capacity() const noexcept { return static_cast<std::size_t>(q_.capacity); }

 private:
  void give_back(unsigned) noexcept override {}  // the lock is all that it can have had
  std::byte* place(std::uint64_t number) noexcept;
  // With the lock held. not_now: *heard is what to sleep in.
  outcome put(const void* from, std::uint32_t* heard) noexcept;
  outcome take(void* to, std::uint32_t* heard) noexcept;

  queue_front& q_;
};

}  // namespace shared

template <class T>
class shared_queue {
  static_assert(std::is_trivially_copyable_v<T> && std::is_default_constructible_v<T>,
                "a message is copied byte by byte into other processes: no pointers, no owners");
  static_assert(alignof(T) <= shared::alignment);
  using outcome = shared::queue_end::outcome;

 public:
  /// Units: bytes. The memory starts at a multiple of 64 (a mapping does).
  static std::size_t bytes_needed(std::size_t capacity) noexcept {
    return shared::queue_end::bytes_needed(sizeof(T), capacity);
  }
  /// Makes an empty queue in `memory`, which is zero, and opens it.
  ///
  /// Errors  std::errc::invalid_argument (too small, not aligned, capacity 0), file_exists (something
  ///         of this kind is there already)
  static result<shared_queue> create_at(std::span<std::byte> memory, std::size_t capacity,
                                        shared_options how = {}) {
    return wrap(shared::queue_end::create(memory, sizeof(T), capacity, how));
  }
  /// Opens one that this or another process has made.
  ///
  /// Errors  errc::not_found (none is there, yet), errc::too_large (64 have it open),
  ///         std::errc::invalid_argument (other messages are in it, or `memory` is too small),
  ///         operation_not_supported (made in another process-id namespace)
  static result<shared_queue> open_at(std::span<std::byte> memory, shared_options how = {}) {
    return wrap(shared::queue_end::open(memory, sizeof(T), how));
  }

  /// Waits for room. Errors: errc::closed
  task<result<void>> send(T message) {
    const outcome how = co_await end_->send(&message);
    co_return sent(how);
  }
  /// Waits for a message. None: closed, and nothing is left.
  task<std::optional<T>> recv() {
    T message;
    const outcome how = co_await end_->receive(&message);
    if (how != outcome::done) co_return std::nullopt;
    co_return message;
  }
  /// False: full, or closed; or another process holds the lock for unusually long.
  bool try_send(const T& message) noexcept { return end_->try_send(&message) == outcome::done; }
  std::optional<T> try_recv() noexcept {
    T message;
    if (end_->try_receive(&message) != outcome::done) return std::nullopt;
    return message;
  }
  // In plain threads, without help of another one. `deadline_ns`: of the monotonic clock.
  /// Errors: errc::closed, errc::timed_out
  result<void> blocking_send(const T& message, std::int64_t deadline_ns = never_ns) noexcept {
    return sent(end_->blocking_send(&message, deadline_ns));
  }
  /// None: closed and empty, or the time is over.
  std::optional<T> blocking_recv(std::int64_t deadline_ns = never_ns) noexcept {
    T message;
    if (end_->blocking_receive(&message, deadline_ns) != outcome::done) return std::nullopt;
    return message;
  }
  /// For all processes: no more sends; what is in it can still be received.
  void close() noexcept { end_->close(); }

  std::size_t size() const noexcept { return end_->size(); }
  std::size_t capacity() const noexcept { return end_->capacity(); }

 private:
  explicit shared_queue(std::unique_ptr<shared::queue_end> end) noexcept : end_(std::move(end)) {}
  static result<shared_queue> wrap(result<std::unique_ptr<shared::queue_end>> end) {
    if (!end) return std::unexpected(end.error());
    return shared_queue(std::move(*end));
  }
  static result<void> sent(outcome how) noexcept {
    if (how == outcome::done) return {};
    return std::unexpected(
        make_error_code(how == outcome::closed ? errc::closed : errc::timed_out));
  }
  std::unique_ptr<shared::queue_end> end_;
};

}  // namespace weft
