// channel: messages of one type from any number of senders to any number of receivers, each to one.
//
//   auto [to, from] = channel<int>(16);       // 16 may be in line; 0: each waits for the other
//   spawn([](sender<int> to) -> task<> {
//     for (int i = 0; i < 100; ++i) {
//       const auto sent = co_await to.send(i);
//       if (!sent) co_return;                 // nobody receives any more
//     }
//   }, std::move(to));                        // the last sender that goes closes the channel
//   for (;;) {
//     const auto got = co_await from.recv();
//     if (!got) break;                        // closed, and nothing is left
//   }
//
//   Fairness  first come, first served, on both sides: a message goes to the receiver that has waited
//             longest, and nobody overtakes a waiting sender. Messages of one sender stay in order
//   Threads   any. A handle is one job's at a time, as any object; copies of it are for the others
//   Cost      a send or receive that need not wait: a spin lock, held for a move of T. Otherwise one
//             wait and one wake; the value goes directly from the one to the other
//   Cancel    a send that is stopped has sent nothing, a receive that is stopped has received nothing:
//             whichever took place is reported. A job that was stopped before takes nothing
//   Budget    what need not wait spends some, so a loop that always finds a message starves nobody
//   Memory    the slots, made at once; of an unbounded one 64 at a time, kept until it goes. Nothing
//             for a message or a wait. The channel goes with its last handle
//   Closing   when the last sender goes, or the last receiver, or by close(): nothing goes in any more,
//             and who waited to send has the value back. Receivers still get what is in line, then
//             nullopt. When the last receiver goes, what is in line is destroyed at once
//   T         its move must not throw, and is made under the lock: send big things by unique_ptr. A
//             move, or a destructor of what was moved from, must not use the same channel
//   After     Go's channels (hand-over to who waits); Tokio's mpsc (handles that close)
//   Protocol  below, at channel_core; of waiting: line.cpp
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/channel/line.hpp"
#include "weft/channel/message_ring.hpp"
#include "weft/channel/send_result.hpp"

namespace weft {

template <class T>
class sender;
template <class T>
class receiver;

/// Both ends. `auto [to, from] = channel<T>(...)`.
template <class T>
struct channel_ends {
  static_assert((detail::require_message<T>(), true));
  weft::sender<T> sender;
  weft::receiver<T> receiver;
};

/// At most `capacity` messages are in line. 0: a send ends when a receiver has taken its value.
/// Errors: std::bad_alloc.
template <class T>
[[nodiscard]] channel_ends<T> channel(std::size_t capacity);
/// However many messages may be in line: a send never waits. Where receivers are slower than senders
/// for ever, memory is what ends first.
template <class T>
[[nodiscard]] channel_ends<T> unbounded();

namespace detail {

struct channel_maker;

// Protocol
//
// Everything is under lock_, but the counts of handles.
//
//   I1  Receivers wait only if no message is in line and no sender waits.
//   I2  Senders wait only if `limit` messages are in line (of a rendezvous: 0) and it is not closed.
//   I3  After closing limit_ is 0: nothing goes in, and nobody begins to wait.
//   I4  A side is closed once: by whoever brings its count to 0, who then gives up the side's share of
//       the core. The last share frees it; nobody has a handle then, so nobody waits.
//
// I1 and I2 make the order: a message that comes while receivers wait would be the only one, so it
// goes to the first of them; one that comes while senders wait finds no room, and waits behind them;
// who takes a message out of a full line lets the first sender's in at the end.
//
// Orderings
//   P1  a handle goes: fetch_sub (release)  ->  the last one of its side (acquire): its accesses
//   P2  the same for the two sides' shares, before the core is freed
//
// Rejected: the lock-free ring of mpmc_queue with a line of waiters beside it. Each side then has to
// look for waiters of the other after a full fence: two locked instructions where this has one, and a
// popper can be turned away by a push that is not finished, so FIFO and "closed and drained" need more.
// Measured, ns a message (in and out): one thread 5.8 and 11.2, one to one on two threads 14 and 16.

/// A receive: where its message goes.
template <class T>
class receiving : public line_waiter {
 public:
  using line_waiter::line_waiter;
  std::optional<T> got;

