// Losing the processor: what a thread does whose job held its worker for too long, and the one that
// goes on in its place (monitor.hpp decides; handoff.hpp has the threads; docs/internals/handoff.md
// tells it whole).
//
// What moves, and what stays
//   The processor moves whole: queues, timers, driver, its place among the sleepers (it counts as
//   awake throughout). What a worker keeps of its own about turns is made anew, as at the start of
//   a worker. The thread keeps what belongs to the job that it runs: the current job, its frames,
//   its fiber.
// What a thread without a processor does, by the call that finds it out (worker::pinned)
//   wakes, spawns, yields   the injector, as from outside; a pinned job: its worker's inbox
//   offers a branch         nowhere: it becomes a job. One that it left on the deque belongs to the
//                           next owner, who takes it for a thief's
//   arms a timer            in the processor that it had, whose owner is woken
//                           (runtime_core::timers_changed)
//   begins I/O              not at all: its job goes to the injector, and begins it where it goes
//                           on
//   ends a nested task      the same (task/lost_processor.hpp)
//   cancels either          as any thread
// Rules of queue/idle.hpp
//   R1  what it pushed as a worker lies in queues that the next owner looks at before that one
//       sleeps; the heavy fence of the claim stands between the two. What it pushes later it pushes
//       as an outsider.
//   R2  it runs a job, so it does not search.
#include <new>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/os/clock.hpp"
#include "weft/runtime/worker.hpp"

