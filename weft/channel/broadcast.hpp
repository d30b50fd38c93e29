// broadcast: messages of one type from any number of senders, each to every receiver.
//
//   auto [to, from] = broadcast<int>(16);      // the newest 16 are kept
//   auto second = to.subscribe();              // sees what is sent from now on
//   to.send(1);                                // never waits; 2: so many receivers will see it
//   for (;;) {
//     const auto got = co_await from.recv();
//     if (got) use(*got);
//     else if (got.error().why == broadcast_lack::lagged) skipped(got.error().missed);
//     else break;                              // closed, and nothing is left
//   }
//
// A receiver sees each message that is sent while it exists, in order. One that falls behind by more than
// the capacity loses the oldest: it is told how many, once, and goes on at the oldest that is kept.
//
//   Fairness  all receivers are woken by a message, those that have waited longest first
//   Threads   any. A handle is one job's at a time; copies of it are for the others
//   Cost      a spin lock, held for a move of T (send) or a copy of it (each receive; the last receiver
//             of a message has the value itself). A send wakes all that wait
//   Cancel    a receive that is stopped has received nothing, and is where it was. A send never waits
//   Budget    what need not wait spends some, so a loop that always finds a message starves nobody
//   Memory    the slots, made at once. Nothing for a message or a wait. A message goes when the last one
//             of those that it was sent to has received it, has gone, or has lost it
//   Closing   when the last sender goes: receivers still get what is left, then closed. When the last
//             receiver goes, what is left is destroyed, but senders may go on, and subscribe again:
//             what is sent to nobody is destroyed at once
//   T         copyable; its move must not throw. The copy and the move are made under the lock: send big
//             things as std::shared_ptr<const T>. They must not use the same channel. A copy that throws
//             does so out of recv(); the message is then still to be received
//   After     Tokio's broadcast (lag is told, then it goes on); capacity is exact here
//   Protocol  below, at broadcast_core; of waiting: news.cpp
#pragma once

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <utility>
#include <vector>

#include "weft/base/assert.hpp"
#include "weft/channel/message_ring.hpp"
#include "weft/channel/news.hpp"

namespace weft {

template <class T>
class broadcast_sender;
template <class T>
class broadcast_receiver;

/// Why a receive gave no message.
enum class broadcast_lack : std::uint8_t {
  lagged,  // messages were lost; the next receive gives the oldest that is kept
  closed,  // there is no sender any more, and nothing is left
  empty,   // try_recv() only: there is nothing now
};
struct broadcast_error {
  broadcast_lack why;
  std::uint64_t missed = 0;  // messages, if it lagged; each is told of once
  friend bool operator==(const broadcast_error&, const broadcast_error&) = default;
};
template <class T>
using broadcast_result = std::expected<T, broadcast_error>;

template <class T>
struct broadcast_ends {
  broadcast_sender<T> sender;
  broadcast_receiver<T> receiver;
};

/// The newest `capacity` messages are kept for receivers that have not had them; at least 1.
/// Errors: std::bad_alloc.
template <class T>
[[nodiscard]] broadcast_ends<T> broadcast(std::size_t capacity);

namespace detail {

// Protocol
//
// Everything is under the lock of news, whose number is that of the next message.
//
//   I1  Kept are the messages number() - capacity and later. Each is there until it has been received
//       by all: `unread` counts the receivers for which it is still to come.
//   I2  A receiver is counted in each kept message from its position on, from its making to its end.
//   I3  So received + missed + left is what was sent while it was a receiver.
template <class T>
class broadcast_core final : public news {
 public:
  explicit broadcast_core(std::size_t capacity)
      : slots_(std::bit_ceil(capacity)), capacity_(capacity) {}

  /// Result: how many receivers will see it.
  std::size_t send(T& value) noexcept {
    std::optional<T> lost;  // destroyed outside of the lock: it may hold a handle of this channel
    std::size_t to = 0;
    bool wake = false;
    {
      const patient_guard guard(lock());
      to = receivers();
      if (to == 0) return 0;
      if (number() >= capacity_) move_out(slot_of(number() - capacity_), lost);
      slot& s = slot_of(number());
      s.message.emplace(std::move(value));
      s.unread = to;
      wake = advance();
    }
    if (wake) wake_readers();
    return to;
  }