 protected:
  ~receiving() = default;
};

/// A send: where its value is, which is moved out only when it is sent.
template <class T>
class sending : public line_waiter {
 public:
  sending(spin_lock& lock, T& v) noexcept : line_waiter(lock), value(v) {}
  T& value;
  send_status status = send_status::full;

 protected:
  ~sending() = default;
};

template <class T>
class alignas(cache_line) channel_core {
 public:
  using ring = message_ring<T>;
  explicit channel_core(std::size_t slots) : limit_(slots), messages_(slots) {}

  spin_lock& lock() noexcept { return lock_; }
  bool never_full() const noexcept { return grows_; }

  enum class put_result : std::uint8_t { sent, full, closed, needs_memory };
  /// Under the lock. Effects only if `sent`; then `woken`, if not null, is to be woken.
  put_result put(T& value, line_waiter*& woken) noexcept {
    const std::size_t n = messages_.count();
    if (WEFT_LIKELY(n != 0 && n < limit_)) return append(value);
    return put_at_an_end(value, woken);
  }
  enum class take_result : std::uint8_t { got, empty, drained };
  /// As put(). take(T&&) is called if `got`.
  template <class Take>
  take_result take(Take take, line_waiter*& woken) noexcept {
    const std::size_t n = messages_.count();
    if (WEFT_LIKELY(n != 0)) {
      messages_.pop(take);
      const bool was_full = WEFT_MUTATE("channel.take.lets_nobody_in", n == limit_, false);
      if (was_full) woken = let_in();
      return take_result::got;
    }
    if (closed_.get()) return take_result::drained;
    auto* const s = static_cast<sending<T>*>(take_first(senders_));
    if (s == nullptr) return take_result::empty;
    take(std::move(s->value));
    s->status = send_status::sent;
    woken = s;
    return take_result::got;
  }
  /// For a select, under the lock, without effect: the line to wait in; nullptr: put() or take() would
  /// not say `full` or `empty`.
  line_of_waiters* line_to_send(const claiming_job& me) noexcept {
    if (closed_.get() || messages_.count() < limit_ || others_wait(receivers_, me)) return nullptr;
    return &senders_;
  }
  line_of_waiters* line_to_receive(const claiming_job& me) noexcept {
    if (closed_.get() || messages_.count() != 0 || others_wait(senders_, me)) return nullptr;
    return &receivers_;
  }

  // What does all of it, for those that are not about to wait.
  put_result put_now(T& value) {
    line_waiter* woken = nullptr;
    put_result r = {};
    for (;;) {
      {
        const patient_guard guard(lock_);
        r = put(value, woken);
      }
      if (WEFT_LIKELY(r != put_result::needs_memory)) break;
      add_segment();
    }
    if (woken != nullptr) woken->wake();
    return r;
  }
  template <class Take>
  take_result take_now(Take take) noexcept {
    line_waiter* woken = nullptr;
    take_result r = {};
    {
      const patient_guard guard(lock_);
      r = this->take(take, woken);
    }
    if (woken != nullptr) woken->wake();
    return r;
  }
  /// At most `max`, which must fit into `out` without it growing.
  std::size_t take_many_now(std::vector<T>& out, std::size_t max) noexcept {
    constexpr std::size_t batch_max = 32;  // in one hold of the lock
    std::size_t all = 0;
    for (std::size_t n = batch_max; n == batch_max && all < max;) {
      line_of_waiters woken;
      {
        const patient_guard guard(lock_);
        for (n = 0; n < std::min(batch_max, max - all); ++n) {
          line_waiter* w = nullptr;
          const auto append = [&](T&& v) noexcept { out.push_back(std::move(v)); };
          if (this->take(append, w) != take_result::got) break;
          if (w != nullptr) woken.push_back(*w);
        }
      }
      while (!woken.empty()) woken.pop_front().wake();
      all += n;
    }
    return all;
  }

