// line: how jobs wait in a primitive whose state is guarded by a spin lock: the look at the state and
// the joining of the line are one step, so nothing can change in between.
//
//   class receiving final : public awaitable_operation<receiving, detail::line_waiter> {
//     std::coroutine_handle<> start(promise_base& who) noexcept {
//       return wait_in_line(who, [this](line_waiter*& woken) { return look(woken); },
//                           [this](const claiming_job& me) { return line_unless_ready(me); });
//     }                                     // look(): the line to wait in, or nullptr: it is done
//   // whoever lets one in
//   line_waiter* next = nullptr;
//   {
//     const patient_guard guard(lock_);
//     next = take_first(line_);                        // now its result may be filled in
//   }
//   if (next) next->wake();
//
//   Fairness  FIFO
//   Threads   any
//   Cost      to wait: an exchange for the lock besides the one of job::arm(). To let one in: that of
//             the lock, which whoever changes the state holds anyway
//   Cancel    a stopped waiter is taken out in O(1); one that was taken is completed, not stopped.
//             A job that was stopped before takes nothing
//   Memory    80 bytes a waiter, in the frame of whoever waits
//   Lifetime  the lock lives while somebody waits under it: until wake() of a waiter that was taken
//   Protocol  top of line.cpp
#pragma once

#include <coroutine>
#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/intrusive_list.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/task/claim.hpp"
#include "weft/task/current.hpp"
#include "weft/task/promise.hpp"

namespace weft::detail {

class line_waiter;
struct line_tag {};
using line_of_waiters = intrusive_list<line_waiter, line_tag>;

/// For a lock that two threads want all the time: who finds it taken stays away for some dozens of
/// operations of the other one, which meanwhile has all that it guards in its own cache. To move that
/// from core to core for each operation costs ten times what the operations do.
void lock_when_free(spin_lock& taken) noexcept;

class patient_guard {
 public:
  explicit patient_guard(spin_lock& l) noexcept : lock_(l) {
    if (WEFT_UNLIKELY(!l.try_lock())) lock_when_free(l);
  }
  ~patient_guard() { lock_.unlock(); }
  patient_guard(const patient_guard&) = delete;
  patient_guard& operator=(const patient_guard&) = delete;

 private:
  spin_lock& lock_;
};

/// An operation that waits in a line. What is handed over goes into the derived class, under the lock.
class line_waiter : public operation, public list_hook<line_tag> {
 public:
  void withdraw() noexcept final;
  /// Ends the wait of one that was taken. Not under the lock. The last access to it.
  void wake() noexcept { finish(false); }
  /// It may stand in a select: see wait_list::waiter.
  static constexpr bool takes_claim = true;

 protected:
  explicit line_waiter(spin_lock& lock) noexcept : lock_(lock) {}
  ~line_waiter() = default;

  /// Whether the job that runs here may try at once, without suspending: it has budget, of which a
  /// unit is spent, and is not being stopped.
  static bool may_try_now() noexcept {
    job* const running = current_job();
    return running != nullptr && (!running->stop_requested() || running->shielded()) &&
           running->spend_budget();
  }
  /// For start(). Under the lock calls
  ///   line_of_waiters* look(line_waiter*& woken)
  /// Result: nullptr: done, with all effects; `woken` is who is to be woken because of it. Else: there
  /// was no effect, and this is where to wait.
  /// An operation of a select calls instead, which never has an effect,
  ///   line_of_waiters* peek(const claiming_job& me)
  /// Result: nullptr: look() would not wait. Who waits in the name of the same select does not count.
  /// Without a wait after() is called when the lock is free and the job has not gone on yet: for what else
  /// the look has made necessary.
  template <class Look, class Peek, class After>
  std::coroutine_handle<> wait_in_line(promise_base& who, Look look, Peek peek,
                                       After after) noexcept {
    if (WEFT_UNLIKELY(claiming_job::from(*who.owner()) != nullptr)) return share_wait(who, peek);
    if (who.owner()->arm(*this, who) == job::arm_result::stopped) return unwind(who);
    line_waiter* woken = nullptr;
    {
      const patient_guard guard(lock_);
      if (WEFT_MUTATE("line.asked.ignored", state_.get() == state::asked, false)) {
        state_.set(state::answered);
      } else if (line_of_waiters* const line = look(woken)) {
        state_.set(state::in_line);
        line->push_back(*this);
        return std::noop_coroutine();  // After the lock it may be gone.
      } else {
        state_.set(state::done);
      }
    }
    after();
    return end_here(who, woken);
  }
  template <class Look, class Peek>
  std::coroutine_handle<> wait_in_line(promise_base& who, Look look, Peek peek) noexcept {
    return wait_in_line(who, look, peek, []() noexcept {});
  }