  broadcast_result<T> take(std::uint64_t& next) {
    const patient_guard guard(lock());
    if (next == number()) {
      return lack({closed() ? broadcast_lack::closed : broadcast_lack::empty});
    }
    const std::uint64_t first = oldest();
    if (WEFT_MUTATE("broadcast.take.sees_no_lag", next < first, false)) {
      const std::uint64_t missed = first - next;
      next = first;
      return lack({broadcast_lack::lagged, missed});
    }
    slot& s = slot_of(next);
    WEFT_ASSERT(s.unread != 0, "a message that is still to come is kept");  // I1
    if (s.unread != 1) {
      broadcast_result<T> copy(std::as_const(*s.message));  // may throw: then nothing has happened
      --s.unread;
      ++next;
      return copy;
    }
    broadcast_result<T> last(std::move(*s.message));
    s.message.reset();
    s.unread = 0;
    ++next;
    return last;
  }

  /// What was sent, and not received by one that stands at `next`.
  std::uint64_t left(std::uint64_t next) noexcept {
    const patient_guard guard(lock());
    return number() - next;
  }

  /// Another receiver; it sees what comes. Result: its position.
  std::uint64_t subscribe() noexcept {
    const patient_guard guard(lock());
    add_receiver();
    return number();
  }
  /// One more that stands at `next`. Counts it in each message from there on.
  void copy_receiver(std::uint64_t next) noexcept {
    const patient_guard guard(lock());
    add_receiver();
    for (std::uint64_t n = std::max(next, oldest()); n < number(); ++n) ++slot_of(n).unread;
  }
  static void drop_receiver(broadcast_core* core, std::uint64_t next) noexcept {
    if (core->leave(next)) delete core;
  }
  static void drop_sender(broadcast_core* core) noexcept {
    if (core->news::drop_sender()) delete core;
  }

 private:
  struct slot {
    std::optional<T> message;
    std::size_t unread = 0;
  };

  static std::unexpected<broadcast_error> lack(broadcast_error e) noexcept {
    return std::unexpected<broadcast_error>(e);
  }
  slot& slot_of(std::uint64_t n) noexcept { return slots_[n & (slots_.size() - 1)]; }
  std::uint64_t oldest() const noexcept { return number() > capacity_ ? number() - capacity_ : 0; }
  static void move_out(slot& from, std::optional<T>& to) noexcept {
    if (!from.message) return;
    to.emplace(std::move(*from.message));
    from.message.reset();
    from.unread = 0;
  }

  /// A receiver goes: what was to come to it alone is destroyed, each outside of the lock.
  bool leave(std::uint64_t next) noexcept {
    std::uint64_t end = 0;
    {
      const patient_guard guard(lock());
      end = number();
      remove_receiver();
    }
    constexpr unsigned batch_max = 32;  // messages in one hold of the lock
    for (bool more = next < end; more;) {
      std::optional<T> last;
      const patient_guard guard(lock());
      next = std::max(next, oldest());
      for (unsigned n = 0; n < batch_max && next < end && !last; ++n, ++next) {
        slot& s = slot_of(next);
        if (WEFT_MUTATE("broadcast.leave.takes_the_others_too", s.unread == 1, true)) {
          move_out(s, last);
        } else {
          --s.unread;
        }
      }
      more = next < end;
    }
    return let_go_now();
  }

  std::vector<slot> slots_;  // a power of two, so that a number finds its slot without a division
  const std::size_t capacity_;
};

}  // namespace detail

template <class T>
class broadcast_operation final
    : public awaitable_operation<broadcast_operation<T>, detail::news_waiter> {
  using base = awaitable_operation<broadcast_operation<T>, detail::news_waiter>;

 public:
  broadcast_operation(detail::broadcast_core<T>& core, std::uint64_t& next) noexcept
      : base(core), core_(core), next_(next) {}
  bool await_ready() noexcept {
    if (!detail::line_waiter::may_try_now()) return false;
    if constexpr (std::is_nothrow_copy_constructible_v<T>) {  // one hold of the lock instead of two
      got_.emplace(core_.take(next_));
      if (got_->has_value() || got_->error().why != broadcast_lack::empty) return true;
      got_.reset();
      return false;
    } else {
      return core_.any_after_now(next_);
    }
  }
  std::coroutine_handle<> start(promise_base& who) noexcept {
    return this->wait_for_news(who, core_, next_);
  }
  /// What it waited for is its receiver's alone, so nobody can have taken it.
  broadcast_result<T> await_resume() {
    if (got_) return *std::move(got_);
    return core_.take(next_);
  }
  const char* what() const noexcept override { return "broadcast"; }

 private:
  detail::broadcast_core<T>& core_;
  std::uint64_t& next_;
  std::optional<broadcast_result<T>> got_;
};

/// The sending end. Copies count; when the last one goes the channel is closed. One that was moved from
/// may only be assigned to, or destroyed.
template <class T>
class broadcast_sender {
 public:
  broadcast_sender(const broadcast_sender& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) core_->add_sender();
  }
  broadcast_sender(broadcast_sender&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)) {}
  broadcast_sender& operator=(broadcast_sender other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~broadcast_sender() {
    if (core_ != nullptr) detail::broadcast_core<T>::drop_sender(core_);
  }

  /// Never waits. Result: how many receivers will see it, unless they fall behind. 0: there is none now,
  /// and the value is destroyed; there may be some again.
  std::size_t send(T value) const noexcept { return core().send(value); }
  /// A receiver more, of what is sent from now on.
  [[nodiscard]] broadcast_receiver<T> subscribe() const noexcept;
  /// How many receivers there are; a moment's truth.
  std::size_t receivers() const noexcept { return core().receivers_now(); }

 private:
  template <class U>
  friend broadcast_ends<U> broadcast(std::size_t capacity);
  explicit broadcast_sender(detail::broadcast_core<T>* core) noexcept : core_(core) {}
  detail::broadcast_core<T>& core() const noexcept {
    WEFT_CHECK_SLOW(core_ != nullptr, "a broadcast_sender that was moved from is used");
    return *core_;
  }
  detail::broadcast_core<T>* core_;
};