namespace weft::detail {
namespace {

// Of the system's time, for a spare thread and an owner that was one: beside threads that compute it is let in
// at once. They have the usual ones: who holds a worker for long is in no hurry.
constexpr std::int64_t short_slice_ns = 200'000;
// By who is given a processor; there may be a million.
constexpr unsigned injected_looked_at_max = 64;
constexpr unsigned pinned_looked_at_max = 64;

}  // namespace

void worker::take_short_slices() noexcept {
  has_usual_slices_.store(false, order::relaxed);
  os::set_time_slice(clock_.thread(), short_slice_ns);
}

/// By the monitor.
void worker::take_usual_slices() noexcept {
  if (has_usual_slices_.load(order::relaxed)) return;
  has_usual_slices_.store(true, order::relaxed);
  os::set_time_slice(clock_.thread(), 0);
}

void worker::live() noexcept {
  for (;;) {
    if (processor_ == nullptr) {
      processor* const given = bed.take();
      if (given == nullptr) return;
      adopt(*given);
    }
    loop();
    if (processor_ != nullptr) return;  // all is over
  }
}

void worker::adopt(processor& given) noexcept {
  processor_ = &given;
  deque = &given.branches;
  until_special_ = special_span_ = until_clock_ = 1;
  // Those that come back without a processor come by way of the injector. By chance: what goes by turns falls in step
  // with other counts.
  until_injector_ = given.random.below(2) == 0 ? 1 : injector_every_turns;
  // Each first turn here is one of the clock's, which asks the injector.
  given.own_high_first = !given.own_high_first;
  own_high_first_ = given.own_high_first;
  began_in_ = no_turn;
  background_in_a_row_ = 0;
  beginner_next_ = false;
  siblings_first_ = 0;
  has_others_ = true;  // I5: it may be
  last_look_ns_ = 0;
  io_of_last_look_ = 0;
  searching_ = false;
  completing_ = false;
  state_->lost_processor.store(0, order::relaxed);
  core_.placement_.settle_successor(given.index);
  pin.become_owner();
  given.io->changed_hands();
  given.beginner_may_hold = true;
  put_beginners_behind();
}

/// Those that wait here, or in the injector, and never ran may be like the one that held its worker, and stand one behind
/// the other: they get a line of their own, and are begun one by one. Those that were woken ran before, and came
/// back; and whom timers and I/O wake now: they have their turn before. `ran` had a long turn, and if it is here it
/// gave way: it goes behind, too. It is an address only: the job may be gone, or on another worker.
void worker::put_beginners_behind(const job* ran) noexcept {
  processor& p = *processor_;
  injector<job>& beginners = core_.beginners_;
  const bool were_none = !has_beginners();
  job* first = nullptr;
  job* last = nullptr;
  unsigned count = 0;
  const auto is_beginner = [&](job& j) {
    if (&j != ran && j.waiting_in() != nullptr) return false;
    j.next = nullptr;
    (last != nullptr ? last->next : first) = &j;
    last = &j;
    ++count;
    return true;
  };
  for (unsigned left = p.ready.len_hint(); left != 0; --left) {
    job* const j = p.ready.pop();
    if (j == nullptr) break;  // a thief's
    if (!is_beginner(*j)) push_behind(*j, priority::normal);
  }
  const unsigned most = std::min(injected_looked_at_max, room_for_ready());
  for (job* rest = core_.injected(priority::normal).pop_batch(most).first; rest != nullptr;) {
    job* const after = rest->next;
    if (!is_beginner(*rest)) push_behind(*rest, priority::normal);
    rest = after;
  }
  if (count != 0) beginners.push_batch(first, last, count);
  const bool pinned = put_pinned_beginners_behind(ran);
  if (were_none && (count != 0 || pinned)) p.beginner_ns = core_.env_.now_ns();
  // Who looked meanwhile found neither what was in hand.
  if (count != 0 || !p.ready.empty_hint()) core_.wake_one(idle::pusher::worker);
}

/// The same, of those that only this worker may run. Result: there are some.
bool worker::put_pinned_beginners_behind(const job* ran) noexcept {
  processor& p = *processor_;
  take_arrivals();
  local_queue<job>& own = p.pinned_of(priority::normal);
  local_queue<job> woken;
  for (unsigned left = pinned_looked_at_max; left != 0; --left) {
    job* const j = own.pop();
    if (j == nullptr) break;
    (j == ran || j->waiting_in() == nullptr ? p.pinned_beginners : woken).push_back(j);
  }
  own.prepend(woken);
  return !p.pinned_beginners.empty();
}

void worker::note_loss(const job* running, promise_base* at) noexcept {
  if (running == nullptr) return;
  if (lost_job_.kind == nullptr) lost_job_.note(*running);
  if (at == nullptr || !lost_at_.empty()) return;
  if (!core_.handoff_.is_worth_a_report(os::monotonic_ns() - held_since_ns_.load(order::relaxed)))
    return;
  try {
    promise_base* const ended = this_thread_state().ended_on_lost;  // its parent is `at`
    lost_at_ = ended != nullptr ? backtrace_from_ended(*ended, *running) : backtrace_from(*at);
  } catch (const std::bad_alloc&) {  // it is told without
  }
}

/// Back from the job, without a processor. Gives false, for worker::run().
WEFT_NOINLINE bool worker::lose() noexcept {
  core_
      .assert_not_forked();  // a child has no other threads: it would wait for a processor for ever
  WEFT_ASSERT(core_.monitor_ != nullptr, "a processor was taken without a monitor");
  const std::int64_t held_ns = os::monotonic_ns() - held_since_ns_.load(order::relaxed);
  const lost_job what = lost_job_;
  const backtrace at = std::exchange(lost_at_, {});
  // One that blocked for a moment has lost it sooner.
  const bool is_news = meant_to_in_ != current_turn.now() && held_ns >= core_.monitor_->slice_ns();
  lost_job_ = {};
  is_told_of();
  deque = nullptr;
  processor_ = nullptr;
  if (has_usual_slices_.load(order::relaxed)) take_short_slices();
  core_.handoff_.came_back(*this, held_ns, is_news ? &what : nullptr, at);
  return false;
}

void worker::tell_of_loss() noexcept { state_->lost_processor.store(1, order::relaxed); }

/// Whether somebody else would have something to do with the processor. It is pinned.
bool worker::has_anything_to_do() const noexcept {
  const processor& p = *processor_;
  return has_work() || core_.any_work() || p.timers.size() != 0 || !p.io->idle();
}

std::uint64_t worker::begins_to_block() noexcept {
  const std::uint64_t turn = current_turn.now();
  const std::uint64_t before = blocks_in_.load(order::relaxed);
  blocks_in_.store(turn, order::relaxed);
  if (core_.monitor_ == nullptr || keeps_processor()) return before;
  const pinned here(*this);
  processor* const mine = here.processor();
  if (mine == nullptr) return before;
  core_.assert_not_forked();
  meant_to_in_ = turn;
  // The monitor sees the mark at its next look, and makes a thread if there is none.
  if (!has_anything_to_do() || !core_.handoff_.may_lose(true)) return before;
  worker* const spare = core_.handoff_.take();
  if (spare == nullptr) return before;
  held_since_ns_.store(os::monotonic_ns(), order::relaxed);
  pin.let_go();
  core_.handoff_.give(*spare, *mine);
  tell_of_loss();
  current_turn.ask_to_end(turn);  // as whoever loses it: see monitor.cpp
  return before;
}

void worker::has_blocked(std::uint64_t before) noexcept {
  blocks_in_.store(before, order::relaxed);
  if (before == current_turn.now()) return;  // in the middle of another such call
  const pinned here(*this);
  if (here.processor() != nullptr) meant_to_in_ = no_turn;
}

}  // namespace weft::detail
