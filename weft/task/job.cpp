// Protocol of the stop slot
//
// slot_ is one word; who writes it:
//   0 none       nothing to withdraw. Initially; by complete() and disarm().
//   op           the armed operation. By arm(), on the job's own thread.
//   1 stopped    a stop was delivered; it stays so. By stop().
//   2 busy       a stopper is inside op->withdraw(). By stop(), in the place of op.
//   3 woken      the operation finished while the stopper was inside. By complete(), from busy.
//   4 unlisted   none, of a job that whoever stops it does not know yet. At first, by
//                begins_unlisted(); the first arm() or a stop() ends it.
//
//   I1  An operation is alive while it stands in the slot, and until its withdraw() has returned:
//       complete() that meets `busy` leaves the wake to the stopper (`woken`). Whoever of the two
//       comes last schedules the job, and that is its last access to it.
//   I2  finish() is called once for an armed operation, so the job is scheduled once for it: by
//       complete(), or by the stopper that found `woken`.
//   I3  Once slot_ is `stopped` no arm() succeeds (a shielded operation never enters the slot).
//   I4  A job that leaves `unlisted` for an operation was listed before, so its stopper finds it.
//
// Orderings
//   P1  arm: CAS none -> op (release)  ->  stop: CAS op -> busy (acquire): op's contents.
//   P2  complete: CAS busy -> woken (release)  ->  stop: CAS busy -> stopped fails (acquire): the
//       result of the operation, which the stopper hands on with schedule().
//   P3  stop: CAS busy -> stopped (release)  ->  complete: load (acquire): that the stopper has
//       left the operation, whose frame the woken job may destroy.
//   Waking itself is ordered by schedule(), which publishes the job.
//
// No wake is lost: finish() always ends in schedule() or in `woken`, and a stopper that set `busy`
// always looks again before it leaves.
//
// Rejected: a spin on the resuming side until the stopper has left (a descheduled stopper would
// stall a worker); a reference count (a second RMW for each wait).
#include "weft/task/job.hpp"

#include "weft/base/assert.hpp"
#include "weft/task/await_hook.hpp"
#include "weft/task/promise.hpp"
#include "weft/task/stop_watch.hpp"

