// Protocol
//
// A select takes nothing that it does not give: what decides for an operand decides before that one
// has an effect. In rounds:
//
//   look    Asks each operand whether it is ready (await_ready), in a random order or as they are
//           written. The first that is has done what it does: the end. Nobody else knows of the select.
//   begin   Lets each operation wait, in the name of a branch. One that finds under its lock that it
//           would be done now takes nothing and does not wait: all are to be looked at again. Only when
//           all that could say so wait do the others begin: what ends by itself, and what runs.
//           All that on one pin of the processor; a thread that has none gives way before, and looks
//           again where it goes on.
//   wait    Somebody takes the claim: who would hand over to an operand, before, holding what guards it;
//           an operand that ended by itself, when it has; the stop of the awaiting job; or the select
//           itself, to look again.
//   drain   The awaiting job stops all others, and waits for their ends. A waiter that was dropped from
//           its line meanwhile, because the claim was not for it, ends as any that is stopped.
//
// So a waker holds one line and takes one claim, and never waits for another one's decision. (Two
// selects that could serve each other: one of them looks, and it waits nowhere while it does.)
//
// Who is stuck with the processor pinned is not rescued, so no user code stands there: jobs are made
// before, a branch that runs is only launched, and an operation's start() is the runtime's.
//
// claim_     0 nobody | operand + 1 | to_the_stop | to_another_look
// deciders_  2: the decision has not arrived, and the awaiting job has not yet come to wait. Each
//            takes away one; the second of them ends the wait
// pending_   minus how many losers have arrived, plus, once the drain waits, how many there are
//
//   I1  The claim is taken once a round, and nobody but its owner completes an operation that asks for
//       it (takes_claim). So at most one such operand has an effect in a round, and none if the claim
//       goes to the stop or to another look.
//   I2  The decision arrives once: by the end of the operand that has the claim, or by withdraw(). The
//       awaiting job goes on after both it and the job's own coming to wait.
//   I3  A branch is stopped by the awaiting job alone, in the drain, and the select is not left before
//       each begun one has arrived. Whoever holds a line in which a branch stands can touch the claim.
//   I4  What ends by itself (a timer, the kernel's work, a task) may do so after the decision. A timer
//       and a join have no effect until their result is taken, which nobody does then. If the stop
//       took the claim, the first that happened all the same is the winner: what happened is not
//       reported as stopped. Otherwise its result is lost, as in a race.
//   I5  A round that ends in another look began only operations that take nothing. Between rounds the
//       job gives way, so that two selects cannot keep each other from going on for ever.
//   I6  No operation that completes by itself begins on a thread without a processor. What only an owner
//       may begin (I/O, a futex) gives way there in the name of the job that waits, to begin again; a
//       branch never runs, so its giving way would read as its operation's end. The processor may go at
//       any moment in user code, so also between two operands: hence one pin for all of them.
//
// Orderings
//   P1  is_last_to_decide: fetch_sub (acq_rel)  ->  the other's: the end of the winner, and the state of
//       the wait.
//   P2  arrived: pending_ fetch_sub (release)  ->  drain: load or fetch_add (acquire), and the last
//       arrival: what losers wrote. RMWs keep the release sequence together.
//   The claim is relaxed: what it decides about is ordered by the line's lock, and the result by P1.
//
// Rejected: to give back what a loser was handed (a message to the front of its queue: out of order if
// others took some in between; a notification or a rendezvous cannot be given back at all). To hold the
// locks of all channels at once, as Go does (they would have to be of one kind, and known to the
// select). A claim that is taken for a moment and put back (whoever meets it must wait, holding a
// line). To run the branches as jobs (a wake, a queue and a switch for each). To take the begun ones back
// when one finds the processor gone, and look again: an operand that ended meanwhile would have to win, of
// two of them one would be lost, and for nothing that anybody else did.
#include "weft/together/select_group.hpp"

#include <algorithm>
#include <array>

#include "weft/base/rng.hpp"
#include "weft/task/current.hpp"
#include "weft/task/fork.hpp"
#include "weft/task/wait_list.hpp"

