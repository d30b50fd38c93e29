// oneshot: one value from one to one: an answer.
//
//   auto [answer, answered] = oneshot<int>();
//   spawn([](oneshot_sender<int> to) -> task<> {
//     static_cast<void>(to.send(42));
//     co_return;
//   }, std::move(answer));
//   const auto got = co_await answered.recv();    // nullopt: the sender went without an answer
//
//   Threads   any; a handle is one job's at a time
//   Cost      one allocation; a spin lock, held for a move of T, for each side
//   Cancel    a receive that is stopped has received nothing, and may be repeated
//   Budget    a value that is there spends some
//   T         as a channel's: its move must not throw
//   Protocol  below, at oneshot_core; of waiting: line.cpp
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/channel/line.hpp"
#include "weft/channel/message_ring.hpp"
#include "weft/channel/send_result.hpp"

namespace weft {

template <class T>
class oneshot_sender;
template <class T>
class oneshot_receiver;

template <class T>
struct oneshot_ends {
  static_assert((detail::require_message<T>(), true));
  oneshot_sender<T> sender;
  oneshot_receiver<T> receiver;
};

/// Errors: std::bad_alloc.
template <class T>
[[nodiscard]] oneshot_ends<T> oneshot();

namespace detail {

// Protocol
//   Everything is under lock_, but the shares.
//   I1  The receiver waits only if there is no value and the sender may still send one.
//   I2  A value goes in at most once, and then the sender is done: it gives up its share.
//   I3  After the receiver went no value goes in, and none is left.
//   P1  leave: fetch_sub (acq_rel)  ->  leave: fetch_sub (acq_rel): the other side's accesses, before
//       the core is freed.
template <class T>
class oneshot_core {
 public:
  class receiving : public line_waiter {
   public:
    explicit receiving(oneshot_core& core) noexcept : line_waiter(core.lock_) {}
    std::optional<T> got;

   protected:
    ~receiving() = default;
  };

  /// True: it was sent, else `value` is as it was. The sender's last call.
  bool send(T& value) noexcept {
    receiving* r = nullptr;
    bool sent = false;
    {
      const patient_guard guard(lock_);
      sender_done_.set(true);
      if (!WEFT_MUTATE("oneshot.send.sees_no_receiver_gone", receiver_gone_.get(), false)) {
        sent = true;
        r = static_cast<receiving*>(take_first(line_));
        (r == nullptr ? value_ : r->got).emplace(std::move(value));
      }
    }
    if (r != nullptr) r->wake();
    leave();
    return sent;
  }
  void drop_sender() noexcept {
    {
      const patient_guard guard(lock_);
      sender_done_.set(true);
    }
    if (WEFT_MUTATE("oneshot.drop.wakes_nobody", true, false)) {
      wake_line(lock_, line_, [](line_waiter&) noexcept {});
    }
    leave();
  }
  void drop_receiver() noexcept {
    {
      std::optional<T> last;  // destroyed outside of the lock
      const patient_guard guard(lock_);
      receiver_gone_.set(true);
      move_to(last);
    }
    leave();
  }
  /// Under the lock. False: it must wait.
  bool look(std::optional<T>& got) noexcept {
    move_to(got);
    return got.has_value() || sender_done_.get();
  }
  /// Under the lock.
  bool is_ready() const noexcept { return value_.has_value() || sender_done_.get(); }
  bool look_now(std::optional<T>& got) noexcept {
    const patient_guard guard(lock_);
    return look(got);
  }
  line_of_waiters& line() noexcept { return line_; }
  bool receiver_gone() noexcept {
    const patient_guard guard(lock_);
    return receiver_gone_.get();
  }

 private:
  void move_to(std::optional<T>& out) noexcept {
    if (!value_) return;
    out.emplace(std::move(*value_));
    value_.reset();
  }
  void leave() noexcept {
    if (shares_.fetch_sub(  // P1
            1, WEFT_MUTATE("oneshot.leave.relaxed", order::acq_rel, order::relaxed)) == 1) {
      delete this;
    }
  }