  line_of_waiters& senders() noexcept { return senders_; }
  line_of_waiters& receivers() noexcept { return receivers_; }

  void close() noexcept {
    {
      const patient_guard guard(lock_);
      closed_.set(true);
      limit_ = 0;  // I3
    }
    wake_line(lock_, receivers_, [](line_waiter&) noexcept {});
    wake_line(lock_, senders_, [](line_waiter& w) noexcept {
      static_cast<sending<T>&>(w).status = send_status::closed;
    });
  }
  bool closed() noexcept {
    const patient_guard guard(lock_);
    return closed_.get();
  }
  std::size_t size() noexcept {
    const patient_guard guard(lock_);
    return messages_.count();
  }

  // Handles. What they count; then who was the last of a side closes it.
  void add_sender() noexcept { senders_alive_.fetch_add(1, order::relaxed); }
  void add_receiver() noexcept { receivers_alive_.fetch_add(1, order::relaxed); }
  static void drop_sender(channel_core* core) noexcept {
    if (core->senders_alive_.fetch_sub(  // P1
            1, WEFT_MUTATE("channel.sender.relaxed", order::acq_rel, order::relaxed)) != 1) {
      return;
    }
    core->close();
    leave(core);
  }
  static void drop_receiver(channel_core* core) noexcept {
    if (core->receivers_alive_.fetch_sub(  // P1
            1, WEFT_MUTATE("channel.receiver.relaxed", order::acq_rel, order::relaxed)) != 1) {
      return;
    }
    core->close();
    core->destroy_messages();
    leave(core);
  }

 private:
  static void leave(channel_core* core) noexcept {
    if (core->sides_.fetch_sub(  // P2
            1, WEFT_MUTATE("channel.leave.relaxed", order::acq_rel, order::relaxed)) == 1) {
      delete core;
    }
  }
  put_result append(T& value) noexcept {
    return WEFT_LIKELY(messages_.push(std::move(value))) ? put_result::sent
                                                         : put_result::needs_memory;
  }
  WEFT_NOINLINE put_result put_at_an_end(T& value, line_waiter*& woken) noexcept {
    if (WEFT_MUTATE("channel.put.sees_no_closing", closed_.get(), false)) {
      return put_result::closed;
    }
    if (WEFT_MUTATE("channel.put.sees_no_receiver", !receivers_.empty(), false)) {
      if (auto* const r = static_cast<receiving<T>*>(take_first(receivers_))) {
        r->got.emplace(std::move(value));
        woken = r;
        return put_result::sent;
      }
    }
    return messages_.count() < limit_ ? append(value) : put_result::full;
  }
  /// The first of those that wait puts its message at the end of the line.
  line_waiter* let_in() noexcept { return senders_.empty() ? nullptr : let_in_first(); }
  WEFT_NOINLINE line_waiter* let_in_first() noexcept {
    auto* const s = static_cast<sending<T>*>(take_first(senders_));
    if (s == nullptr) return nullptr;
    const bool pushed = messages_.push(std::move(s->value));
    WEFT_ASSERT(pushed, "a bounded channel has a slot for each message that it takes");
    s->status = send_status::sent;
    return s;
  }
  WEFT_NOINLINE void add_segment() {
    auto* const more = messages_.make_segment();
    const patient_guard guard(lock_);
    messages_.grow(more);
  }
  /// Each outside of the lock: a message may hold a handle of this very channel.
  void destroy_messages() noexcept {
    for (std::optional<T> last;;) {
      last.reset();
      const auto keep = [&](T&& v) noexcept { last.emplace(std::move(v)); };
      if (take_now(keep) != take_result::got) return;
    }
  }

