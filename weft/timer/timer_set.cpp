// Protocol
//   An entry's state changes under the lock only:
//     idle, fired -> armed -> fired     arm, advance
//     armed -> idle                     cancel: true
//     idle -> cancelled_early -> idle   cancel before arm; arm: false
//   I1  What advance() took out as `fired` is touched by nobody else until its fire() is called: a
//       cancel() that meets it says false and leaves it alone. One is taken out at a time, so what is due
//       after it can still be cancelled, by its fire(), too: a timeout that is over ends a longer sleep
//       inside of it, even if both are found overdue together.
//   I2  next_ns_ is never later than the next deadline when the lock is free.
//   I3  backlog_ is in order, and what is in it is armed: due, but not taken out yet. It is empty, or
//       told by next_ns_, when advance() has returned.
//   I4  An owner on another thread is told after next_ns_ and latest_ns_ are smaller: its wake is by a
//       parker, which keeps it, so the owner either saw the deadline before it slept, or is woken.
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

timer_set::~timer_set() {
  WEFT_ASSERT(size() == 0, "a timer set was destroyed with timers in it; cancel them first");
}

bool timer_set::before(const timer_entry& a, const timer_entry& b) noexcept {
  if (a.deadline_ns_ != b.deadline_ns_) return a.deadline_ns_ < b.deadline_ns_;
  return static_cast<std::int32_t>(a.turn_ - b.turn_) < 0;
}

/// Two lists in order become one, in `older`; at once if `newer` belongs behind it.
void timer_set::merge(wheel::list& older, wheel::list& newer) noexcept {
  if (newer.empty()) return;
  if (older.empty() || before(older.back(), newer.front())) return older.splice_back(newer);
  wheel::list merged;
  while (!older.empty() && !newer.empty()) {
    wheel::list& from = before(newer.front(), older.front()) ? newer : older;
    merged.push_back(from.pop_front());
  }
  merged.splice_back(older);
  merged.splice_back(newer);
  older.splice_back(merged);
}

/// The wheel gives no order. It is made here, by merging runs.
void timer_set::sort(wheel::list& due) noexcept {
  constexpr int runs_max = 64;  // the i-th holds about 2^i entries
  bool sorted = true;
  const timer_entry* last = nullptr;
  due.for_each([&](timer_entry& entry) {
    sorted = sorted && (last == nullptr || before(*last, entry));
    last = &entry;
  });
  if (sorted) return;

  wheel::list runs[runs_max];
  int used = 0;
  while (!due.empty()) {
    wheel::list run;
    do {
      last = &due.front();
      run.push_back(due.pop_front());
    } while (!due.empty() && before(*last, due.front()));
    int i = 0;
    for (; i < used && !runs[i].empty(); ++i) {
      merge(runs[i], run);
      run.splice_back(runs[i]);
    }
    runs[i].splice_back(run);
    if (i == used) ++used;
  }
  for (int i = 0; i < used; ++i) merge(due, runs[i]);
}

void timer_set::note_next() noexcept {
  wheel::moments next = wheel_.next();
  if (!backlog_.empty() && backlog_.front().deadline_ns_ < next.deadline_ns) {
    next.deadline_ns = next.latest_ns = backlog_.front().deadline_ns_;
  }
  next_ns_.store(next.deadline_ns, order::relaxed);
  latest_ns_.store(next.latest_ns, order::relaxed);
}

void timer_set::count(std::int64_t more) noexcept {
  if (more == 0) return;
  size_.store(size_.load(order::relaxed) + static_cast<std::uint64_t>(more), order::relaxed);
  census_add(census_kind::timers, static_cast<long>(more));
}

bool timer_set::arm(timer_entry& entry, std::int64_t deadline_ns) noexcept {
  const armed how = insert(entry, deadline_ns);
  if (how == armed::sooner && told_ != nullptr) told_(whom_);  // I4
  return how != armed::no;
}

timer_set::armed timer_set::insert(timer_entry& entry, std::int64_t deadline_ns) noexcept {
  spin_guard guard(lock_);
  if (WEFT_MUTATE("timer.arm.ignores_cancel",
                  entry.state_.get() == timer_entry::state::cancelled_early, false)) {
    entry.state_.set(timer_entry::state::idle);
    return armed::no;
  }
  armed how = armed::yes;
  WEFT_ASSERT(entry.state_.get() != timer_entry::state::armed, "a timer was armed twice");
  entry.state_.set(timer_entry::state::armed);
  entry.turn_ = turns_++;
  wheel_.insert(entry, deadline_ns);
  count(1);
  // I2, and still exact: what was the next before is behind this one, or before it.
  if (deadline_ns < next_ns_.load(order::relaxed) &&
      !WEFT_MUTATE("timer.next.not_told", false, true)) {
    next_ns_.store(deadline_ns, order::relaxed);
    how = armed::sooner;
  }
  if (const std::int64_t latest = wheel::latest_of(entry);
      latest < latest_ns_.load(order::relaxed)) {
    latest_ns_.store(latest, order::relaxed);
    how = armed::sooner;
  }
  return how;
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
  count(-1);
  // A later one leaves the next as it was, and the last one nothing that could be out of date.
  if (entry.deadline_ns_ <= next_ns_.load(order::relaxed) || size() == 0) note_next();
  return true;
}

unsigned timer_set::advance(std::int64_t now_ns, unsigned fires_max) noexcept {
  // What these read only this thread moves on, but for next_ns_, which others make smaller.
  if (now_ns < next_ns_.load(order::relaxed) && wheel::tick_of(now_ns) <= wheel_.now_tick())
    return 0;
  unsigned fired = 0;
  wheel::list due;
  lock_.lock();
  const std::uint64_t found = wheel_.advance(now_ns, due);
  if (found > 1) sort(due);
  merge(backlog_, due);
  if (WEFT_MUTATE("timer.due.taken_at_once", false, true)) {
    backlog_.for_each([](timer_entry& entry) { entry.state_.set(timer_entry::state::fired); });
  }
  for (;;) {
    if (backlog_.empty() ||
        fired == fires_max) {  // at once, or because others have cancelled the rest
      note_next();
      lock_.unlock();
      return fired;
    }
    timer_entry& entry = backlog_.pop_front();
    if (!WEFT_MUTATE("timer.fired.not_marked", false, true)) {
      entry.state_.set(timer_entry::state::fired);
    }
    count(-1);
    const bool is_last = ++fired == fires_max || backlog_.empty();
    if (is_last) note_next();
    lock_.unlock();
    entry.fire_(entry);  // may be gone afterwards
    if (is_last) return fired;
    lock_.lock();
  }
}

}  // namespace weft