  spin_lock lock_;
  plain<bool> sender_done_{false};
  plain<bool> receiver_gone_{false};
  std::optional<T> value_;
  line_of_waiters line_;
  atomic<std::uint8_t> shares_{2};
};

}  // namespace detail

template <class T>
class oneshot_operation final
    : public awaitable_operation<oneshot_operation<T>,
                                 typename detail::oneshot_core<T>::receiving> {
  using base =
      awaitable_operation<oneshot_operation<T>, typename detail::oneshot_core<T>::receiving>;

 public:
  explicit oneshot_operation(detail::oneshot_core<T>& core) noexcept : base(core), core_(core) {}
  bool await_ready() noexcept {
    return detail::line_waiter::may_try_now() && core_.look_now(this->got);
  }
  std::coroutine_handle<> start(promise_base& who) noexcept {
    return this->wait_in_line(
        who,
        [this](detail::line_waiter*&) -> detail::line_of_waiters* {
          return core_.look(this->got) ? nullptr : &core_.line();
        },
        [this](const detail::claiming_job&) -> detail::line_of_waiters* {
          return core_.is_ready() ? nullptr : &core_.line();
        });
  }
  std::optional<T> await_resume() noexcept { return std::move(this->got); }
  const char* what() const noexcept override { return "oneshot"; }

 private:
  detail::oneshot_core<T>& core_;
};

/// Sends once. Movable. One that goes without having sent ends the receiver's wait.
template <class T>
class oneshot_sender {
 public:
  oneshot_sender(oneshot_sender&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  oneshot_sender& operator=(oneshot_sender&& other) noexcept {
    oneshot_sender taken(std::move(other));
    std::swap(core_, taken.core_);
    return *this;
  }
  ~oneshot_sender() {
    if (core_ != nullptr) core_->drop_sender();
  }

  /// Never waits; once. Result: true, or the value back because nobody will receive it.
  send_result<T> send(T value) noexcept {
    WEFT_ASSERT(core_ != nullptr, "a oneshot sends once; a channel sends more");
    const bool sent = std::exchange(core_, nullptr)->send(value);
    return sent ? send_result<T>() : send_result<T>(send_status::closed, std::move(value));
  }
  /// Nobody will receive it: work on the answer may be ended. A moment's truth, except for `true`.
  bool closed() const noexcept { return core_ == nullptr || core_->receiver_gone(); }

 private:
  template <class U>
  friend oneshot_ends<U> oneshot();
  explicit oneshot_sender(detail::oneshot_core<T>* core) noexcept : core_(core) {}
  detail::oneshot_core<T>* core_;
};

/// Receives once; movable.
template <class T>
class oneshot_receiver {
 public:
  oneshot_receiver(oneshot_receiver&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)) {}
  oneshot_receiver& operator=(oneshot_receiver&& other) noexcept {
    oneshot_receiver taken(std::move(other));
    std::swap(core_, taken.core_);
    return *this;
  }
  ~oneshot_receiver() {
    if (core_ != nullptr) core_->drop_receiver();
  }

  /// `co_await`. Result: nullopt: the sender went without sending, or the value was taken before.
  [[nodiscard("co_await it")]] oneshot_operation<T> recv() const noexcept WEFT_LIFETIMEBOUND {
    return oneshot_operation<T>(*core_);
  }
  /// Never waits.
  [[nodiscard]] std::optional<T> try_recv() const noexcept {
    std::optional<T> got;
    static_cast<void>(core_->look_now(got));
    return got;
  }

 private:
  template <class U>
  friend oneshot_ends<U> oneshot();
  explicit oneshot_receiver(detail::oneshot_core<T>* core) noexcept : core_(core) {}
  detail::oneshot_core<T>* core_;
};

// ---------------------------------------------------------------------------------------------

template <class T>
oneshot_ends<T> oneshot() {
  detail::require_message<T>();
  auto* const core = new detail::oneshot_core<T>;
  return oneshot_ends<T>{oneshot_sender<T>(core), oneshot_receiver<T>(core)};
}

}  // namespace weft