  spin_lock lock_;
  plain<bool> closed_{false};
  std::size_t limit_;  // messages in line
  ring messages_;
  line_of_waiters receivers_, senders_;
  const bool grows_ = limit_ == ring::no_limit;
  alignas(cache_line) atomic<std::size_t> senders_alive_{1};
  atomic<std::size_t> receivers_alive_{1};
  atomic<std::uint8_t> sides_{2};
};

template <class T>
class send_operation_base : public sending<T> {
 public:
  bool await_ready() noexcept { return line_waiter::may_try_now() && put_now(); }
  std::coroutine_handle<> start(promise_base& who) noexcept {
    if (core_.never_full()) return start_unbounded(who);
    return this->wait_in_line(
        who,
        [this](line_waiter*& woken) -> line_of_waiters* {
          const auto r = core_.put(this->value, woken);
          if (r == channel_core<T>::put_result::full) return &core_.senders();
          this->status = status_of(r);
          return nullptr;
        },
        [this](const claiming_job& me) { return core_.line_to_send(me); });
  }
  const char* what() const noexcept override { return "send"; }

 protected:
  send_operation_base(channel_core<T>& core, T& value) noexcept
      : sending<T>(core.lock(), value), core_(core) {}
  ~send_operation_base() = default;

  send_status outcome() const {
    if (out_of_memory_) throw std::bad_alloc();
    return this->status;
  }

 private:
  using put_result = typename channel_core<T>::put_result;
  static send_status status_of(put_result r) noexcept {
    return r == put_result::sent ? send_status::sent : send_status::closed;
  }
  /// True: it need not wait.
  bool put_now() noexcept {
    try {
      const put_result r = core_.put_now(this->value);
      if (WEFT_UNLIKELY(r == put_result::full)) return false;
      this->status = status_of(r);
    } catch (const std::bad_alloc&) {
      out_of_memory_ = true;
    }
    return true;
  }
  std::coroutine_handle<> start_unbounded(promise_base& who) noexcept {
    const job& owner = *who.owner();
    if (owner.stop_requested() && !owner.shielded()) return unwind(who);
    if (this->defers(who)) return unwind(who);
    static_cast<void>(put_now());  // never full
    return ready_at_once(*this, who);
  }

  channel_core<T>& core_;
  bool out_of_memory_ = false;
};

template <class T>
class recv_operation_base : public receiving<T> {
 public:
  bool await_ready() noexcept {
    return line_waiter::may_try_now() &&
           core_.take_now(into()) != channel_core<T>::take_result::empty;
  }
  std::coroutine_handle<> start(promise_base& who) noexcept {
    return this->wait_in_line(
        who,
        [this](line_waiter*& woken) -> line_of_waiters* {
          const auto r = core_.take(into(), woken);
          return r == channel_core<T>::take_result::empty ? &core_.receivers() : nullptr;
        },
        [this](const claiming_job& me) { return core_.line_to_receive(me); });
  }
  const char* what() const noexcept override { return "recv"; }

 protected:
  explicit recv_operation_base(channel_core<T>& core) noexcept
      : receiving<T>(core.lock()), core_(core) {}
  ~recv_operation_base() = default;

  channel_core<T>& core_;

