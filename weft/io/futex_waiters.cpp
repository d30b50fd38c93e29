// op.phase, under lock_: 0 not in a seat yet; 1 withdrawn before it had one; else 2 + its seat's number.
//   I1  An operation is in its seat until its thread has taken it out, which then ends it: exactly once,
//       stopped only if it was withdrawn and its wait ended with the bell.
//   I2  withdraw() that finds another operation in the seat, or none, came too late: completion won.
//   P1  ring: bell up (release)  ->  next, serve: load (acquire). What it tells of is under the lock;
//       the bell is read before the look, so that a ring after the look changes what is slept on.
#include "weft/io/futex_waiters.hpp"

#include <new>

#include "weft/base/assert.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/futex.hpp"

namespace weft::io {
namespace {

constexpr std::uint32_t phase_unseated = 0;
constexpr std::uint32_t phase_withdrawn = 1;
constexpr std::uint32_t phase_seated = 2;

}  // namespace

futex_waiters::~futex_waiters() {
  {
    const spin_guard guard(lock_);
    closing_ = true;
  }
  for (seat& s : seats_) {
    WEFT_ASSERT(s.op == nullptr, "a runtime ended with a futex wait under way; stop it first");
    ring(s);
    if (s.thread.joinable()) s.thread.join();
  }
}

void futex_waiters::ring(seat& s) noexcept {
  s.bell.fetch_add(1, order::release);  // P1
  os::futex_wake(s.bell, 1);
}

/// A seat with a thread, or nullptr. Not in the list of free ones any more.
futex_waiters::seat* futex_waiters::take_seat() noexcept {
  seat* mine = nullptr;
  {
    const spin_guard guard(lock_);
    mine = free_;
    if (mine != nullptr) free_ = mine->next_free;
    if (mine != nullptr && !mine->is_over) return mine;
  }
  if (mine == nullptr) {
    try {
      const spin_guard guard(lock_);
      mine = &seats_.emplace_back();
      mine->home = this;
      mine->number = static_cast<std::uint32_t>(seats_.size() - 1);
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  if (man(*mine)) return mine;
  const spin_guard guard(lock_);
  mine->is_over = true;
  mine->next_free = free_;
  free_ = mine;
  return nullptr;
}

bool futex_waiters::man(seat& s) noexcept {
  if (s.thread.joinable()) s.thread.join();  // its last one has left
  s.is_over = false;
  auto started = os::thread::start(
      "weft futex", stack_bytes,
      [](void* raw) {
        seat& mine = *static_cast<seat*>(raw);
        mine.home->serve(mine);
      },
      &s);
  if (!started) return false;
  s.thread = std::move(*started);
  return true;
}

submitted futex_waiters::submit(io_operation& op, promise_base& waiter,
                                std::int64_t deadline_ns) noexcept {
  op.phase.store(phase_unseated, order::relaxed);
  job& owner = *waiter.owner();
  if (owner.stop_requested() && !owner.shielded()) return submitted::stopped;
  seat* const mine = take_seat();
  if (mine == nullptr) {
    op.answer = io_operation::answer_futex_changed;
    return submitted::done;
  }
  const bool armed = owner.arm(op, waiter) == job::arm_result::armed;
  bool withdrawn = false;
  {
    const spin_guard guard(lock_);
    withdrawn = armed && op.phase.load(order::relaxed) == phase_withdrawn;
    if (!armed || withdrawn) {
      mine->next_free = free_;
      free_ = mine;
    } else {
      op.phase.store(phase_seated + mine->number, order::relaxed);
      mine->op = &op;
      mine->deadline_ns = deadline_ns;
      mine->withdrawn = false;
    }
  }
  if (!armed) return submitted::stopped;
  if (withdrawn) {
    op.end(true);
  } else {
    ring(*mine);  // the operation may be gone already; seats stay
  }
  return submitted::pending;
}

void futex_waiters::withdraw(io_operation& op) noexcept {
  seat* in = nullptr;
  {
    const spin_guard guard(lock_);
    const std::uint32_t phase = op.phase.load(order::relaxed);
    if (phase == phase_unseated) {
      op.phase.store(phase_withdrawn, order::relaxed);
      return;
    }
    in = &seats_[phase - phase_seated];
    if (in->op != &op) return;  // I2
    in->withdrawn = true;
  }
  ring(*in);
}

/// Waits until there is an operation in the seat. False: the thread is to leave.
bool futex_waiters::next(seat& s) noexcept {
  const std::int64_t until = saturating_add_ns(os::monotonic_ns(), keep_ns_);
  for (bool in_time = true;;) {
    const std::uint32_t seen = s.bell.load(order::acquire);  // P1
    {
      const spin_guard guard(lock_);
      if (s.op != nullptr) return true;
      if (closing_) return false;
      if (!in_time) {
        // Somebody may just have taken the seat: it is his then, and this thread stays.
        for (seat* f = free_; f != nullptr; f = f->next_free) {
          if (f != &s) continue;
          s.is_over = true;
          return false;
        }
      }
    }
    in_time = os::futex_wait(s.bell, seen, in_time ? until : never_ns);
  }
}

void futex_waiters::serve(seat& s) noexcept {
  while (next(s)) {
    for (;;) {
      const std::uint32_t unrung = s.bell.load(order::acquire);  // P1
      io_operation* op = nullptr;
      bool withdrawn = false;
      std::int64_t deadline_ns = never_ns;
      {
        const spin_guard guard(lock_);
        op = s.op;
        withdrawn = s.withdrawn;
        deadline_ns = s.deadline_ns;
      }
      auto how = os::futex_end::interrupted;
      if (!withdrawn) {
        how = os::futex_wait_or_bell(op->futex_word(), op->futex_expected(), op->scope_of_futex(),
                                     s.bell, unrung, deadline_ns);
        if (how == os::futex_end::interrupted) continue;
      }
      switch (how) {
        case os::futex_end::woken:
          op->answer = io_operation::answer_futex_woken;
          break;
        case os::futex_end::changed:
          op->answer = io_operation::answer_futex_changed;
          break;
        case os::futex_end::timed_out:
          op->answer = io_operation::answer_futex_timed_out;
          break;
        case os::futex_end::interrupted:
          break;
      }
      {
        const spin_guard guard(lock_);
        s.op = nullptr;
        s.next_free = free_;
        free_ = &s;
      }
      op->end(withdrawn);  // the last access: its job may go on, and the runtime end
      break;
    }
  }
}

}  // namespace weft::io
