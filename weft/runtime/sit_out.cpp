// Sitting out: what a worker does that is one too many for the CPU quota (participants.hpp).
//
// It gives its ready jobs and branches to the injector, where those who take part find them, and sleeps.
// What it cannot give away it goes on serving: the operations in its driver and the timers that were
// armed on it end here, and the jobs that they wake go to the injector. It runs no job but those that are
// pinned to it, so nothing new comes to it but through these, and descriptors that its epoll watches for
// others.
//
// It begins in a look around, and none is taken with a job in hand (worker::due): nobody else would
// know of that job until the worker is called back.
//
// Why no rule of queue/idle.hpp changes
//   A benched worker counts as awake and not searching, and is not among the sleepers: for idle it is a
//   worker that is busy with one long job. So it is never named to search, and
//   R1  what its driver and timers wake is pushed to its own run queue, with the worker's light fence;
//       it looks at that queue itself (give_away) before it parks, and what it finds is pushed to the
//       injector as by an outsider, with the outsider's fence.
//   R2  benched while it searches, or woken to search: it stops searching as one that found work does,
//       and if it was the last, wakes the next.
//   R3  asks for nothing: it does not fall asleep in idle's sense.
//   R4  neither.
//   "All are awake, nobody searches" still means that a worker which takes part is awake, and will look
//   everywhere before it sleeps: worker 0 always takes part, so not all of the awake are benched.
// Why it does not miss being called back, or the end
//   P1  active (or ended) stored, then unpark  ->  the park that eats it, then both are read: the parker
//       keeps a call that comes between the look and the park.
// A pinned job that runs so for too long is not helped: this loop stands on the stack below it, in the middle
// of a look around, and could not leave without the processor. It holds up the worker's other pinned
// jobs, timers and I/O.
// Cost
//   Who takes part and falls asleep sees the benched as awake, and pays for idle's heavy fence (under
//   1 us) although it may be the last that is at work.
// Rejected
//   Among the sleepers: wakers choose by number, and would have to know who may be chosen
//   Jobs left in its queues for thieves: they come only when they have nothing else to do
#include "weft/base/assert.hpp"
#include "weft/runtime/worker.hpp"

namespace weft::detail {

void runtime_core::follow_cpus(std::int64_t now_ns) noexcept {
  const auto changed = participants_.look(now_ns);
  // Those called back begin to search. Those benched in their sleep leave the set of sleepers, so that
  // no waker chooses them in vain.
  for (unsigned i = changed.first; i < changed.last; ++i) wake_worker(i);  // P1
}

bool worker::sits_out() const noexcept {
  return core_.participants_.benched(processor_->index) && !core_.ended_.load(order::relaxed);
}

void worker::sit_out() noexcept {
  if (searching_) {  // R2
    searching_ = false;
    if (core_.idle_.stop_searching()) core_.wake_one(idle::pusher::worker);
  }
  core_.participants_.sits_down();
  keeps_.store(1, order::relaxed);  // published by the unpin before a job's first line
  processor& p = *processor_;
  while (job* const j = p.pinned_beginners.pop()) p.pinned_of(priority::normal).push_back(j);
  while (sits_out()) {
    serve_own(0);
    give_away();
    if (run_pinned()) continue;
    // There may have been no room for all that was due.
    if (p.timers.next_deadline_ns() <= core_.env_.now_ns()) continue;
    p.figures.parks.add();
    // No timer is armed here any more, so there are not many to be gathered for one wake. A clock that
    // is moved by hand gives no deadline that the kernel knows.
    const std::int64_t deadline = core_.env_.is_virtual() ? never_ns : p.timers.next_deadline_ns();
    if (p.io->idle()) {
      const at_rest until_then(*this);
      static_cast<void>(p.sleep.park_until(deadline));  // P1
    } else if (p.sleep.prepare_park(parker::place::driver) == parking::may_sleep) {
      const at_rest until_then(*this);
      serve_own(deadline);
      static_cast<void>(p.sleep.end_park());  // P1
    }
  }
  keeps_.store(0, order::relaxed);
  core_.participants_.gets_up();
}

/// Timers that are due, and the driver: waits there until `deadline_ns` (0: not at all).
void worker::serve_own(std::int64_t deadline_ns) noexcept {
  processor& p = *processor_;
  completing_ = true;
  if (deadline_ns == 0) {
    const unsigned room = p.ready.capacity - p.ready.len_hint();
    p.figures.timers_fired.add(p.timers.advance(core_.env_.now_ns(), room));
  }
  p.figures.io_completions.add(p.io->wait(deadline_ns));
  completing_ = false;
}

/// A job that only this worker may run; the one kind that it cannot give away. False: there is none.
bool worker::run_pinned() noexcept {
  take_arrivals();
  const unsigned turn = ++pinned_turns_;  // the bounds are those of scheduling.md
  const priority first = turn % 64 == 0   ? priority::background
                         : turn % 16 == 0 ? priority::normal
                                          : priority::high;
  if (job* const j = processor_->pinned_of(first).pop()) {
    static_cast<void>(run(*j));  // it is not handed over: keeps_
    return true;
  }
  for (local_queue<job>& own : processor_->pinned) {
    if (job* const j = own.pop()) {
      static_cast<void>(run(*j));
      return true;
    }
  }
  return false;
}

/// All that is ready here, and others may run, goes to the injectors, in the order in which it would have
/// run.
void worker::give_away() noexcept {
  struct chain {
    job* first = nullptr;
    job* last = nullptr;
    unsigned count = 0;
  } found[priority_count];
  const auto add = [&](job& ready) {
    chain& c = found[static_cast<unsigned>(ready.priority())];
    (c.last != nullptr ? c.last->next : c.first) = &ready;
    c.last = &ready;
    ++c.count;
  };
  processor& p = *processor_;
  if (job* const j = p.lifo.exchange(nullptr, order::acquire)) add(*j);
  for (run_queue<job>* const queue : {&p.high, &p.ready, &p.background}) {
    while (job* const j = queue->pop()) add(*j);
  }
  while (fork_branch* const b = p.branches.pop()) add(b->make_job_of_taken(core_));
  for (unsigned of = 0; of < priority_count; ++of) {
    const chain& c = found[of];
    if (c.count == 0) continue;
    c.last->next = nullptr;
    // A branch has the priority of its job, which may be pinned, and then nobody has said so.
    if (static_cast<priority>(of) != priority::normal) {
      core_.prioritised_.store(true, order::relaxed);
    }
    core_.injected_[of].push_batch(c.first, c.last, c.count);
    core_.wake_one(idle::pusher::outsider);  // R1
  }
}

}  // namespace weft::detail
