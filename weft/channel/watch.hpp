// watch: one value, of which the newest counts: settings, a state, a progress.
//
//   auto [to, from] = watch<config>(first);
//   spawn([](watch_receiver<config> from) -> task<> {
//     for (;;) {
//       const auto newer = co_await from.changed();
//       if (!newer) co_return;                      // there will be no other
//       use(*from.borrow());
//     }
//   }, std::move(from));
//   to.send(second);
//
// A receiver sees the newest value, never an older one after it, and may skip those in between.
//
//   Threads   any. A handle is one job's at a time; copies of it are for the others
//   Cost      to look at the value: a spin lock, held for some counting, before and after. T is never
//             copied, moved or looked at under the lock, so it may be big, and a look may take long
//   Lent      what borrow() gives is a version that stays as it is as long as it is lent. It may be held
//             across an await, and keeps nobody from sending: it costs the memory of its version, and
//             grows old
//   Cancel    changed() that is stopped has seen nothing new: the next one reports it
//   Budget    what need not wait spends some
//   Memory    two values, and one for each version that is lent at the same time; kept until the watch
//             goes. In the steady state nothing for a send or a wait
//   Closing   when the last sender goes: what is not seen yet is still reported, then changed() is false.
//             The value stays. Without receivers senders may go on, for those that subscribe later
//   T         its move must not throw
//   After     Tokio's watch; there a look holds a lock that senders wait for
//   Protocol  below, at watch_core; of waiting: news.cpp
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/channel/message_ring.hpp"
#include "weft/channel/news.hpp"
#include "weft/task/ready_look.hpp"
#include "weft/task/task.hpp"

namespace weft {

template <class T>
class watch_sender;
template <class T>
class watch_receiver;

template <class T>
struct watch_ends {
  watch_sender<T> sender;
  watch_receiver<T> receiver;
};

/// The receiver has seen `initial`: changed() waits for another one. Errors: std::bad_alloc.
template <class T>
[[nodiscard]] watch_ends<T> watch(T initial);

namespace detail {

// Protocol
//
// Counts, lists and which version is the newest are under the lock of news, whose number counts versions.
//
//   I1  A version is written before it becomes the newest, and never after: who pins it reads it without
//       the lock.
//   I2  pins: 1 for being the newest, and 1 for each that reads it. Whoever takes the last one away has it
//       alone, empties it, and puts it among the spare ones.
//   I3  Who holds a pin finds the same version at the same address: it is not used for another one.
template <class T>
class watch_core final : public news {
 public:
  class version {
   public:
    const T& value() const noexcept {
      static_cast<void>(written_.get());
      return *value_;
    }

   private:
    friend class watch_core;
    std::optional<T> value_;
    plain<bool> written_{false};  // what the checker watches in the place of the value
    std::size_t pins_ = 0;
    version* next_ = nullptr;
  };

  explicit watch_core(T&& initial) : newest_(new version) {
    write(*newest_, std::move(initial));
    newest_->pins_ = 1;
  }
  ~watch_core() {
    delete newest_;
    while (spare_ != nullptr) delete std::exchange(spare_, spare_->next_);
  }

  /// The newest one, pinned, and the core held. `seen`, if not null, becomes its number.
  version& lend(std::uint64_t* seen) noexcept {
    const patient_guard guard(lock());
    hold();
    if (seen != nullptr) *seen = number();
    return pin();
  }
  static void give_back(watch_core* core, version& v) noexcept {
    bool last = false, unused = false;
    {
      const patient_guard guard(core->lock());
      unused = --v.pins_ == 0;
      if (!unused) last = core->let_go();
    }
    if (unused) {
      core->recycle(v);
      last = core->let_go_now();
    }
    if (last) delete core;
  }

