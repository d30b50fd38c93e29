// Rules
//   I1  A waiter sleeps only while the seat is taken and it is enlisted.
//   I2  The seat becomes free only when nobody is enlisted; else it is kept for the first of them,
//       which is called, and is enlisted no more.
//   I3  Who is over is enlisted no more; one that finds both, over and a seat kept for it, passes
//       the seat on.
// Why no hand-over is lost, by when W comes, that would have to take over from L
//   W enlists before L leaves: L, or whoever L's seat was kept for, finds it (I2), and W's parker
//     remembers the call until W sleeps.
//   W enlists after L left: everything is under one lock, so W finds the seat free in sit().
//   W is over when the seat is kept for it: I3; it cannot go before it came through sit().
// What the driver wrote to the worker and the processor goes with the lock to whoever drives next.
// Rejected: letting all that wait compete for a free seat (each end of a job would wake all); a
// condition variable (a parker for each calls just the one that is meant).
#include "weft/runtime/seat.hpp"

#include "weft/base/assert.hpp"
#include "weft/os/clock.hpp"

namespace weft::detail {

void seat::enlist(waiter& w) noexcept {
  const std::lock_guard guard(mutex_);
  waiting_.push_back(w);
}

seat::sit_result seat::sit(waiter& w, std::int64_t deadline_ns) noexcept {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (w.over.load(order::relaxed)) {
      if (w.handed_) pass_on();  // I3
      return sit_result::over;
    }
    if (w.handed_ || !taken_) {
      if (!w.handed_) w.unlink();
      w.handed_ = false;
      taken_ = true;
      driving_ = &w;
      return sit_result::seated;
    }
    if (deadline_ns != never_ns && os::monotonic_ns() >= deadline_ns) {
      w.unlink();
      return sit_result::late;
    }
    lock.unlock();
    static_cast<void>(w.place_.park_until(deadline_ns));
    lock.lock();
  }
}

seat::try_sit_result seat::try_sit() noexcept {
  const std::lock_guard guard(mutex_);
  if (taken_) return tried_ ? try_sit_result::repeated : try_sit_result::taken;
  taken_ = tried_ = true;
  return try_sit_result::seated;
}

void seat::leave() noexcept {
  const std::lock_guard guard(mutex_);
  pass_on();
}

void seat::pass_on() noexcept {
  WEFT_ASSERT(taken_, "a thread left the seat that nobody had");
  tried_ = false;
  driving_ = nullptr;
  taken_ = !waiting_.empty();  // I2
  if (!taken_) return;
  waiter& next = waiting_.pop_front();
  next.handed_ = true;
  driving_ = &next;
  static_cast<void>(next.place_.unpark());
}

void seat::end(waiter& w) noexcept {
  const std::lock_guard guard(mutex_);
  settle(w);
}

void seat::end_all() noexcept {
  const std::lock_guard guard(mutex_);
  if (driving_ != nullptr && driving_->wish_ == waiter::wish::end_of_all_jobs) settle(*driving_);
  waiting_.for_each([this](waiter& w) {
    if (w.wish_ == waiter::wish::end_of_all_jobs) settle(w);
  });
}

void seat::settle(waiter& w) noexcept {
  w.over.store(true,
               order::relaxed);  // what it tells of is read after the lock was taken once more
  if (w.is_linked()) w.unlink();
  static_cast<void>(w.place_.unpark());
}

}  // namespace weft::detail
