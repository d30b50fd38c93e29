// Rules of the loop
//   I1  Between pin and unpin the processor is this thread's alone. User code runs only in run(),
//       unpinned; no processor pointer is kept across it.
//   I2  A worker that found work while searching, and was the last to search, wakes one more: so as
//       long as there is work and a sleeper, somebody searches or is being woken.
//   I3  Before sleeping, the last searcher looks at every queue again, after it stopped counting as
//       searching: a push that saw it searching, and so woke nobody, is found here.
//   I4  Only the owner touches a processor's `pinned` queues, and moves there what is in its inbox; of
//       jobs pinned to another worker it has none. So such a job runs nowhere else.
//   I5  has_others_ is true whenever a queue that usual() does not look at has a job that is not of
//       background priority, and then the next turn is a special one.
//   I6  A worker without a thread is left awake, or at rest. At rest it is a sleeper for everybody
//       else: among the idle, and parked in its driver; only that the one who waits at the driver's
//       descriptor is a loop that is not ours.
// Why no wake of a worker at rest is lost, by when it comes
//   before lie_down() falls asleep: the push is found in the look after it (I3).
//   after that, before it parks: the parker remembers the call, and lie_down() says that there is
//     more.
//   after that: whoever calls finds PARKED_DRIVER and wakes the driver, and that makes the
//     descriptor readable, level-triggered, until the next wait(): so before the host polls, or
//     while it does.
//   a completion, a withdrawal: they come by way of the driver, which is at rest, too (its rest()).
//   a timer: the host has rest_until_ns(). Timers are armed by jobs only, so not while at rest.
//   While it is awake and nobody drives it, calls find nobody asleep. Whoever drives next looks at
//   all queues before it sleeps; a guest's host has been told to come again.
#include "weft/runtime/worker.hpp"

#include <algorithm>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/fiber_stacks.hpp"
#include "weft/task/current.hpp"
#include "weft/task/frame_trim.hpp"