 private:
  auto into() noexcept {
    return [this](T&& v) noexcept { this->got.emplace(std::move(v)); };
  }
};

}  // namespace detail

/// A value on its way. It is in the operation, and comes back with a refusal.
template <class T>
class send_operation final
    : public awaitable_operation<send_operation<T>, detail::send_operation_base<T>> {
  using base = awaitable_operation<send_operation<T>, detail::send_operation_base<T>>;

 public:
  send_operation(detail::channel_core<T>& core, T&& value) noexcept
      : base(core, mine_), mine_(std::move(value)) {}
  bool await_ready() noexcept { return detail::send_operation_base<T>::await_ready(); }
  send_result<T> await_resume() {
    const send_status s = this->outcome();
    return WEFT_LIKELY(s == send_status::sent) ? send_result<T>()
                                               : send_result<T>(s, std::move(mine_));
  }

 private:
  T mine_;
};

/// A value on its way that stays where it is until it is sent.
template <class T>
class send_from_operation final
    : public awaitable_operation<send_from_operation<T>, detail::send_operation_base<T>> {
  using base = awaitable_operation<send_from_operation<T>, detail::send_operation_base<T>>;

 public:
  send_from_operation(detail::channel_core<T>& core, T& value) noexcept : base(core, value) {}
  bool await_ready() noexcept { return detail::send_operation_base<T>::await_ready(); }
  send_status await_resume() { return this->outcome(); }
};

template <class T>
class recv_operation final
    : public awaitable_operation<recv_operation<T>, detail::recv_operation_base<T>> {
  using base = awaitable_operation<recv_operation<T>, detail::recv_operation_base<T>>;

 public:
  explicit recv_operation(detail::channel_core<T>& core) noexcept : base(core) {}
  bool await_ready() noexcept { return detail::recv_operation_base<T>::await_ready(); }
  std::optional<T> await_resume() noexcept { return std::move(this->got); }
};

/// Waits for one message, then takes what is there.
template <class T>
class recv_many_operation final
    : public awaitable_operation<recv_many_operation<T>, detail::recv_operation_base<T>> {
  using base = awaitable_operation<recv_many_operation<T>, detail::recv_operation_base<T>>;

 public:
  recv_many_operation(detail::channel_core<T>& core, std::vector<T>& out, std::size_t max) noexcept
      : base(core), out_(out), max_(max) {}
  bool await_ready() noexcept { return max_ == 0 || detail::recv_operation_base<T>::await_ready(); }
  std::size_t await_resume() noexcept {
    if (!this->got) return 0;
    out_.push_back(std::move(*this->got));  // there is room: see receiver::recv_many()
    return 1 + this->core_.take_many_now(out_, max_ - 1);
  }

 private:
  std::vector<T>& out_;
  const std::size_t max_;
};

/// The sending end. Copies count; the last one that goes closes the channel. One that was moved from
/// may only be assigned to, or destroyed.
template <class T>
class sender {
 public:
  sender(const sender& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) core_->add_sender();
  }
  sender(sender&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  sender& operator=(sender other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~sender() {
    if (core_ != nullptr) detail::channel_core<T>::drop_sender(core_);
  }

  /// `co_await`: waits until there is room or somebody takes it.
  /// Result: true, or the value back because the channel is closed.
  /// Errors: std::bad_alloc, of an unbounded one only.
  /// Cancel: the value is destroyed with the operation, unsent. Where it must survive that, or a
  /// timeout: send_from().
  [[nodiscard("co_await it")]] send_operation<T> send(T value) const noexcept WEFT_LIFETIMEBOUND {
    return send_operation<T>(core(), std::move(value));
  }
  /// As send(), but `value` stays the caller's until it is sent: refused, timed out or stopped it is
  /// as it was. It must stay where it is meanwhile.
  [[nodiscard("co_await it")]] send_from_operation<T> send_from(T& value
                                                                WEFT_LIFETIMEBOUND) const noexcept
      WEFT_LIFETIMEBOUND {
    return send_from_operation<T>(core(), value);
  }
  /// Never waits. Errors: std::bad_alloc, of an unbounded one only.
  send_result<T> try_send(T value) const {
    const send_status s = try_send_from(value);
    return s == send_status::sent ? send_result<T>() : send_result<T>(s, std::move(value));
  }
  /// As try_send(); unless it was sent, `value` is as it was.
  [[nodiscard]] send_status try_send_from(T& value) const {
    using put = typename detail::channel_core<T>::put_result;
    switch (core().put_now(value)) {
      case put::sent:
        return send_status::sent;
      case put::full:
        return send_status::full;
      default:
        return send_status::closed;
    }
  }

  /// For all handles, at once. What is in line can still be received.
  void close() const noexcept { core().close(); }
  /// A moment's truth, except for `true`.
  bool closed() const noexcept { return core().closed(); }
  /// Messages in line; a moment's truth.
  std::size_t size() const noexcept { return core().size(); }

 private:
  friend struct detail::channel_maker;
  explicit sender(detail::channel_core<T>* core) noexcept : core_(core) {}
  detail::channel_core<T>& core() const noexcept {
    WEFT_CHECK_SLOW(core_ != nullptr, "a sender that was moved from is used");
    return *core_;
  }
  detail::channel_core<T>* core_;
};

/// The receiving end. As sender: copies count, and the last one that goes closes the channel.
template <class T>
class receiver {
 public:
  receiver(const receiver& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) core_->add_receiver();
  }
  receiver(receiver&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  receiver& operator=(receiver other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~receiver() {
    if (core_ != nullptr) detail::channel_core<T>::drop_receiver(core_);
  }

  /// `co_await`: the oldest message. Result: nullopt: closed, and there will be none.
  [[nodiscard("co_await it")]] recv_operation<T> recv() const noexcept WEFT_LIFETIMEBOUND {
    return recv_operation<T>(core());
  }
  /// `co_await`: waits for a message, then appends it and what else is in line to `out`, at most `max`.
  /// Result: how many; 0: closed, and there will be none, or `max` is 0. Errors: std::bad_alloc, at
  /// once. It is one unit of budget, however many come.
  [[nodiscard("co_await it")]] recv_many_operation<T> recv_many(std::vector<T>& out
                                                                WEFT_LIFETIMEBOUND,
                                                                std::size_t max) const
      WEFT_LIFETIMEBOUND {
    // Before anything is taken: what comes is bounded by this room.
    constexpr std::size_t batch_max = 64;
    const std::size_t wanted = std::min(max, std::max(core().size() + 1, batch_max));
    if (out.capacity() - out.size() < wanted) {
      out.reserve(std::max(out.size() + wanted, 2 * out.capacity()));
    }
    return recv_many_operation<T>(core(), out, std::min(max, out.capacity() - out.size()));
  }
  /// Never waits. Result: nullopt: there is nothing now; closed() tells whether there will be.
  [[nodiscard]] std::optional<T> try_recv() const noexcept {
    std::optional<T> got;
    static_cast<void>(core().take_now([&](T&& v) noexcept { got.emplace(std::move(v)); }));
    return got;
  }

  /// For all handles, at once. What is in line can still be received.
  void close() const noexcept { core().close(); }
  /// Nothing goes in any more; what is in line can still be received. A moment's truth, except `true`.
  bool closed() const noexcept { return core().closed(); }
  /// Messages in line; a moment's truth.
  std::size_t size() const noexcept { return core().size(); }

 private:
  friend struct detail::channel_maker;
  explicit receiver(detail::channel_core<T>* core) noexcept : core_(core) {}
  detail::channel_core<T>& core() const noexcept {
    WEFT_CHECK_SLOW(core_ != nullptr, "a receiver that was moved from is used");
    return *core_;
  }
  detail::channel_core<T>* core_;
};

// ---------------------------------------------------------------------------------------------

namespace detail {
struct channel_maker {
  template <class T>
  static channel_ends<T> make(std::size_t slots) {
    auto* const core = new channel_core<T>(slots);
    return channel_ends<T>{sender<T>(core), receiver<T>(core)};
  }
};
}  // namespace detail

template <class T>
channel_ends<T> channel(std::size_t capacity) {
  detail::require_message<T>();
  WEFT_ASSERT(capacity <= detail::message_ring<T>::no_limit / 4,
              "that is no capacity; unbounded() makes a channel without one");
  return detail::channel_maker::make<T>(capacity);
}

template <class T>
channel_ends<T> unbounded() {
  detail::require_message<T>();
  return detail::channel_maker::make<T>(detail::message_ring<T>::no_limit);
}

}  // namespace weft