  /// Result: how many receivers there are.
  std::size_t send(T&& value) {
    version& fresh = make();
    write(fresh, std::move(value));
    std::size_t to = 0;
    static_cast<void>(publish(fresh, nullptr, to));
    return to;
  }
  template <class F>
  bool send_if_modified(F& f) {
    made fresh(*this);
    for (;;) {
      const pinned before(*this);
      write(fresh.v, before.v.value());
      if (!std::invoke(f, *fresh.v.value_)) return false;
      std::size_t to = 0;
      if (publish(fresh.v, &before.v, to)) return fresh.published = true;
    }
  }

  /// Under no lock. Whether there is one after `seen`, which becomes the newest one's number.
  bool see(std::uint64_t& seen) noexcept {
    const patient_guard guard(lock());
    return std::exchange(seen, number()) != number();
  }
  std::uint64_t number_now() noexcept {
    const patient_guard guard(lock());
    return number();
  }

  /// Another receiver, that has seen the newest. Result: its number.
  std::uint64_t subscribe() noexcept {
    const patient_guard guard(lock());
    add_receiver();
    return number();
  }
  static void drop_receiver(watch_core* core) noexcept {
    bool last = false;
    {
      const patient_guard guard(core->lock());
      core->remove_receiver();
      last = core->let_go();
    }
    if (last) delete core;
  }
  static void drop_sender(watch_core* core) noexcept {
    if (core->news::drop_sender()) delete core;
  }

 private:
  /// A version for whoever makes it; goes back unless it was published.
  struct made {
    explicit made(watch_core& c) : core(c), v(c.make()) {}
    ~made() {
      if (!published) core.recycle(v);
    }
    made(const made&) = delete;
    made& operator=(const made&) = delete;
    watch_core& core;
    version& v;
    bool published = false;
  };
  struct pinned {
    explicit pinned(watch_core& c) noexcept : core(c), v(c.pin_now()) {}
    ~pinned() {
      bool unused = false;
      {
        const patient_guard guard(core.lock());
        unused = --v.pins_ == 0;
      }
      if (unused) core.recycle(v);
    }
    pinned(const pinned&) = delete;
    pinned& operator=(const pinned&) = delete;
    watch_core& core;
    version& v;
  };

  version& pin() noexcept {
    ++newest_->pins_;
    return *newest_;
  }
  version& pin_now() noexcept {
    const patient_guard guard(lock());
    return pin();
  }
  version& make() {
    {
      const patient_guard guard(lock());
      if (spare_ != nullptr) return *std::exchange(spare_, spare_->next_);
    }
    return *new version;
  }
  template <class U>
  static void write(version& v, U&& value) {
    v.written_.set(true);
    v.value_.emplace(std::forward<U>(value));
  }
  /// False: the newest is not `only_after`, if that is asked for, and nothing has happened.
  bool publish(version& fresh, const version* only_after, std::size_t& to) noexcept {
    version* old = nullptr;
    bool wake = false;
    {
      const patient_guard guard(lock());
      old = newest_;
      if (WEFT_MUTATE("watch.publish.over_another", only_after != nullptr && old != only_after,
                      false)) {
        return false;
      }
      newest_ = &fresh;
      fresh.pins_ = 1;
      wake = advance();
      to = receivers();
      --old->pins_;
      if (WEFT_MUTATE("watch.publish.sees_no_pin", old->pins_ != 0, false)) old = nullptr;
    }
    if (wake) wake_readers();
    if (old != nullptr) recycle(*old);
    return true;
  }
  /// I2: the caller has it alone. The value goes outside of the lock: it may hold a handle of this watch.
  void recycle(version& v) noexcept {
    v.written_.set(false);
    v.value_.reset();
    const patient_guard guard(lock());
    v.next_ = spare_;
    spare_ = &v;
  }

  version* newest_;
  version* spare_ = nullptr;
};

}  // namespace detail

/// A version of the value, lent: it stays as it is, however many newer ones come.
template <class T>
class [[nodiscard]] watch_ref {
  using core_type = detail::watch_core<T>;