namespace weft::detail {
namespace {

constexpr unsigned clock_every_turns = 8;  // reading it costs 22 ns; arrivals are taken as well
constexpr std::int64_t beginners_wait_slices = 2;  // of preempt_after: see overdue_beginner()
constexpr std::int64_t beginners_in_slice = 8;
constexpr std::int64_t slept_since = 0;          // in place of when one was begun
constexpr unsigned high_in_a_row_max = 15;       // then one turn is the others'
constexpr unsigned background_every_clocks = 8;  // 64 turns
// Of background jobs in a row, before a look whether others have something better to do: it touches
// two cache lines of each worker.
constexpr unsigned background_in_a_row_max = 8;
constexpr std::int64_t look_every_ns = 50'000;
constexpr unsigned lifo_in_a_row_max = 3;   // then the run queue has its turn
constexpr std::uint8_t budget_units = 128;  // of a job, a turn
constexpr std::int64_t spin_ns = 10'000;    // waking a sleeping core costs as much
constexpr unsigned injected_at_once_max = 32;
// A wake for each of many timers costs more than the timers: 12 us of CPU here. Those that can wait a
// little wait for others; one that comes after a pause does not (docs/decisions/0006-timer-tick.md).
constexpr std::int64_t timer_wakes_apart_ns = 1'000'000;
constexpr std::int64_t timer_slack_ns = 10'000;  // Linux would add 50 us to each wait

}  // namespace

worker::worker(runtime_core& core, processor& first) : worker(core) {
  processor_ = &first;
  deque = &first.branches;
}

worker::worker(runtime_core& core)
    : fork_port(core.asymmetric_), core_(core), processor_(nullptr), leave_(&core.ended_) {
  sleepers = core.per_core_ ? &core.nobody_sleeps_ : &core.idle_;
  notify = [](fork_port& port) noexcept {
    static_cast<worker&>(port).core_.wake_one(idle::pusher::worker);
  };
}

void worker::start() {
  const std::string name = processor_ != nullptr
                               ? core_.name_ + "-" + std::to_string(processor_->index)
                               : core_.name_.substr(0, 9) + "-spare";  // 15 bytes are kept
  auto started = os::thread::start(name, 0, &thread_main, this);
  if (!started) {
    throw error(started.error(), "a worker thread could not be started");
  }
  thread_ = std::move(*started);
}

void worker::thread_main(void* self) {
  auto* const me = static_cast<worker*>(self);
  this_thread_state().worker = me;
  this_thread_state().port = me;
  os::set_timer_slack(timer_slack_ns);
  me->state_ = &this_thread_state();
  me->clock_ = os::thread_clock::of_caller();
  if (processor* const first = me->processor_) {
    me->core_.placement_.settle(first->index);
    if (me->core_.per_core_) first->io->stay_on_one_thread();  // else it may change hands
    first->owner.store(me, order::release);  // the monitor's looks: what stands above
  } else {
    me->take_short_slices();
  }
  me->live();
  this_thread_state().port = nullptr;
  this_thread_state().worker = nullptr;
}

void worker::loop() noexcept {
  while (!leave_->load(order::relaxed)) {
    if (turn()) continue;
    if (WEFT_UNLIKELY(processor_ == nullptr)) return;
    sleep();
  }
}

/// False: there was nothing to do, or the processor is lost.
WEFT_ALWAYS_INLINE bool worker::turn() noexcept {
  job* found = next();
  if (found == nullptr) found = search();
  if (found == nullptr) return false;
  if (searching_) {  // I2
    searching_ = false;
    if (core_.idle_.stop_searching()) core_.wake_one(idle::pusher::worker);
  }
  return run(*found);
}

/// One turn's job, or null: nothing is here that this worker may run. All calls of what it and
/// usual() do not do themselves are the last thing that they do, so that they save no registers, which
/// would cost as much as all that priorities and pinned jobs cost those that use neither.
job* worker::next() noexcept {
  if (WEFT_UNLIKELY(--until_special_ == 0)) return special_turn();
  return usual();
}

WEFT_NOINLINE job* worker::special_turn() noexcept {
  job* const j = due();
  if (j == nullptr) return usual();
  // Who gave way alone told nobody, since it was to come straight back. It does not: this one comes first.
  const processor& p = *processor_;
  if (!p.ready.empty_hint() || p.lifo.load(order::relaxed) != nullptr) {
    core_.wake_one(idle::pusher::worker);
  }
  return j;
}

WEFT_ALWAYS_INLINE job* worker::usual() noexcept {
  processor& p = *processor_;
  if (siblings_first_ != 0) {
    job* const j = p.ready.pop();
    if (j != nullptr && j->born.maker == their_maker_) {
      --siblings_first_;
    } else {
      siblings_first_ = 0;
    }
    if (j != nullptr) return j;
  }
  if (p.lifo.load(order::relaxed) != nullptr && p.lifo_in_a_row < lifo_in_a_row_max) {
    if (job* j = p.lifo.exchange(nullptr, order::acquire)) {
      ++p.lifo_in_a_row;
      return j;
    }
  }
  p.lifo_in_a_row = 0;
  if (job* j = p.ready.pop()) return j;
  return the_rest();
}

/// Of the turns that some count asks for, and of all as long as has_others_.
WEFT_ALWAYS_INLINE job* worker::due() noexcept {
  until_clock_ -= special_span_;
  until_injector_ -= special_span_;
  job* found = nullptr;
  if (until_clock_ == 0) {
    until_clock_ = clock_every_turns;
    found = on_clock();
  }
  if (until_injector_ == 0) {
    if (found == nullptr) {
      until_injector_ = injector_every_turns;
      look_around();
      found = waiting_longest();
    } else {  // the next turn: a look may bench this worker, and not with a job in its hands
      until_injector_ = 1;
    }
  }
  if (WEFT_UNLIKELY(has_others_)) {
    if (found == nullptr) found = by_priority();
  }
  special_span_ = has_others_ ? 1 : until_clock_ < until_injector_ ? until_clock_ : until_injector_;
  until_special_ = special_span_;
  return found;
}

/// Each clock_every_turns. Null: nothing that comes before the others.
WEFT_ALWAYS_INLINE job* worker::on_clock() noexcept {
  if (core_.env_.now_ns() - last_look_ns_ >= look_every_ns) look_around();
  if (WEFT_UNLIKELY(!processor_->arrivals.empty())) take_arrivals();
  if (WEFT_LIKELY(!has_beginners())) {
    processor_->beginner_ns = last_look_ns_;
  } else if (job* const j = overdue_beginner()) {
    if (!core_.injected(priority::high).empty()) until_clock_ = 1;  // it has the next turn
    return j;
  }
  if (WEFT_UNLIKELY(--processor_->until_background == 0)) {
    processor_->until_background = background_every_clocks;
    if (job* const j = take_background()) {
      if (!core_.injected(priority::high).empty()) until_clock_ = 1;  // it has the next turn
      return j;
    }
  }
  if (WEFT_LIKELY(core_.injected(priority::high).empty())) return nullptr;
  return high_from_outside();
}

WEFT_NOINLINE job* worker::high_from_outside() noexcept {
  processor& p = *processor_;
  if (!has_others_) p.high_in_a_row = 0;  // the turns before this one were not for high priority
  if (p.high_in_a_row >= high_in_a_row_max) return nullptr;
  if (std::exchange(own_high_first_, false) &&
      !(p.high.empty_hint() && p.pinned_of(priority::high).empty())) {
    return nullptr;
  }
  const unsigned most = p.high.empty_hint() ? injected_at_once_max : 1;
  job* const j = take_injected(most, priority::high);
  if (j != nullptr) ++p.high_in_a_row;
  return j;
}

/// A queue that usual() does not look at has something that will not wait.
void worker::note_others() noexcept {
  if (has_others_) return;
  has_others_ = true;
  special_span_ -= until_special_ - 1;  // how many turns will have been since the last one
  until_special_ = 1;
}

/// Null: usual() has this turn.
WEFT_NOINLINE job* worker::by_priority() noexcept {
  processor& p = *processor_;
  if (p.high_in_a_row < high_in_a_row_max) {
    if (job* const j = take_high()) return j;
  }
  p.high_in_a_row = 0;
  local_queue<job>& own = p.pinned_of(priority::normal);
  has_others_ = !own.empty() || !p.high.empty_hint() || !p.pinned_of(priority::high).empty() ||
                !p.pinned_beginners.empty();
  bool& own_next = pinned_next_[static_cast<unsigned>(priority::normal)];
  own_next = !own_next;
  if (own_next && (p.lifo.load(order::relaxed) != nullptr || !p.ready.empty_hint() ||
                   !p.branches.empty_hint())) {
    return nullptr;
  }
  own_next = false;
  return own.pop();
}

/// When the run queue is empty.
WEFT_NOINLINE job* worker::the_rest() noexcept {
  processor& p = *processor_;
  if (p.lifo.load(order::relaxed) != nullptr) {
    if (job* j = p.lifo.exchange(nullptr, order::acquire)) return j;
  }
  if (fork_branch* const b = p.branches.pop()) return &b->make_job_of_taken(core_);
  if (job* const j = from_injector(injected_at_once_max)) return j;
  if (WEFT_UNLIKELY(has_beginners())) {
    if (job* const j = begin_another()) return j;
  }
  return beside_the_usual();
}

/// When there is nothing that usual() and the_rest() look at.
WEFT_NOINLINE job* worker::beside_the_usual() noexcept {
  processor& p = *processor_;
  take_arrivals();
  if (job* const j = take_high()) return j;
  if (job* const j = from_injector(injected_at_once_max, priority::high)) return j;
  if (job* const j = p.pinned_of(priority::normal).pop()) return j;
  const bool background = !p.background.empty_hint() ||
                          !p.pinned_of(priority::background).empty() ||
                          !core_.injected(priority::background).empty();
  if (!background) return nullptr;
  if (core_.steals_ && background_in_a_row_++ % background_in_a_row_max == 0) {
    if (job* const j = steal_foreground()) {
      core_.wake_one(idle::pusher::worker);  // what came with it lies here now
      return j;
    }
  }
  return take_background();
}

/// The oldest one here: of the pinned and of those that may run anywhere, by turns.
job* worker::take(priority of) noexcept {
  local_queue<job>& own = processor_->pinned_of(of);
  run_queue<job>& others = processor_->queue_of(of);
  bool& own_next = pinned_next_[static_cast<unsigned>(of)];
  own_next = !own_next;
  if (own_next || own.empty()) {
    if (job* const j = others.pop()) return j;
  }
  return own.empty() ? others.pop() : own.pop();
}

job* worker::take_high() noexcept {
  job* const j = take(priority::high);
  if (j == nullptr) return nullptr;
  ++processor_->high_in_a_row;
  return j;
}

WEFT_NOINLINE job* worker::take_background() noexcept {
  background_from_outside_next_ = !background_from_outside_next_;
  job* j = nullptr;
  if (background_from_outside_next_) j = from_injector(1, priority::background);
  if (j == nullptr) j = take(priority::background);
  if (j == nullptr) j = from_injector(injected_at_once_max, priority::background);
  if (j != nullptr) processor_->figures.background_turns.add();
  return j;
}

/// Empties the inbox. The first of normal priority has the next turn that is not for a high one.
WEFT_NOINLINE void worker::take_arrivals() noexcept {
  processor& p = *processor_;
  const auto came = p.arrivals.take_all();
  if (came.first == nullptr) return;
  p.figures.arrived.add(came.count);
  for (job* rest = came.first; rest != nullptr;) {
    job* const after = rest->next;
    queue(*rest);
    rest = after;
  }
  pinned_next_[static_cast<unsigned>(priority::normal)] = true;  // by_priority() turns it round
}

/// Whether there is anything here that this worker must not fall asleep over.
bool worker::has_work() const noexcept {
  const processor& p = *processor_;
  return !p.ready.empty_hint() || p.lifo.load(order::relaxed) != nullptr || has_others_ ||
         !p.arrivals.empty() || !p.background.empty_hint() ||
         !p.pinned[static_cast<unsigned>(priority::background)].empty();
}

/// What the order of next() would leave lying for as long as jobs come back to the run queue.
WEFT_NOINLINE job* worker::waiting_longest() noexcept {
  // One job while there are others to run: more would put every second turn into beginning new work,
  // and what is woken meanwhile, a timer's job among it, would wait behind that. But as many as the driver
  // has just woken: else a thousand connections that are always ready would keep those waiting for ever
  // that some burst has put into the injector.
  // But where workers sit out, it is there that their I/O and timers put what they wake.
  const bool many = processor_->ready.empty_hint() || core_.participants_.sitting() != 0;
  const unsigned fit = std::min(room_for_ready() + 1, injected_at_once_max);  // one is not queued
  const unsigned most = many ? fit : std::min(1 + io_of_last_look_, fit);
  processor& p = *processor_;
  if (!p.branch_next && std::exchange(beginner_next_, !beginner_next_) &&
      WEFT_UNLIKELY(has_beginners())) {
    if (job* const j = take_beginner()) return j;
  }
  if (!std::exchange(p.branch_next, false)) {
    if (job* const j = from_injector(most)) {
      if (!p.branches.empty_hint()) {  // it has the next turn
        p.branch_next = true;
        until_injector_ = 1;
      }
      return j;
    }
  }
  if (fork_branch* const b = processor_->branches.steal([] { os::heavy_fence(); })) {
    return &b->make_job_of_taken(core_);
  }
  return nullptr;
}

WEFT_ALWAYS_INLINE job* worker::from_injector(unsigned most, priority of) noexcept {
  return core_.injected(of).empty() ? nullptr : take_injected(most, of);
}

/// The oldest; more of them go to the run queue of their priority.
WEFT_NOINLINE job* worker::take_injected(unsigned most, priority of) noexcept {
  injector<job>& injected = core_.injected(of);
  // A fair share at once: the lock is taken once, and the rest stays for the others.
  const std::size_t share = injected.len_hint() / core_.participants_.active() + 1;
  const auto taken = injected.pop_batch(share < most ? static_cast<unsigned>(share) : most);
  if (taken.first == nullptr) return nullptr;
  for (job* rest = processor_->queue_of(of).push_chain(taken.first->next); rest != nullptr;) {
    job* const after = rest->next;  // thieves have made the ring look full
    push_behind(*rest, of);
    rest = after;
  }
  if (of == priority::high && taken.count > 1) note_others();
  if (taken.count > 1) core_.wake_one(idle::pusher::worker);
  return taken.first;
}

/// Alone: it may hold its worker, and the next one as well.
WEFT_NOINLINE job* worker::take_beginner() noexcept {
  processor& p = *processor_;
  p.pinned_beginner_next = !p.pinned_beginner_next;
  job* j = p.pinned_beginner_next ? p.pinned_beginners.pop() : nullptr;
  if (j == nullptr) j = core_.beginners_.pop();
  if (j == nullptr) j = p.pinned_beginners.pop();
  if (j == nullptr) return nullptr;
  p.beginner_ns = core_.env_.now_ns();
  p.beginner_may_hold = false;
  began_in_ = current_turn.now() + 1;
  return j;
}

/// Where there is nothing else: timers and I/O are looked at before the next one.
WEFT_NOINLINE job* worker::begin_another() noexcept {
  job* const j = take_beginner();
  if (j != nullptr) look_soon();
  return j;
}

/// Worker after worker may be lost by those that come back, and never get as far as to begin new ones; or there may
/// be no end of those. The next one waits for less where the last one held no worker.
WEFT_NOINLINE job* worker::overdue_beginner() noexcept {
  processor& p = *processor_;
  // Whom the turn of the last one woke comes before the next one; and whom a worker got up for.
  if (current_turn.now() == began_in_ || p.beginner_ns == slept_since) {
    p.beginner_ns = last_look_ns_;
    return nullptr;
  }
  const std::int64_t slice_ns = core_.monitor_->slice_ns();
  const std::int64_t wait_ns =
      p.beginner_may_hold ? beginners_wait_slices * slice_ns : slice_ns / beginners_in_slice;
  return last_look_ns_ - p.beginner_ns >= wait_ns ? take_beginner() : nullptr;
}

job* worker::search() noexcept {
  // Counts as searching: who pushes to a queue that it looks at wakes nobody.
  if (!searching_ && !core_.per_core_) searching_ = core_.idle_.try_start_searching();
  if (core_.steals_) {
    if (!searching_) return nullptr;
    if (job* const j = steal()) return j;
  }
  return core_.may_look_out() ? look_out() : nullptr;
}

job* worker::steal() noexcept {
  if (job* const j = steal_foreground()) return j;
  if (!core_.prioritised_.load(order::relaxed)) return nullptr;
  job* j = steal_from(priority::background);
  if (j == nullptr) j = from_injector(injected_at_once_max, priority::background);
  if (j != nullptr) processor_->figures.background_turns.add();
  return j;
}

job* worker::steal_from(priority of) noexcept {
  const auto count = static_cast<unsigned>(core_.processors_.size());
  const unsigned begin = processor_->random.below(count);
  run_queue<job>& mine = processor_->queue_of(of);
  for (unsigned i = 0; i < count; ++i) {
    processor& victim = *core_.processors_[processor_->victims->at(begin, i)];
    if (&victim == processor_ || victim.queue_of(of).empty_hint()) continue;
    const auto before = mine.len_hint();
    if (job* const j = victim.queue_of(of).steal_into(mine)) {
      processor_->figures.stolen.add(mine.len_hint() - before + 1);
      if (of == priority::high) note_others();
      return j;
    }
  }
  return nullptr;
}

/// High priority first, then normal, then branches.
job* worker::steal_foreground() noexcept {
  if (core_.prioritised_.load(order::relaxed)) {
    if (job* const j = from_injector(injected_at_once_max, priority::high)) return j;
    if (job* const j = steal_from(priority::high)) return j;
  }
  const auto count = static_cast<unsigned>(core_.processors_.size());
  const unsigned begin = processor_->random.below(count);
  for (unsigned i = 0; i < count; ++i) {
    processor& victim = *core_.processors_[processor_->victims->at(begin, i)];
    if (&victim == processor_) continue;
    const auto before = processor_->ready.len_hint();
    if (job* j = victim.ready.steal_into(processor_->ready)) {
      processor_->figures.stolen.add(processor_->ready.len_hint() - before + 1);
      return j;
    }
    if (fork_branch* const b = victim.branches.steal([] { os::heavy_fence(); })) {
      processor_->figures.stolen.add();
      return &b->make_job_of_taken(core_);
    }
  }
  if (job* const j = from_injector(injected_at_once_max)) return j;
  return core_.beginners_.empty() ? nullptr : begin_another();
}

/// A look at the driver, then for a moment at whatever may bring work. Waking a sleeping core costs 8-30 us
/// and a system call on the waker's side; looking out for as long first turns most hand-overs into a
/// cache miss. Not worth it where cores are shared.
job* worker::look_out() noexcept {
  processor& p = *processor_;
  look_around(timers::when_worth_it);
  if (has_work()) return next();
  // Who has nobody to take from looks at the injector only, and can do so without a pause.
  const int pauses = core_.steals_ ? 32 : 1;
  const std::int64_t until_ns = last_look_ns_ + spin_ns;
  do {
    for (int i = 0; i < pauses; ++i) cpu_pause();
    if (!p.arrivals.empty()) return next();
    if (core_.any_work()) {
      if (job* const j = core_.steals_ ? steal() : next()) return j;
    }
    if (leave_->load(order::relaxed)) return nullptr;
    if (p.io->idle()) continue;
    look_around(timers::when_worth_it);
    if (has_work()) return next();
  } while (core_.env_.now_ns() < until_ns);
  return core_.steals_ ? steal_lifo() : nullptr;
}

/// The last resort, after a few microseconds in which its owner did not come to it.
job* worker::steal_lifo() noexcept {
  for (auto& victim : core_.processors_) {
    if (victim.get() == processor_ || victim->lifo.load(order::relaxed) == nullptr) continue;
    if (job* j = victim->lifo.exchange(nullptr, order::acquire)) {
      processor_->figures.stolen.add();
      return j;
    }
  }
  return nullptr;
}

/// False: the job was at it for so long that the processor is gone.
bool worker::run(job& next) noexcept {
  next.refill_budget(budget_units);
  current_turn.begin();
  exchange_current_job(&next);
  pin.unpin();
  next.run();
  const auto pinned = pin.pin();
  exchange_current_job(nullptr);
  if (WEFT_UNLIKELY(pinned != pin_state::pin_result::owned)) return lose();
  if (WEFT_UNLIKELY(current_turn.is_to_end())) end_long_turn(&next);
  return true;
}

/// After a turn that was so long that somebody asked for its end: timers and I/O have waited for it, and are
/// looked at before the next one. Else jobs that take long would be looked past for eight of their turns. And what is
/// woken comes before this one, if it gave way, and those that never ran: they may be as long.
WEFT_NOINLINE void worker::end_long_turn(const job* ran) noexcept {
  look_soon();
  if (core_.monitor_ != nullptr) put_beginners_behind(ran);
}

WEFT_NOINLINE void worker::look_soon() noexcept {
  special_span_ -= until_special_ - 1;
  until_special_ = 1;
  until_clock_ = special_span_;
}

bool worker::begin_next_turn_of(job& running) noexcept {
  if (until_special_ == 1 || current_turn.is_to_end()) return false;
  // One of background priority must ask those like it, too; and a guest's turns are counted.
  if (WEFT_UNLIKELY(!running.is_usual() || core_.is_guest())) return false;
  processor& p = *processor_;
  if (!p.ready.empty_hint() || p.lifo.load(order::relaxed) != nullptr || !p.branches.empty_hint() ||
      !core_.injected(priority::normal).empty() || !core_.beginners_.empty()) {
    return false;
  }
  --until_special_;
  p.lifo_in_a_row = 0;
  running.refill_budget(budget_units);
  current_turn.begin();
  return true;
}

void worker::overflow::push_batch(job* first, job* last, unsigned count) noexcept {
  self.processor_->figures.overflowed.add(count);
  self.core_.injected(of).push_batch(first, last, count);
}

void worker::push(job& ready, wake_kind why) noexcept {
  if (WEFT_UNLIKELY(!ready.is_usual())) return push_other(ready, why);
  processor& p = *processor_;
  job* queued = &ready;
  if (why == wake_kind::woken && !completing_) {
    // It joined a child, and made others after that one: most likely they are next in the queue, and
    // it will join them, too.
    siblings_first_ = 0;
    if (ending_.maker != 0 && ending_.maker == job::as_maker(ready)) {
      const auto younger = static_cast<std::uint8_t>(ready.born.children - ending_.number);
      // No more than there are: they may give way, and come again and again.
      siblings_first_ = static_cast<std::uint8_t>(std::min<unsigned>(younger, p.ready.len_hint()));
      their_maker_ = ending_.maker;
    }
    // Only this thread puts something there, so an empty slot needs no read-modify-write.
    job* const before = p.lifo.load(order::relaxed);
    if (before == nullptr) {
      p.lifo.store(&ready, order::release);
      return;
    }
    queued = p.lifo.exchange(&ready, order::acq_rel);
    if (queued == nullptr) return;
    if (WEFT_UNLIKELY(!queued->is_usual())) return queue(*queued);
  }
  if (why == wake_kind::yielded && p.ready.empty_hint() && p.lifo.load(order::relaxed) == nullptr) {
    // It comes straight back to this worker, or special_turn() tells of it. What else there may be, in
    // the injector or on the deque, was told when it was put there.
    return push_behind(*queued, priority::normal);
  }
  queue_usual(*queued);
}

WEFT_NOINLINE void worker::queue_usual(job& ready) noexcept {
  push_behind(ready, priority::normal);
  core_.wake_one(idle::pusher::worker);
}

/// One that is not of normal priority, or pinned. The newest has the LIFO slot here, too, and what was
/// there goes behind the others of its own kind: so of two that are woken the one of high priority
/// runs first, whichever came first, since its run queue comes before the slot.
WEFT_NOINLINE void worker::push_other(job& ready, wake_kind why) noexcept {
  processor& p = *processor_;
  if (ready.is_pinned() && ready.worker() != p.index) return core_.send_home(ready);
  job* queued = &ready;
  bool slot = why == wake_kind::woken && !completing_;
  if (ready.is_pinned() && !core_.per_core_) slot = false;     // thieves look there
  if (ready.priority() == priority::background) slot = false;  // it would run before all others
  if (ready.priority() == priority::high) {                    // it would run behind those
    slot = slot && p.high.empty_hint() && p.pinned_of(priority::high).empty();
  }
  if (slot) {
    siblings_first_ = 0;
    if (p.lifo.load(order::relaxed) == nullptr) return p.lifo.store(&ready, order::release);
    queued = p.lifo.exchange(&ready, order::acq_rel);
  }
  if (queued != nullptr) queue(*queued);
}

/// Behind those that are like it. Pinned: to this worker.
void worker::queue(job& ready) noexcept {
  const priority of = ready.priority();
  if (ready.is_pinned()) {
    processor_->pinned_of(of).push_back(&ready);
    if (of != priority::background) note_others();
    return;
  }
  if (of != priority::normal) core_.prioritised_.store(true, order::relaxed);
  if (of == priority::high) note_others();
  push_behind(ready, of);
  core_.wake_one(idle::pusher::worker);
}

unsigned worker::room_for_ready() const noexcept {
  const run_queue<job>& ready = processor_->ready;
  const unsigned queued = ready.len_hint();
  return queued < ready.capacity ? ready.capacity - queued : 0;
}

WEFT_NOINLINE void worker::look_around(timers which) noexcept {
  core_.assert_not_forked();  // or the child would take what the parent's driver has to tell
  const std::int64_t now = core_.env_.now_ns();
  last_look_ns_ = now;
  processor& p = *processor_;
  // No more than the run queue has room for: what overflows goes to the injector, which has one turn in 61
  // as long as there is something here, and those who stay would be served over and over before it.
  // A queue that is full at each look must not hold them up for ever: one has the LIFO slot then.
  if (which == timers::all || now >= timers_wake_ns()) {
    const unsigned most = room_for_ready();
    completing_ = most != 0;
    if (const unsigned fired = p.timers.advance(now, most != 0 ? most : 1)) {
      p.figures.timers_fired.add(fired);
      last_fired_ns_ = now;
    }
  }
  const unsigned most = (room_for_ready() + 1) / 2;  // the other half is for waiting_longest()
  completing_ = most != 0;
  io_of_last_look_ = p.io->wait(0, most != 0 ? most : 1);
  completing_ = false;
  p.figures.io_completions.add(io_of_last_look_);
  if (WEFT_UNLIKELY(leave_at_ns_ != never_ns) && os::monotonic_ns() >= leave_at_ns_) {
    leave_->store(true, order::relaxed);
  }
  core_.follow_cpus(now);
  if (WEFT_UNLIKELY(sits_out())) sit_out();
}

/// True: nothing is to be done, and everybody knows that this worker sleeps.
bool worker::fall_asleep() noexcept {
  processor& p = *processor_;
  if (has_work()) return false;
  if (timers_wake_ns() <= last_look_ns_) return false;  // there is room for it now
  if (searching_ && core_.any_work()) return false;     // spares a fence that interrupts all others
  const bool was_last = core_.idle_.sleep(p.index, searching_);
  searching_ = false;
  if (was_last && core_.any_work()) {  // I3
    // Awake again by itself, or named by a waker who counted it as searching. It must count as
    // searching either way (rule R3 of queue/idle.hpp): with two items there, taking one quietly
    // would leave the other behind a busy worker.
    searching_ = core_.idle_.wake_self(p.index) ? core_.idle_.try_start_searching() : true;
    return false;
  }
  if (core_.ended_.load(order::seq_cst)) {
    searching_ = !core_.idle_.wake_self(p.index);
    return false;
  }
  p.beginner_ns = slept_since;
  p.figures.parks.add();
  return true;
}

/// When one who has nothing else to do is to see to its timers. Two workers that wake each other would
/// else fire what has just come due each time, and by that wake the other again: ten times in a
/// millisecond, with 250 000 timers a second.
std::int64_t worker::timers_wake_ns() const noexcept {
  const timer_set& timers = processor_->timers;
  if (core_.env_.is_virtual()) return timers.next_deadline_ns();
  // Multiples, so that all are awake at the same time, and nobody is woken only to help.
  return timers.wake_ns((last_fired_ns_ / timer_wakes_apart_ns + 1) * timer_wakes_apart_ns);
}

/// When a worker that fell asleep is to wake for its timers. `skipped`: the clock was moved on.
std::int64_t worker::next_look_ns(bool& skipped) noexcept {
  processor& p = *processor_;
  if (!core_.env_.is_virtual()) return timers_wake_ns();
  // A clock that can be moved on is moved only when nothing but time can wake us.
  skipped = p.io->idle() && core_.may_skip_time() && !core_.any_work() &&
            core_.env_.skip_to(p.timers.next_deadline_ns());
  return never_ns;
}

void worker::sleep() noexcept {
  processor& p = *processor_;
  core_.assert_not_forked();           // this thread may have been forked in a job
  look_around(timers::when_worth_it);  // nothing else will be done until somebody wakes us
  if (!fall_asleep()) return;
  bool skipped = false;
  std::int64_t deadline = std::min(next_look_ns(skipped), leave_at_ns_);
  std::int64_t trim_ns = never_ns;  // not on a clock that can be moved: memory is of the real one
  if (!core_.env_.is_virtual()) {
    trim_ns = std::min(trim_due_ns(last_look_ns_), fiber_stacks::trim_due_ns(last_look_ns_));
    // A few times after a burst, then no more: an idle program sleeps for good. Where no park has a
    // time-out it is done when something else has woken this thread.
    if (!WEFT_INFINITE_TIMEOUTS && trim_ns < deadline) deadline = trim_ns;
  }
  if (skipped || trim_ns <= last_look_ns_) {
    // no sleep: on to the timers, or to what is to be given back
  } else if (p.io->idle()) {
    const at_rest until_then(*this);
    static_cast<void>(p.sleep.park_until(deadline));
  } else if (p.sleep.prepare_park(parker::place::driver) == parking::may_sleep) {
    const at_rest until_then(*this);
    completing_ = true;
    p.figures.io_completions.add(p.io->wait(deadline, p.ready.capacity));
    completing_ = false;
    static_cast<void>(p.sleep.end_park());
  }
  if (!core_.idle_.wake_self(p.index)) searching_ = true;  // a waker counted us as searching
  look_around(timers::when_worth_it);
  // Not while searching: whoever makes work would wake nobody else for it.
  if (WEFT_UNLIKELY(trim_ns <= last_look_ns_) && !searching_ && !has_work()) {
    trim_frames(last_look_ns_);
    fiber_stacks::trim(last_look_ns_);
    core_.jobs_.trim(*p.jobs);
    core_.jobs_.trim();
  }
}

// --- Without a thread

/// While one exists, the calling thread is the worker. What it was before may be a worker, too: of
/// another runtime, one of whose jobs ends this one.
class worker::driven {
 public:
  explicit driven(worker& w) noexcept
      : worker_(this_thread_state().worker),
        port_(this_thread_state().port),
        running_(exchange_current_job(nullptr)) {
    this_thread_state().worker = &w;
    this_thread_state().port = &w;
    this_thread_state().lost_processor.store(0, order::relaxed);  // it was not said of this one
  }
  ~driven() {
    this_thread_state().port = port_;
    this_thread_state().worker = worker_;
    // It may have been said meanwhile, of the worker that this thread is again; who looks asks the pin.
    if (port_ != nullptr) this_thread_state().lost_processor.store(1, order::relaxed);
    exchange_current_job(running_);
  }
  driven(const driven&) = delete;
  driven& operator=(const driven&) = delete;

