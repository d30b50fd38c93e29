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
//   Cost      a block of the frame pool; one compare-exchange of the sender. The receiver has none if it
//             comes later; to wait, see wait_list.hpp
//   Cancel    a receive that is stopped has received nothing, and may be repeated
//   Budget    a value that is there spends some
//   T         as a channel's: its move must not throw
//   Protocol  below, at oneshot_core; of waiting: wait_list.cpp
#pragma once

#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/channel/message_ring.hpp"
#include "weft/channel/send_result.hpp"
#include "weft/task/frame_pool.hpp"
#include "weft/task/wait_list.hpp"

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
//   The state in the word of list_ is how it began, and then one of
//     done  the sender has sent, or will not
//     gone  the receiver went before that
//   The one who waits in the list is the receiver.
//
//   I1  The sender changes it to `done` once, and touches nothing afterwards but whom that wakes. What is
//       in value_ until then is the sender's, and from then on the receiver's.
//   I2  The receiver changes it to `gone` once, when it goes; if it is not done, nothing of its is
//       touched afterwards. Who finds the other one's change frees the core.
//   P1  sender: CAS (release), or the end of a hold  ->  receiver: load (acquire), or the begin of
//       one: the value, and all of the sender's accesses before the core is freed.
//   P2  receiver: the end of a hold  ->  sender: the begin of one: the same the other way round.
template <class T>
class oneshot_core {
 public:
  static oneshot_core* make() {
#if !WEFT_MODEL
    if constexpr (alignof(oneshot_core) <= cache_line) {
      return new (allocate_pooled(sizeof(oneshot_core))) oneshot_core;
    }
#endif
    return new oneshot_core;
  }
  void free() noexcept {
#if !WEFT_MODEL
    if constexpr (alignof(oneshot_core) <= cache_line) {
      std::destroy_at(this);
      return free_pooled(this, sizeof(oneshot_core));
    }
#endif
    delete this;
  }

  // The sender's.
  void fill(T&& value) noexcept { value_.emplace(std::move(value)); }
  /// The last call. False: the receiver has gone, and the core is the caller's to free.
  [[nodiscard]] bool end() noexcept {
    wait_list::word seen = list_.load(order::relaxed);
    if (seen == wait_list::calm(0) &&
        list_.change(seen, done,
                     WEFT_MUTATE("oneshot.end.relaxed", order::release, order::relaxed))) {  // P1
      return true;
    }
    return end_beside();
  }
  bool receiver_gone() const noexcept { return look(order::relaxed) == gone; }

  // The receiver's.
  bool is_done() const noexcept {
    return look(WEFT_MUTATE("oneshot.look.relaxed", order::acquire, order::relaxed)) == done;  // P1
  }
  static bool is_done(const wait_list::hold& held) noexcept { return held.state() == done; }
  /// When it is done: what was sent, if it was not taken before.
  std::optional<T> take() noexcept {
    std::optional<T> got(std::move(value_));
    value_.reset();
    return got;
  }
  void drop_receiver() noexcept {
    if (!is_done()) {
      wait_list::hold held(list_);
      if (WEFT_MUTATE("oneshot.drop.overlooks_done", !is_done(held), true)) return held.set(gone);
    }
    free();
  }
  wait_list& list() noexcept { return list_; }

 private:
  static constexpr wait_list::word done = 1;
  static constexpr wait_list::word gone = 2;

  wait_list::word look(order o) const noexcept { return wait_list::state_of(list_.load(o)); }
  /// Somebody waits, or has gone.
  WEFT_NOINLINE bool end_beside() noexcept {
    wait_list::waiter* first = nullptr;
    {
      wait_list::hold held(list_);
      if (WEFT_MUTATE("oneshot.end.sees_no_receiver_gone", held.state() == gone, false))
        return false;
      if (WEFT_MUTATE("oneshot.end.wakes_nobody", true, false)) {
        while (first == nullptr && !held.empty()) first = held.take_one();
      }
      held.set(done);
    }
    if (first != nullptr) wait_list::wake(*first);
    return true;
  }

  wait_list list_{0};
  std::optional<T> value_;
};

}  // namespace detail

template <class T>
class oneshot_operation final : public wait_list_operation<oneshot_operation<T>> {
 public:
  explicit oneshot_operation(detail::oneshot_core<T>& core) noexcept
      : wait_list_operation<oneshot_operation<T>>(core.list()), core_(core) {}
  bool try_now(job&) const noexcept { return core_.is_done(); }
  bool take(const wait_list::hold& held, job&, wait_list::list&) const noexcept {
    return core_.is_done(held);
  }
  std::optional<T> await_resume() noexcept { return core_.take(); }
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
    if (core_ != nullptr && !core_->end()) core_->free();
  }

  /// Never waits; once. Result: true, or the value back because nobody will receive it.
  send_result<T> send(T value) noexcept {
    WEFT_ASSERT(core_ != nullptr, "a oneshot sends once; a channel sends more");
    detail::oneshot_core<T>* const core = std::exchange(core_, nullptr);
    core->fill(std::move(value));
    if (WEFT_LIKELY(core->end())) return send_result<T>();
    send_result<T> refused(send_status::closed, *core->take());
    core->free();
    return refused;
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
    return core_->is_done() ? core_->take() : std::nullopt;
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
  auto* const core = detail::oneshot_core<T>::make();
  return oneshot_ends<T>{oneshot_sender<T>(core), oneshot_receiver<T>(core)};
}

}  // namespace weft