 public:
  watch_ref(core_type& core, typename core_type::version& v) noexcept
      : core_(&core), version_(&v) {}
  watch_ref(watch_ref&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)), version_(other.version_) {}
  watch_ref& operator=(watch_ref&& other) noexcept {
    watch_ref taken(std::move(other));
    std::swap(core_, taken.core_);
    std::swap(version_, taken.version_);
    return *this;
  }
  ~watch_ref() {
    if (core_ != nullptr) core_type::give_back(core_, *version_);
  }
  const T& operator*() const noexcept WEFT_LIFETIMEBOUND {
    WEFT_CHECK_SLOW(core_ != nullptr, "a watch_ref that was moved from is used");
    return version_->value();
  }
  const T* operator->() const noexcept WEFT_LIFETIMEBOUND { return &**this; }

 private:
  core_type* core_;
  typename core_type::version* version_;
};

template <class T>
class watch_operation final : public awaitable_operation<watch_operation<T>, detail::news_waiter> {
  using base = awaitable_operation<watch_operation<T>, detail::news_waiter>;

 public:
  watch_operation(detail::watch_core<T>& core, std::uint64_t& seen) noexcept
      : base(core), core_(core), seen_(seen) {}
  bool await_ready() noexcept {
    return detail::line_waiter::may_try_now() && core_.any_after_now(seen_);
  }
  std::coroutine_handle<> start(promise_base& who) noexcept {
    return this->wait_for_news(who, core_, seen_);
  }
  bool await_resume() noexcept { return core_.see(seen_); }
  const char* what() const noexcept override { return "watch"; }

 private:
  detail::watch_core<T>& core_;
  std::uint64_t& seen_;
};

/// The sending end. Copies count; when the last one goes, the watch is closed. One that was moved from
/// may only be assigned to, or destroyed.
template <class T>
class watch_sender {
 public:
  watch_sender(const watch_sender& other) noexcept : core_(other.core_) {
    if (core_ != nullptr) core_->add_sender();
  }
  watch_sender(watch_sender&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}
  watch_sender& operator=(watch_sender other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~watch_sender() {
    if (core_ != nullptr) detail::watch_core<T>::drop_sender(core_);
  }

  /// Makes it the newest value. Never waits. Result: how many receivers there are; with none, too, the
  /// value is kept for those that come. Errors: std::bad_alloc, while more versions are lent than ever
  /// before; then nothing has happened.
  std::size_t send(T value) const { return core().send(std::move(value)); }
  /// Calls f(T&) with a copy of the newest value; if that is true the copy becomes the newest one. No
  /// value that another sender sent meanwhile is overwritten unseen: f is then called again, with that
  /// one. What f throws comes out, and nothing has happened. Result: f's last.
  template <class F>
    requires std::copy_constructible<T>
  bool send_if_modified(F&& f) const {
    return core().send_if_modified(f);
  }
  /// The newest value, lent: see the top.
  watch_ref<T> borrow() const noexcept { return watch_ref<T>(core(), core().lend(nullptr)); }
  /// A copy of it.
  [[nodiscard]] T get() const { return *borrow(); }
  /// A receiver more, that has seen the newest value.
  [[nodiscard]] watch_receiver<T> subscribe() const noexcept;
  /// How many receivers there are; a moment's truth.
  std::size_t receivers() const noexcept { return core().receivers_now(); }

 private:
  template <class U>
  friend watch_ends<U> watch(U initial);
  explicit watch_sender(detail::watch_core<T>* core) noexcept : core_(core) {}
  detail::watch_core<T>& core() const noexcept {
    WEFT_CHECK_SLOW(core_ != nullptr, "a watch_sender that was moved from is used");
    return *core_;
  }
  detail::watch_core<T>* core_;
};

/// The receiving end. A copy has seen what the original has seen.
template <class T>
class watch_receiver {
 public:
  watch_receiver(const watch_receiver& other) noexcept : core_(other.core_), seen_(other.seen_) {
    if (core_ != nullptr) static_cast<void>(core_->subscribe());
  }
  watch_receiver(watch_receiver&& other) noexcept
      : core_(std::exchange(other.core_, nullptr)), seen_(other.seen_) {}
  watch_receiver& operator=(watch_receiver other) noexcept {
    std::swap(core_, other.core_);
    std::swap(seen_, other.seen_);
    return *this;
  }
  ~watch_receiver() {
    if (core_ != nullptr) detail::watch_core<T>::drop_receiver(core_);
  }