  /// For what would be done at once: if it is of a select, that is to look again, and this does nothing.
  [[nodiscard]] static bool defers(promise_base& who) noexcept {
    claiming_job* const shared = claiming_job::from(*who.owner());
    if (WEFT_LIKELY(shared == nullptr)) return false;
    shared->look_again();
    return true;
  }

 private:
  friend line_waiter* take_front(line_of_waiters& line) noexcept;
  friend bool others_wait(const line_of_waiters& line, const claiming_job& than) noexcept;
  enum class state : std::uint8_t { idle, asked, in_line, done, answered, taken, dropped };

  template <class Peek>
  std::coroutine_handle<> share_wait(promise_base& who, Peek peek) noexcept {
    claiming_job& me = *claiming_job::from(*who.owner());
    state_.set(state::idle);
    by_claim_.set(true);
    // Nobody stops it before it is in line: that does the select, which is here.
    if (me.arm(*this, who) == job::arm_result::stopped) return unwind(who);
    {
      const patient_guard guard(lock_);
      if (line_of_waiters* const line = peek(me)) {
        state_.set(state::in_line);
        line->push_back(*this);
        return std::noop_coroutine();  // After the lock it may be gone.
      }
    }
    static_cast<void>(me.disarm(*this));
    me.look_again();
    return unwind(who);
  }

  std::coroutine_handle<> end_here(promise_base& who, line_waiter* woken) noexcept;

  spin_lock& lock_;
  plain<state> state_{state::idle};  // under the lock
  plain<bool> by_claim_{false};      // of a select; written before it is in line
};

/// The oldest, which is the caller's to fill and to wake(); that must happen. nullptr: it was of a select
/// that was decided elsewhere, and is dropped; there may be others. Somebody waits. Under the lock.
inline line_waiter* take_front(line_of_waiters& line) noexcept {
  line_waiter& first = line.pop_front();
  if (WEFT_UNLIKELY(first.by_claim_.get()) &&
      WEFT_MUTATE("line.claim.unasked", !claiming_job::from(*first.owner())->take_claim(), false)) {
    first.state_.set(WEFT_MUTATE("line.dropped.forgotten", line_waiter::state::dropped,
                                 line_waiter::state::taken));
    return nullptr;
  }
  first.state_.set(WEFT_MUTATE("line.taken.still_in_line", line_waiter::state::taken,
                               line_waiter::state::in_line));
  return &first;
}
/// The oldest that can be taken. nullptr: nobody waits, or does any more. Under the lock.
inline line_waiter* take_first(line_of_waiters& line) noexcept {
  while (!line.empty()) {
    if (line_waiter* const first = take_front(line)) return first;
  }
  return nullptr;
}

/// Whether somebody waits who is not of the same select as `than`. Under the lock.
inline bool others_wait(const line_of_waiters& line, const claiming_job& than) noexcept {
  return line.any_of([&](const line_waiter& w) {
    return !w.by_claim_.get() || !claiming_job::from(*w.owner())->shares_with(than);
  });
}

/// Takes all out of `line` and wakes them. `done(line_waiter&)` is called under the lock, for each.
/// Whoever calls it keeps the lock alive, and has seen to it that no more come.
template <class Done>
void wake_line(spin_lock& lock, line_of_waiters& line, Done done) noexcept {
  constexpr unsigned batch_max = 32;  // taken in one hold of the lock
  for (bool more = true; more;) {
    line_of_waiters taken;
    {
      const patient_guard guard(lock);
      for (unsigned n = 0; n < batch_max; ++n) {
        line_waiter* const w = take_first(line);
        if (w == nullptr) break;
        done(*w);
        taken.push_back(*w);
      }
      more = !line.empty();
    }
    while (!taken.empty()) taken.pop_front().wake();
  }
}

}  // namespace weft::detail