 private:
  worker* const worker_;
  fork_port* const port_;
  job* const running_;
};

void worker::drive(atomic<bool>& leave, std::int64_t until_ns) noexcept {
  const driven by_this_thread(*this);
  const std::int64_t slack_before_ns = os::timer_slack();  // the thread is not ours to keep
  os::set_timer_slack(timer_slack_ns);
  get_up();
  leave_ = &leave;
  leave_at_ns_ = until_ns;
  loop();
  leave_at_ns_ = never_ns;
  leave_ = &core_.ended_;
  os::set_timer_slack(slack_before_ns);
}

bool worker::run_ready(unsigned turns_max) noexcept {
  const driven by_this_thread(*this);
  get_up();
  for (unsigned turns = 0;;) {
    while (turns < turns_max && turn()) ++turns;
    if (lie_down()) return false;
    if (turns >= turns_max) return true;
    ++turns;  // a look counts as one: a driver that is never at rest must not keep us here
  }
}

/// Goes to rest. False: there is more to do, or more to look at.
bool worker::lie_down() noexcept {
  processor& p = *processor_;
  look_around();  // at all timers: a host may go by its own clock, and by next_deadline()
  if (!p.io->rest() || !fall_asleep()) return false;
  bool skipped = false;
  rest_until_ns_ = next_look_ns(skipped);
  at_rest_ = !skipped && p.sleep.prepare_park(parker::place::driver) == parking::may_sleep;
  if (!at_rest_ && !core_.idle_.wake_self(p.index)) searching_ = true;
  return at_rest_;
}

void worker::get_up() noexcept {
  if (!std::exchange(at_rest_, false)) return;
  static_cast<void>(processor_->sleep.end_park());
  if (!core_.idle_.wake_self(processor_->index)) searching_ = true;
}

}  // namespace weft::detail
