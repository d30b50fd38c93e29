// Protocol
//   word_   0 running | 1 done | 2 detached | 3 withdrawn early | op: a waiter is suspended in op
//   I1  `done` and `detached` are written once each, by exchange; whoever finds the other's mark
//       there is the last and frees the frame.
//   I2  A waiter is woken by finish() if and only if finish() took it out of the word.
//   I3  A stop can come after job::arm() and before the waiter stands in the word. withdraw() then
//       leaves `withdrawn early` for start() to find: it never reads a waiter that may be gone.
//   P1  finish: exchange (release)  ->  done(), start(), drop(): (acquire): the job's result.
//   P2  start: CAS 0 -> op (release)  ->  finish: exchange (acquire): the waiter's contents; and  ->
//       withdraw: CAS op -> 0 (acquire): that start() has read all that it needs of the waiter, whose
//       frame may be gone, and be another one's, once it is woken.
//   P3  drop: exchange (release)  ->  finish: exchange (acquire): the handle's last accesses.
#include "weft/task/join.hpp"

#include "weft/base/assert.hpp"

namespace weft {
namespace {

constexpr std::uintptr_t join_running = 0;
constexpr std::uintptr_t join_detached = 2;
constexpr std::uintptr_t join_withdrawn = 3;

}  // namespace

join_state::finish_result join_state::finish() noexcept {
  const std::uintptr_t before = word_.exchange(  // P1, P2, P3
      done_word, WEFT_MUTATE("join.finish.relaxed", order::acq_rel, order::relaxed));
  WEFT_ASSERT(before != done_word, "a job ended twice");
  if (before == join_detached) return finish_result::detached;
  if (before > join_withdrawn) {
    static_cast<join_operation*>(reinterpret_cast<operation*>(before))->joined();
  }
  return finish_result::kept;
}

join_state::drop_result join_state::drop() noexcept {
  if (done()) return drop_result::ended;         // its end was the last that others write
  const std::uintptr_t before = word_.exchange(  // P1, P3
      join_detached, WEFT_MUTATE("join.drop.relaxed", order::acq_rel, order::relaxed));
  WEFT_ASSERT(before <= done_word, "a join_handle was destroyed or detached while it was awaited");
  return before == done_word ? drop_result::ended : drop_result::left;
}

promise_base* join_state::waiter_of_running() const noexcept {
  const std::uintptr_t seen = word_.load(order::relaxed);  // written before the job was launched
  if (seen <= join_withdrawn) return nullptr;
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  return &reinterpret_cast<const operation*>(seen)->armed_by();
}

std::coroutine_handle<> join_operation::start(promise_base& waiter) noexcept {
  if (joined_.get()->done()) return ready_at_once(*this, waiter);
  job& owner = *waiter.owner();
  if (owner.arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  std::uintptr_t seen = join_running;
  if (joined_.get()->word_.compare_exchange(
          seen, reinterpret_cast<std::uintptr_t>(static_cast<operation*>(this)),
          WEFT_MUTATE("join.start.relaxed", order::release, order::relaxed),  // P2
          order::acquire)) {                                                  // P1
    return std::noop_coroutine();  // The job may end at any moment: touch nothing.
  }
  if (seen == join_withdrawn) {  // I3: the stopper answers through us
    if (joined_.get()->word_.compare_exchange(seen, join_running, order::relaxed, order::acquire)) {
      finish(true);
      return std::noop_coroutine();
    }
  }
  WEFT_ASSERT(seen == join_state::done_word, "a job is joined by one waiter at a time");
  if (owner.disarm(*this) == job::disarm_result::disarmed) return waiter.handle();
  finish(false);
  return std::noop_coroutine();
}

void join_operation::wait_for_unlaunched() noexcept {
  joined_.get()->word_.store(reinterpret_cast<std::uintptr_t>(static_cast<operation*>(this)),
                             order::relaxed);  // published by launching the job
}

void join_operation::withdraw() noexcept {
  const auto self = reinterpret_cast<std::uintptr_t>(static_cast<operation*>(this));
  std::uintptr_t seen = joined_.get()->word_.load(order::relaxed);
  for (;;) {
    if (seen == self) {
      if (joined_.get()->word_.compare_exchange(
              seen, join_running,
              WEFT_MUTATE("join.withdraw.relaxed", order::acquire, order::relaxed),  // P2
              order::relaxed)) {
        return finish(true);
      }
    } else if (seen == join_running) {  // I3
      if (joined_.get()->word_.compare_exchange(
              seen, WEFT_MUTATE("join.early.ignored", join_withdrawn, join_running), order::relaxed,
              order::relaxed)) {
        return;
      }
    } else {
      return;  // done: completion wins
    }
  }
}

}  // namespace weft
