// shared_mutex: many readers, or one writer.
//
//   weft::shared_mutex m;
//   const auto reading = co_await m.lock_shared();   // beside other readers
//   const auto writing = co_await m.lock();          // alone
//
//   Fairness  FIFO among who waits; readers next to each other enter together. Who comes while others
//             wait may enter first, for a woken job needs a while to run, but so often only: of
//             overtakes_max + 1 entries in a row that are in the way of somebody who waits at least one
//             is by one who had waited. So neither do readers starve a writer nor writers a
//             reader: the n-th in line is in after at most n * (overtakes_max + 1) of those. Who came up
//             in vain, because somebody stays for longer, is let in as soon as there is room.
//             A job that reads must not ask to read again: it may come to stand behind a
//             writer that waits for it (see Debug)
//   Threads   any; a plain thread waits by weft::block_on(m.lock_shared())
//   Cost      nobody is in: one compare-exchange to lock, beside readers two; one subtraction (who wrote:
//             compare-exchange) to unlock; beside others who wait the same, but for those who let
//             them in. Who meets another thread at it stays away for about two microseconds. See
//             wait_list.hpp
//   Cancel    a stopped lock has not locked, and lets in who stood behind it; one that was handed the
//             lock completes, and its guard is there to unlock it
//   Memory    24 bytes; no allocation per wait
//   Lifetime  who has the lock may unlock and destroy it, even while another's unlock returns
//   After     the bound on overtaking: Go's sync.Mutex, which bounds it in time
//   Protocol  top of shared_mutex.cpp
//   Debug     a job that waits for what it reads itself is reported, to read it again or to write it, as
//             far as that is known: see shared_holds.hpp
#pragma once

#include <utility>

#include "weft/sync/shared_holds.hpp"
#include "weft/task/current.hpp"
#include "weft/task/wait_list.hpp"

namespace weft {

template <bool Writes>
class shared_mutex_guard;

class shared_mutex {
 public:
  template <bool Writes>
  class locking;
#if WEFT_MODEL
  template <bool Writes>
  using lock_await = locking<Writes>;  // there are no coroutines that could await it
#else
  template <bool Writes>
  using lock_await = wait_list_await<locking<Writes>>;
#endif

  shared_mutex() noexcept = default;
  ~shared_mutex() {
    WEFT_ASSERT(
        wait_list::state_of(list_.load(order::relaxed)) == 0,
        "a shared_mutex was destroyed while locked, or while somebody waits for it; let its "
        "guards go first");
  }

  [[nodiscard("co_await it")]] lock_await<true> lock() noexcept;
  [[nodiscard("co_await it")]] lock_await<false> lock_shared() noexcept;
  /// Result: a guard that holds nothing if it would have had to wait.
  [[nodiscard("it unlocks when it goes away: give it a name")]] shared_mutex_guard<true>
  try_lock() noexcept;
  [[nodiscard("it unlocks when it goes away: give it a name")]] shared_mutex_guard<false>
  try_lock_shared() noexcept;

  /// While others wait, so many may come and enter before one of those does.
  static constexpr unsigned overtakes_max = WEFT_MODEL ? 1 : 32;

 private:
  template <bool>
  friend class shared_mutex_guard;
  class request;
  using word = wait_list::word;
  // Bits of the state: see shared_mutex.cpp.
  static constexpr word writing = 1;
  static constexpr word called = 2;
  static constexpr word overtake = 4;  // one of them
  static constexpr word overtakes_limit = overtake * overtakes_max;
  static constexpr word coming = 256;  // one of them
  static constexpr word overtakes = coming - overtake;
  static constexpr word reader = coming << 20;  // one of them
  static constexpr word coming_all = reader - coming;
  static_assert(overtakes_limit < coming);