namespace weft {

#if WEFT_CENSUS
namespace detail {
atomic<await_hook*> installed_await_hook;
}
#endif

namespace {

constexpr std::uintptr_t slot_none = 0;
constexpr std::uintptr_t slot_stopped = 1;
constexpr std::uintptr_t slot_busy = 2;
constexpr std::uintptr_t slot_woken = 3;

std::uintptr_t as_word(operation* op) noexcept { return reinterpret_cast<std::uintptr_t>(op); }

/// After the slot has said so; the job may be gone.
void tell_of_stop([[maybe_unused]] std::uintptr_t address) noexcept {
#if !WEFT_MODEL  // a model's jobs are not watched
  detail::stop_watches.tell(address);
#endif
}

}  // namespace

void scheduler::panicked(job&, std::exception_ptr) noexcept { std::terminate(); }

timer_set& scheduler::timers() noexcept {
  assertion_failed("timers",
                   "waiting for a time needs a runtime; use weft::run or runtime::block_on",
                   __FILE__, __LINE__);
}

std::int64_t scheduler::now_ns() noexcept {
  assertion_failed("now_ns",
                   "the time of a task needs a runtime; use weft::run or runtime::block_on",
                   __FILE__, __LINE__);
}

#if WEFT_MODEL  // has no frame pool, and no task_local; but job_extras_model.cpp
[[gnu::weak]] job::extra& job::make_extras(const job&) {
  assertion_failed("make_extras", "a model's job has a task_local", __FILE__, __LINE__);
}
[[gnu::weak]] void job::free_extras() noexcept {}
#endif

void operation::finish(bool was_stopped) noexcept {
  if (was_stopped) word_ |= stopped;
  waiter().owner()->complete(*this);
}

std::coroutine_handle<> operation::go_on(promise_base& waiter) noexcept { return waiter.handle(); }

job::arm_result job::arm(operation& op, std::uintptr_t word) noexcept {
#if WEFT_CENSUS
  if (await_hook* const hook = detail::installed_await_hook.load(order::acquire)) {
    hook->about_to_wait(*this);
  }
#endif
  op.word_ = word;
  WEFT_CHECK_SLOW(op.owner() == this, "an operation was armed for another job's coroutine");
  waiting_.store(&op, order::relaxed);
  if (WEFT_UNLIKELY(shields_ != 0)) {
    op.word_ |= operation::shielded;
    return arm_result::armed;
  }
  std::uintptr_t expected = slot_none;
  if (slot_.compare_exchange(expected, as_word(&op),
                             WEFT_MUTATE("job.arm.relaxed", order::release, order::relaxed),  // P1
                             order::relaxed)) {
    return arm_result::armed;
  }
  if (expected == slot_unlisted) {
    if (arm_listed(op)) return arm_result::armed;
  } else {
    WEFT_ASSERT(expected == slot_stopped,
                "a job armed a second operation while suspended in one; await them one by one");
  }
  waiting_.store(nullptr, order::relaxed);
  return arm_result::stopped;
}

bool job::arm_listed(operation& op) noexcept {
  std::uintptr_t expected = slot_unlisted;
  if (kind_->list(*this) &&                                                              // I4
      slot_.compare_exchange(expected, as_word(&op), order::release, order::relaxed)) {  // P1
    return true;
  }
  slot_.store(slot_stopped, order::relaxed);  // told of by tell_of_found_stop()
  return false;
}

void job::tell_of_found_stop() noexcept {
#if !WEFT_MODEL
  if (auto* const w = detail::stop_watches.find(*this)) detail::stop_watches.look(*w);
#endif
}

job::disarm_result job::disarm(operation& op) noexcept {
  if (!op.is_shielded()) {
    std::uintptr_t expected = as_word(&op);
    if (!slot_.compare_exchange(expected, slot_none, order::relaxed, order::relaxed)) {
      return disarm_result::being_withdrawn;  // the stopper's withdraw() will find nothing to do
    }
  }
  waiting_.store(nullptr, order::relaxed);
  return disarm_result::disarmed;
}

void job::complete(operation& op) noexcept {
  if (!op.is_shielded()) {
    const order looking = WEFT_MUTATE("job.complete.relaxed", order::acquire, order::relaxed);
    std::uintptr_t seen = slot_.load(looking);  // P3
    for (;;) {
      if (seen == as_word(&op)) {
        if (slot_.compare_exchange(seen, slot_none, order::relaxed, looking)) break;
      } else if (seen == slot_busy) {
        if (slot_.compare_exchange(seen, slot_woken,
                                   WEFT_MUTATE("job.woken.relaxed", order::release, order::relaxed),
                                   looking)) {  // P2
          if (WEFT_MUTATE("job.woken.schedules_too", false, true)) break;
          return;  // I1: the stopper wakes the job
        }
      } else {
        WEFT_ASSERT(seen == slot_stopped, "an operation finished twice, or without being armed");
        break;
      }
    }
  }
  home_->schedule(*this, wake_kind::woken);
}

void job::stop() noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(this);
  std::uintptr_t seen = slot_.load(order::relaxed);
  for (;;) {
    if (seen == slot_none || seen == slot_unlisted) {
      if (slot_.compare_exchange(seen, slot_stopped, order::relaxed, order::relaxed)) {
        return tell_of_stop(address);
      }
    } else if (seen <= slot_woken) {
      return;  // stopped before, or somebody is at it
    } else if (slot_.compare_exchange(
                   seen, slot_busy,
                   WEFT_MUTATE("job.stop.relaxed", order::acquire, order::relaxed),  // P1
                   order::relaxed)) {
      break;
    }
  }
  reinterpret_cast<operation*>(seen)->withdraw();
  if (WEFT_MUTATE("job.stop.forgets_woken", false, true)) {
    slot_.store(slot_stopped, order::release);
    return;
  }
  seen = slot_busy;
  if (slot_.compare_exchange(seen, slot_stopped,
                             WEFT_MUTATE("job.left.relaxed", order::release, order::relaxed),  // P3
                             WEFT_MUTATE("job.handover.relaxed", order::acquire,
                                         order::relaxed))) {  // P2
    return tell_of_stop(address);  // the answer comes later; the job may be gone from here on
  }
  WEFT_ASSERT(seen == slot_woken, "the stop slot changed under a stopper");
  slot_.store(slot_stopped, order::relaxed);
  home_->schedule(*this, wake_kind::woken);
  tell_of_stop(address);
}

void job::yield_in(operation& op, std::uintptr_t word) noexcept {
  op.word_ = word | operation::shielded;  // never in the slot, as there is nothing to withdraw
  waiting_.store(&op, order::relaxed);
  home_->schedule(*this, wake_kind::yielded);
}

bool job::is_stop(std::uintptr_t seen) const noexcept {
  return seen == slot_unlisted ? kind_->told_to_stop(*this) : seen <= slot_woken;
}

}  // namespace weft