namespace weft::detail {
namespace {

rng& generator_of_thread() noexcept {
  thread_local rng generator(reinterpret_cast<std::uintptr_t>(&this_thread_state()));
  return generator;
}

/// Keeps the processor of the calling thread, if it has one, until the end of the block. Without a worker
/// there is none to lose.
class keeping_processor {
 public:
  keeping_processor() noexcept : port_(this_thread_state().port) {
    if (port_ == nullptr) return;
    was_pinned_ = port_->pin.is_pinned();
    lost_ = port_->pin.pin() == pin_state::pin_result::lost;
    if (WEFT_MUTATE("select.begin.unpinned", false, true)) port_->pin.unpin();
  }
  ~keeping_processor() {
    if (port_ != nullptr && !was_pinned_) port_->pin.unpin();
  }
  keeping_processor(const keeping_processor&) = delete;
  keeping_processor& operator=(const keeping_processor&) = delete;
  bool is_lost() const noexcept { return WEFT_MUTATE("select.begin.lost", lost_, false); }

 private:
  fork_port* const port_;
  bool was_pinned_ = false;
  bool lost_ = false;
};

}  // namespace

// Never inlined into what may go on on another thread: that would keep the address.
WEFT_NOINLINE std::uint32_t select_random(std::uint32_t bound) noexcept {
  return generator_of_thread().below(bound);
}
WEFT_NOINLINE void seed_select_random(std::uint64_t seed) noexcept {
  generator_of_thread() = rng(seed);
}

std::coroutine_handle<> select_group::branch::resumed() noexcept {
  if (looks_again_) group_.must_look_again_ = true;
  group_.ended_at_once(operand(), this->stopped());
  return std::noop_coroutine();
}

void select_group::schedule(job& ended, wake_kind) noexcept {
  const branch& b = branch::of(ended);
  arrived(b.operand(), ended.waiting_in()->was_stopped());
}
timer_set& select_group::timers() noexcept { return awaiting_job().home().timers(); }
std::int64_t select_group::now_ns() noexcept { return awaiting_job().home().now_ns(); }

bool select_group::look(std::span<state> operands) {
  const auto count = static_cast<unsigned>(operands.size());
  if (looks_ == order_of_looks::as_written) {
    for (unsigned i = 0; i < count; ++i) {
      if (look_at(i)) {
        winner_ = i;
        return true;
      }
    }
    return false;
  }
  std::array<std::uint8_t, operands_max> left;
  for (unsigned i = 0; i < count; ++i) left[i] = static_cast<std::uint8_t>(i);
  for (unsigned n = count; n != 0; --n) {
    const unsigned at = n == 1 ? 0 : select_random(n);
    const unsigned i = left[at];
    left[at] = left[n - 1];
    if (look_at(i)) {
      winner_ = i;
      return true;
    }
  }
  return false;
}

std::coroutine_handle<> select_group::start(promise_base& waiter) noexcept {
  waiter_ = &waiter;
  this->promise().attach(waiter);
  return begin_all();
}

std::coroutine_handle<> select_group::begin_all() noexcept {
  if (sees_stop(awaiting_job())) return unwind(*waiter_);  // nothing has begun
  try {
    for (unsigned i = 0; i < operands_.size(); ++i) {
      if (operands_[i].kind == operand_kind::runs) make(i);
    }
  } catch (...) {  // no memory
    error_ = std::current_exception();
    return waiter_->handle();
  }
  switch (begin_operands()) {
    case begun::nothing:
      return give_way();
    case begun::all:
      return wait();
    case begun::to_look_again:
      break;
  }
  return claim_.take(to_another_look) ? drain() : wait();  // I5; or somebody was faster
}

select_group::begun select_group::begin_operands() noexcept {
  const keeping_processor here;
  if (WEFT_UNLIKELY(here.is_lost()) && std::ranges::any_of(operands_, [](const state& s) {
        return s.kind == operand_kind::completes_by_itself;
      })) {
    return begun::nothing;  // I6
  }
  claim_.reset();
  deciders_.store(2, order::relaxed);
  pending_.store(0, order::relaxed);
  must_look_again_ = false;
  begin_those(operand_kind::takes_claim);
  if (must_look_again_) return begun::to_look_again;
  begin_those(operand_kind::completes_by_itself);
  begin_those(operand_kind::runs);
  return begun::all;
}

std::coroutine_handle<> select_group::give_way() noexcept {
  phase_ = phase::gives_way;
  // It may go on elsewhere from here on: touch nothing.
  awaiting_job().yield_in(*this, this->promise());
  return std::noop_coroutine();
}

void select_group::begin_those(operand_kind kind) noexcept {
  for (unsigned i = 0; i < operands_.size(); ++i) {
    state& s = operands_[i];
    if (s.kind != kind) continue;
    if (must_look_again_ || claim_.taken_by() != claim::nobody) return;
    s.begun = true;
    s.completed = false;
    begin(i);
  }
}

bool select_group::is_last_to_decide() noexcept {
  return deciders_.fetch_sub(1, WEFT_MUTATE("select.decide.relaxed", order::acq_rel,
                                            order::relaxed)) == 1;  // P1
}

void select_group::ended_at_once(unsigned operand, bool stopped) noexcept {
  operands_[operand].begun = false;
  if (stopped || !claim_.take(number_of(operand))) return;
  static_cast<void>(
      is_last_to_decide());  // never: the awaiting job is here, and has not come to wait
}

void select_group::arrived(unsigned operand, bool stopped) noexcept {
  if (!stopped && claim_.take(number_of(operand))) {
    if (is_last_to_decide()) finish(false);
    return;
  }
  operands_[operand].completed = !stopped;
  if (pending_.fetch_sub(1, WEFT_MUTATE("select.arrive.relaxed", order::acq_rel,
                                        order::relaxed)) == 1) {  // P2
    finish(false);
  }
}

void select_group::withdraw() noexcept {
  if (!claim_.take(to_the_stop)) {
    if (WEFT_MUTATE("select.stop.unasked", true, false)) return;  // I2: completion wins
  }
  if (is_last_to_decide())
    finish(false);  // what becomes of the operands says whether it is stopped
}

std::coroutine_handle<> select_group::wait() noexcept {
  job& me = awaiting_job();
  phase_ = phase::waits;
  if (me.arm(*this, this->promise()) == job::arm_result::stopped) {
    me.tell_of_found_stop();
    if (claim_.take(to_the_stop)) return drain();
    me.enter_shield();  // the decision has been made, and is on its way
    static_cast<void>(me.arm(*this, this->promise()));
    me.leave_shield();
  }
  if (!is_last_to_decide()) return std::noop_coroutine();  // touch nothing
  if (me.disarm(*this) == job::disarm_result::disarmed) return drain();
  finish(false);
  return std::noop_coroutine();
}

std::coroutine_handle<> select_group::resumed() noexcept {
  switch (phase_) {
    case phase::waits:
      return drain();
    case phase::drains:
      return drained();
    case phase::gives_way:
      break;
  }
  return look_again();
}

std::coroutine_handle<> select_group::drain() noexcept {
  job& me = awaiting_job();
  phase_ = phase::drains;
  std::int32_t losers = 0;
  for (unsigned i = 0; i < operands_.size(); ++i) {
    if (!operands_[i].begun || claim_.taken_by() == number_of(i)) continue;
    ++losers;
    stop(i);  // I3
  }
  if (pending_.load(WEFT_MUTATE("select.drain.relaxed", order::acquire, order::relaxed)) !=
      -losers) {        // P2
    me.enter_shield();  // their ends are awaited, whatever happens
    static_cast<void>(me.arm(*this, this->promise()));
    me.leave_shield();
    if (WEFT_MUTATE("select.drain.unawaited", true, false)) {
      if (pending_.fetch_add(losers, order::acq_rel) + losers != 0) {  // P2
        return std::noop_coroutine();
      }
    }
    static_cast<void>(me.disarm(*this));
  }
  return drained();
}

std::coroutine_handle<> select_group::drained() noexcept {
  for (state& s : operands_) s.begun = false;
  const claim::number decided = claim_.taken_by();
  if (decided == to_another_look) {
    job& me = awaiting_job();
    if (me.home().goes_on(me)) return look_again();
    return give_way();
  }
  if (decided != to_the_stop) {
    winner_ = decided - 1;
    return waiter_->handle();
  }
  for (unsigned i = 0; i < operands_.size(); ++i) {  // I4
    if (!operands_[i].completed) continue;
    winner_ = i;
    return waiter_->handle();
  }
  return unwind(*waiter_);
}

std::coroutine_handle<> select_group::look_again() noexcept {
  if (sees_stop(awaiting_job())) return unwind(*waiter_);
  try {
    if (look(operands_)) return waiter_->handle();
  } catch (...) {
    error_ = std::current_exception();
    return waiter_->handle();
  }
  return begin_all();
}

}  // namespace weft::detail