  static constexpr word unit(bool writes) noexcept { return writes ? writing : reader; }
  static constexpr bool is_free(word state) noexcept {
    return state < reader && (state & writing) == 0;
  }
  /// The last reader has begun to leave, and holds it until that is done (I7).
  static bool is_being_left(word state, bool crowded) noexcept {
    return crowded && is_free(state) && (state & (called | coming_all)) == 0;
  }
  /// For somebody who has not waited. A reader is not in the way of readers that were called.
  static bool may_enter(word state, bool writes, bool crowded) noexcept {
    if (WEFT_MUTATE("shared_mutex.entered_while_it_is_left", is_being_left(state, crowded),
                    false)) {
      return false;
    }
    if (writes) return is_free(state) && may_overtake(state);
    return (state & writing) == 0 && ((!crowded && (state & called) == 0) || may_overtake(state));
  }
  static bool may_overtake(word state) noexcept {
    return (state & overtakes) <
           WEFT_MUTATE("shared_mutex.overtakes.without_end", overtakes_limit, ~word{0});
  }
  static word entered(word state, bool writes, bool crowded) noexcept {
    const word others = state & (writes ? called | coming_all : called);
    const bool passes_line =
        WEFT_MUTATE("shared_mutex.overtakes.of_those_in_line_uncounted", crowded, false);
    return state + unit(writes) + (passes_line || others != 0 ? overtake : 0);
  }
  /// For the one in front.
  static bool has_room(word state, bool writes) noexcept {
    if ((state & called) != 0) return false;
    return writes ? is_free(state) && WEFT_MUTATE("shared_mutex.called.beside_coming_readers",
                                                  (state & coming_all) == 0, true)
                  : (state & writing) == 0 && (state & coming_all) != coming_all;
  }
  bool try_enter(bool writes) noexcept;
  void leave(bool writes) noexcept;
  // The same beside others.
  bool enter_beside(word seen, bool writes) noexcept;
  void writer_leaves_beside(word seen) noexcept;
  void reader_left_beside(word seen) noexcept;
  void leave_to_waiters(bool writes) noexcept;
  static bool pass_on(wait_list::hold& held, word state, wait_list::list& taken) noexcept;

  wait_list list_{0};
};

class shared_mutex::request : public wait_list::waiter {
 protected:
  explicit request(wait_list& in) noexcept : waiter(in) {}
  ~request() = default;
  bool left(wait_list::hold& held, wait_list::list& taken) noexcept final;
  enum class came : std::uint8_t { in, in_vain, to_be_stopped };
  came came_up(promise_base& who, wait_list::list& taken) noexcept;

  bool writes_;  // written when it looks at the line: most never do
  bool owns_;    // written by whoever takes it from the list: it was handed the lock

 private:
  friend class shared_mutex;
};

/// Holds a shared_mutex for one side, or nothing.
template <bool Writes>
class [[nodiscard("it unlocks when it goes away: give it a name")]] shared_mutex_guard {
 public:
  shared_mutex_guard() noexcept = default;
  shared_mutex_guard(shared_mutex_guard&& other) noexcept : held_(other.give()) {}
  shared_mutex_guard& operator=(shared_mutex_guard&& other) noexcept {
    if (this != &other) {
      unlock();
      held_ = other.give();
    }
    return *this;
  }
  ~shared_mutex_guard() { unlock(); }

  explicit operator bool() const noexcept { return held_ != nullptr; }
  /// Early. Does nothing if it holds nothing.
  void unlock() noexcept {
    if (shared_mutex* const m = give()) m->leave(Writes);
  }