/// The receiving end. A copy starts where the original is: both see what is left.
template <class T>
class broadcast_receiver {
 public:
  broadcast_receiver(const broadcast_receiver& other) noexcept
      : core_(other.core_), next_(other.next_) {
    if (core_ != nullptr) core_->copy_receiver(next_);
  }
  broadcast_receiver(broadcast_receiver&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)), next_(other.next_) {}
  broadcast_receiver& operator=(broadcast_receiver other) noexcept {
    std::swap(core_, other.core_);
    std::swap(next_, other.next_);
    return *this;
  }
  ~broadcast_receiver() {
    if (core_ != nullptr) detail::broadcast_core<T>::drop_receiver(core_, next_);
  }

  /// `co_await`: the oldest message that this receiver has not had.
  /// Errors: lagged, with how many it has lost: the next one goes on with the oldest that is kept;
  /// closed. Throws what a copy of T throws.
  /// Cancel: nothing was received; the message comes with the next one.
  [[nodiscard("co_await it")]] broadcast_operation<T> recv() noexcept WEFT_LIFETIMEBOUND {
    return broadcast_operation<T>(core(), next_);
  }
  /// Never waits. Errors: as recv(), or empty.
  [[nodiscard]] broadcast_result<T> try_recv() { return core().take(next_); }
  /// A receiver more, of what is sent from now on; of a closed channel too, where nothing comes.
  [[nodiscard]] broadcast_receiver subscribe() const noexcept {
    return broadcast_receiver(&core(), core().subscribe());
  }
  /// Messages that were sent and not received by this one, those that are lost among them: more than the
  /// capacity means that it lags. A moment's truth.
  std::uint64_t size() const noexcept { return core().left(next_); }
  /// There is no sender any more; what is left can still be received. A moment's truth, except `true`.
  bool closed() const noexcept { return core().closed_now(); }

 private:
  friend class broadcast_sender<T>;
  template <class U>
  friend broadcast_ends<U> broadcast(std::size_t capacity);
  broadcast_receiver(detail::broadcast_core<T>* core, std::uint64_t next) noexcept
      : core_(core), next_(next) {}
  detail::broadcast_core<T>& core() const noexcept {
    WEFT_CHECK_SLOW(core_ != nullptr, "a broadcast_receiver that was moved from is used");
    return *core_;
  }
  detail::broadcast_core<T>* core_;
  std::uint64_t next_;  // the number of the message that it gets next
};

// ---------------------------------------------------------------------------------------------

template <class T>
broadcast_receiver<T> broadcast_sender<T>::subscribe() const noexcept {
  return broadcast_receiver<T>(&core(), core().subscribe());
}

template <class T>
broadcast_ends<T> broadcast(std::size_t capacity) {
  detail::require_message<T>();
  static_assert(std::copy_constructible<T>,
                "each receiver of a broadcast gets a copy: send a std::shared_ptr<const T>");
  WEFT_ASSERT(capacity != 0 && capacity <= detail::message_ring<T>::no_limit / 4,
              "a broadcast keeps at least one message, and not more than fit into memory");
  auto* const core = new detail::broadcast_core<T>(capacity);
  return broadcast_ends<T>{broadcast_sender<T>(core), broadcast_receiver<T>(core, 0)};
}

}  // namespace weft
