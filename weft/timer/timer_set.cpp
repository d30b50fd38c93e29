// Protocol
//   An entry's state changes under the lock only:
//     idle, fired -> armed -> fired     arm, advance
//     armed -> idle                     cancel: true
//     idle -> cancelled_early -> idle   cancel before arm; arm: false
//   I1  What advance() took out as `fired` is touched by nobody else until its fire() is called: a
//       cancel() that meets it says false and leaves it alone.
//   I2  next_ns_ is never later than the next deadline when the lock is free.
//   P1  the lock: entry contents, arm -> cancel, advance.
//
// Rejected: one compare-exchange on the timer's state. A cancel from another thread must take the
// entry out of its slot before the frame that holds it goes away. Without a lock only the owner can
// do that, so every timeout whose job was stolen would wait for a round trip to the worker that
// armed it. An uncontended lock costs 6 ns.
#include "weft/timer/timer_set.hpp"

#include "weft/base/assert.hpp"
#include "weft/base/census.hpp"

namespace weft {
namespace {

std::uint64_t tick_at_or_after(std::int64_t ns, std::int64_t tick_ns) noexcept {
  if (ns == never_ns) return wheel::no_tick;
  if (ns <= 0) return 0;
  return static_cast<std::uint64_t>(ns / tick_ns + (ns % tick_ns != 0));
}

}  // namespace

timer_set::~timer_set() {
  WEFT_ASSERT(size() == 0, "a timer set was destroyed with timers in it; cancel them first");
}

/// The wheel knows ticks. Within one the order is made here, by merging runs, outside of the lock.
void timer_set::sort(wheel::list& due) noexcept {
  constexpr int runs_max = 64;  // the i-th holds about 2^i entries
  const auto merge = [](wheel::list& older, wheel::list& newer) {
    wheel::list merged;
    while (!older.empty() && !newer.empty()) {
      // Equal ones: the older first.
      wheel::list& from = newer.front().deadline_ns_ < older.front().deadline_ns_ ? newer : older;
      merged.push_back(from.pop_front());
    }
    merged.splice_back(older);
    merged.splice_back(newer);
    older.splice_back(merged);
  };
  bool sorted = true;
  std::int64_t last = INT64_MIN;
  due.for_each([&](timer_entry& entry) {
    sorted = sorted && last <= entry.deadline_ns_;
    last = entry.deadline_ns_;
  });
  if (sorted) return;

  wheel::list runs[runs_max];
  int used = 0;
  while (!due.empty()) {
    wheel::list run;
    do {
      last = due.front().deadline_ns_;
      run.push_back(due.pop_front());
    } while (!due.empty() && due.front().deadline_ns_ >= last);
    int i = 0;
    for (; i < used && !runs[i].empty(); ++i) {
      merge(runs[i], run);
      run.splice_back(runs[i]);
    }
    runs[i].splice_back(run);
    if (i == used) ++used;
  }
  for (int i = 0; i < used; ++i) {  // the higher, the older
    merge(runs[i], due);
    due.splice_back(runs[i]);
  }
}

void timer_set::note_next() noexcept {
  const std::uint64_t tick = wheel_.next_tick();
  constexpr std::uint64_t last = static_cast<std::uint64_t>(INT64_MAX / tick_ns);
  next_ns_.store(tick > last ? never_ns : static_cast<std::int64_t>(tick) * tick_ns,
                 order::relaxed);
  size_.store(wheel_.size(), order::relaxed);
}

bool timer_set::arm(timer_entry& entry, std::int64_t deadline_ns) noexcept {
  spin_guard guard(lock_);
  if (WEFT_MUTATE("timer.arm.ignores_cancel",
                  entry.state_.get() == timer_entry::state::cancelled_early, false)) {
    entry.state_.set(timer_entry::state::idle);
    return false;
  }
  WEFT_ASSERT(entry.state_.get() != timer_entry::state::armed, "a timer was armed twice");
  entry.state_.set(timer_entry::state::armed);
  entry.deadline_ns_ = deadline_ns;
  wheel_.insert(entry, tick_at_or_after(deadline_ns, tick_ns));
  census_add(census_kind::timers, 1);
  if (!WEFT_MUTATE("timer.next.not_told", false, true)) note_next();
  return true;
}

bool timer_set::cancel(timer_entry& entry) noexcept {
  spin_guard guard(lock_);
  if (entry.state_.get() == timer_entry::state::idle) {
    entry.state_.set(timer_entry::state::cancelled_early);
    return false;
  }
  if (entry.state_.get() != timer_entry::state::armed) return false;  // I1
  entry.state_.set(timer_entry::state::idle);
  wheel_.remove(entry);
  census_add(census_kind::timers, -1);
  note_next();
  return true;
}

unsigned timer_set::advance(std::int64_t now_ns) noexcept {
  if (now_ns < next_ns_.load(order::relaxed)) return 0;
  wheel::list due;
  unsigned fired = 0;
  {
    spin_guard guard(lock_);
    wheel_.advance(static_cast<std::uint64_t>(now_ns > 0 ? now_ns / tick_ns : 0), due);
    due.for_each([&](timer_entry& entry) {
      if (!WEFT_MUTATE("timer.fired.not_marked", false, true)) {
        entry.state_.set(timer_entry::state::fired);
      }
      ++fired;
    });
    note_next();
  }
  if (fired != 0) census_add(census_kind::timers, -static_cast<long>(fired));
  sort(due);
  while (!due.empty()) {
    timer_entry& entry = due.pop_front();
    entry.fire_(entry);  // may be gone afterwards
  }
  return fired;
}

}  // namespace weft