  /// `co_await`: waits until there is a value that this receiver has not seen, and counts it as seen.
  /// Result: false: there is none, and no sender any more. Cancel: nothing was counted as seen.
  [[nodiscard("co_await it")]] watch_operation<T> changed() noexcept WEFT_LIFETIMEBOUND {
    return watch_operation<T>(core(), seen_);
  }
  /// Whether changed() would not wait for a value. It stays unseen. A moment's truth, except `true`.
  bool has_changed() const noexcept { return core().number_now() != seen_; }
  /// The newest value, lent (see the top). It is not counted as seen.
  watch_ref<T> borrow() const noexcept { return watch_ref<T>(core(), core().lend(nullptr)); }
  /// As borrow(); it is counted as seen.
  watch_ref<T> borrow_and_see() noexcept { return watch_ref<T>(core(), core().lend(&seen_)); }
  /// A copy of the newest value. It is not counted as seen.
  [[nodiscard]] T get() const { return *borrow(); }
  /// f(const T&) of the newest value; its result. It is not counted as seen.
  template <class F>
  decltype(auto) read(F&& f) const {
    const watch_ref<T> newest = borrow();
    return std::invoke(std::forward<F>(f), *newest);
  }
  /// `co_await`: waits for a value of which pred(const T&) is true; the newest one is looked at first,
  /// seen or not. Result: it, lent, and counted as seen, as are those of which it was false. nullopt:
  /// there is none, and no sender any more. Throws what pred throws.
  /// It is a task: only in a coroutine of weft, and the receiver stays where it is meanwhile.
  template <class P>
  task<std::optional<watch_ref<T>>> wait_for(P pred) WEFT_LIFETIMEBOUND {
    co_await detail::ready_look("watch");
    for (;;) {
      {
        watch_ref<T> newest = borrow_and_see();
        if (std::invoke(pred, *newest)) co_return std::optional<watch_ref<T>>(std::move(newest));
      }
      const bool newer = co_await changed();
      if (!newer) co_return std::nullopt;
    }
  }
  /// A receiver more, that has seen the newest value.
  [[nodiscard]] watch_receiver subscribe() const noexcept {
    return watch_receiver(&core(), core().subscribe());
  }
  /// There is no sender any more. A moment's truth, except `true`.
  bool closed() const noexcept { return core().closed_now(); }

 private:
  friend class watch_sender<T>;
  template <class U>
  friend watch_ends<U> watch(U initial);
  watch_receiver(detail::watch_core<T>* core, std::uint64_t seen) noexcept
      : core_(core), seen_(seen) {}
  detail::watch_core<T>& core() const noexcept {
    WEFT_CHECK_SLOW(core_ != nullptr, "a watch_receiver that was moved from is used");
    return *core_;
  }
  detail::watch_core<T>* core_;
  std::uint64_t seen_;  // the number of the newest version that it has seen
};

// ---------------------------------------------------------------------------------------------

template <class T>
watch_receiver<T> watch_sender<T>::subscribe() const noexcept {
  return watch_receiver<T>(&core(), core().subscribe());
}

template <class T>
watch_ends<T> watch(T initial) {
  detail::require_message<T>();
  auto* const core = new detail::watch_core<T>(std::move(initial));
  return watch_ends<T>{watch_sender<T>(core), watch_receiver<T>(core, 0)};
}

}  // namespace weft