 private:
  friend class shared_mutex;
  explicit shared_mutex_guard(shared_mutex* held) noexcept : held_(held) {
    if constexpr (is_watched) {
      if (held_ != nullptr) detail::note_share(held_, current_job(), this);
    }
  }
  shared_mutex* give() noexcept {
    if constexpr (is_watched) {
      if (held_ != nullptr) detail::forget_share(held_, this);
    }
    return std::exchange(held_, nullptr);
  }
#ifdef NDEBUG
  static constexpr bool is_watched = false;
#else
  static constexpr bool is_watched = !Writes && !WEFT_MODEL;  // a model has no running job
#endif
  shared_mutex* held_ = nullptr;
};

template <bool Writes>
class [[nodiscard("co_await it")]] shared_mutex::locking final
    : public wait_list_operation<locking<Writes>, shared_mutex::request> {
 public:
  using primitive = shared_mutex;
  explicit locking(shared_mutex& m) noexcept
      : wait_list_operation<locking<Writes>, shared_mutex::request>(m.list_), mutex_(m) {}
  static WEFT_ALWAYS_INLINE bool try_at(shared_mutex& m, job&) noexcept {
    return m.try_enter(Writes);
  }
  bool try_now(job& me) noexcept { return try_at(mutex_, me); }
  bool take(wait_list::hold& held, [[maybe_unused]] job& me, wait_list::list&) noexcept {
    this->writes_ = Writes;
    const word state = held.state();
    if (!may_enter(state, Writes, !held.empty())) {
#if !WEFT_MODEL
      WEFT_CHECK_SLOW(!detail::has_share(&mutex_, me),
                      "a job that reads in a shared_mutex asks for it again, to write, or behind a "
                      "writer that waits for it, and would wait for itself for as long as that one "
                      "waits; let the first guard go, or hand it to the function that locks again");
#endif
      return false;
    }
    held.set(entered(state, Writes, !held.empty()));
    return true;
  }
  std::coroutine_handle<> woken(promise_base& who) noexcept {
    if (this->owns_) return who.handle();
    wait_list::list taken;
    const came how = this->came_up(who, taken);  // With in_vain it may be gone already now.
    if (how == came::in_vain) return std::noop_coroutine();
    wait_list::wake(taken);
    return how == came::in ? who.handle() : unwind(who);
  }
  static shared_mutex_guard<Writes> result_at(shared_mutex& m) noexcept {
    return shared_mutex_guard<Writes>(&m);
  }
  shared_mutex_guard<Writes> await_resume() const noexcept { return result_at(mutex_); }
  const char* what() const noexcept override { return "shared_mutex"; }

 private:
  using came = typename shared_mutex::request::came;
  shared_mutex& mutex_;
};

inline shared_mutex::lock_await<true> shared_mutex::lock() noexcept {
  return lock_await<true>(*this);
}
inline shared_mutex::lock_await<false> shared_mutex::lock_shared() noexcept {
  return lock_await<false>(*this);
}
inline shared_mutex_guard<true> shared_mutex::try_lock() noexcept {
  return shared_mutex_guard<true>(try_enter(true) ? this : nullptr);
}
inline shared_mutex_guard<false> shared_mutex::try_lock_shared() noexcept {
  return shared_mutex_guard<false>(try_enter(false) ? this : nullptr);
}

WEFT_ALWAYS_INLINE bool shared_mutex::try_enter(bool writes) noexcept {
  word seen = wait_list::calm(0);
  if (list_.change(seen, unit(writes),
                   WEFT_MUTATE("shared_mutex.enter.relaxed", order::acquire, order::relaxed))) {
    return true;
  }
  return enter_beside(seen, writes);
}

WEFT_ALWAYS_INLINE void shared_mutex::leave(bool writes) noexcept {
  if (!writes) {
    const word seen = list_.subtract(
        reader, WEFT_MUTATE("shared_mutex.leave.relaxed", order::release, order::relaxed));
    if (wait_list::is_calm(seen)) return;  // the last access
    return reader_left_beside(seen);
  }
  word seen = wait_list::calm(writing);
  if (list_.change(seen, 0,
                   WEFT_MUTATE("shared_mutex.leave.relaxed", order::release, order::relaxed))) {
    return;  // the last access
  }
  writer_leaves_beside(seen);
}

}  // namespace weft
