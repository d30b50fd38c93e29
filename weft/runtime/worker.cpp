// Rules of the loop
//   I1  Between pin and unpin the processor is this thread's alone. User code runs only in run(),
//       unpinned; no processor pointer is kept across it.
//   I2  A worker that found work while searching, and was the last to search, wakes one more: so as
//       long as there is work and a sleeper, somebody searches or is being woken.
//   I3  Before sleeping, the last searcher looks at every queue again, after it stopped counting as
//       searching: a push that saw it searching, and so woke nobody, is found here.
#include "weft/runtime/worker.hpp"

#include "weft/base/assert.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/os/thread.hpp"
#include "weft/task/current.hpp"

namespace weft::detail {
namespace {

constexpr unsigned injector_every_turns = 61;  // prime, so that it meets no pattern of the load
constexpr unsigned clock_every_turns = 8;      // reading it costs 22 ns
constexpr std::int64_t look_every_ns = 50'000;
constexpr unsigned lifo_in_a_row_max = 3;    // then the run queue has its turn
constexpr std::uint16_t budget_units = 128;  // of a job, a turn
constexpr std::int64_t spin_ns = 10'000;     // waking a sleeping core costs as much
constexpr unsigned injected_at_once_max = 32;
// A wake for each of many timers costs more than the timers: 12 us of CPU here. Those that can wait a
// little wait for others; one that comes after a pause does not (docs/decisions/0006-timer-tick.md).
constexpr std::int64_t timer_wakes_apart_ns = 1'000'000;
constexpr std::int64_t timer_slack_ns = 10'000;  // Linux would add 50 us to each wait

}  // namespace

worker::worker(runtime_core& core, processor& first)
    : fork_port(core.asymmetric_), core_(core), processor_(&first) {
  deque = &first.branches;
  sleepers = &core.idle_;
  notify = [](fork_port& port) noexcept {
    static_cast<worker&>(port).core_.wake_one(idle::pusher::worker);
  };
}

void worker::start() {
  const std::string name = core_.name_ + "-" + std::to_string(processor_->index);
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
  me->core_.placement_.settle(me->processor_->index);
  me->loop();
  this_thread_state().port = nullptr;
  this_thread_state().worker = nullptr;
}

void worker::loop() noexcept {
  while (!core_.ended_.load(order::relaxed)) {
    job* found = nullptr;
    if (WEFT_UNLIKELY(--until_clock_ == 0)) {
      until_clock_ = clock_every_turns;
      if (core_.env_.now_ns() - last_look_ns_ >= look_every_ns) look_around();
    }
    if (WEFT_UNLIKELY(--until_injector_ == 0)) {
      until_injector_ = injector_every_turns;
      look_around();
      found = waiting_longest();
    }
    if (WEFT_LIKELY(found == nullptr)) found = next();
    if (found == nullptr) found = search();
    if (found == nullptr) {
      sleep();
      continue;
    }
    if (searching_) {  // I2
      searching_ = false;
      if (core_.idle_.stop_searching()) core_.wake_one(idle::pusher::worker);
    }
    run(*found);
  }
}

job* worker::next() noexcept {
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
  if (p.lifo.load(order::relaxed) != nullptr && lifo_in_a_row_ < lifo_in_a_row_max) {
    if (job* j = p.lifo.exchange(nullptr, order::acquire)) {
      ++lifo_in_a_row_;
      return j;
    }
  }
  lifo_in_a_row_ = 0;
  if (job* j = p.ready.pop()) return j;
  if (p.lifo.load(order::relaxed) != nullptr) {
    if (job* j = p.lifo.exchange(nullptr, order::acquire)) return j;
  }
  if (fork_branch* const b = p.branches.pop()) return &b->make_job(core_);
  return from_injector(injected_at_once_max);
}

/// What the order of next() would leave lying for as long as jobs come back to the run queue.
job* worker::waiting_longest() noexcept {
  // One job while there are others to run: more would put every second turn into beginning new work,
  // and what is woken meanwhile, a timer's job among it, would wait behind that.
  // But where workers sit out, it is there that their I/O and timers put what they wake.
  const bool many = processor_->ready.empty_hint() || core_.participants_.sitting() != 0;
  const unsigned most = many ? injected_at_once_max : 1;
  if (job* const j = from_injector(most)) return j;
  if (fork_branch* const b = processor_->branches.steal([] { os::heavy_fence(); })) {
    return &b->make_job(core_);
  }
  return nullptr;
}

job* worker::from_injector(unsigned most) noexcept {
  if (core_.injected_.empty()) return nullptr;
  // A fair share at once: the lock is taken once, and the rest stays for the others.
  const std::size_t share = core_.injected_.len_hint() / core_.participants_.active() + 1;
  const auto taken = core_.injected_.pop_batch(share < most ? static_cast<unsigned>(share) : most);
  if (taken.first == nullptr) return nullptr;
  for (job* rest = processor_->ready.push_chain(taken.first->next); rest != nullptr;) {
    job* const after = rest->next;  // thieves have made the ring look full
    push_back(*rest);
    rest = after;
  }
  if (taken.count > 1) core_.wake_one(idle::pusher::worker);
  return taken.first;
}

job* worker::search() noexcept {
  if (core_.processors_.size() == 1) return nullptr;
  if (!searching_) searching_ = core_.idle_.try_start_searching();
  if (!searching_) return nullptr;
  if (job* j = steal()) return j;
  return spin();
}

job* worker::steal() noexcept {
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
      return &b->make_job(core_);
    }
  }
  return from_injector(injected_at_once_max);
}

job* worker::spin() noexcept {
  // Waking a sleeping core costs 8-10 us and a system call on the waker's side; looking around for
  // as long first turns most hand-overs into a cache miss. Not worth it where cores are shared.
  if (!core_.may_spin_ || core_.participants_.active() == 1) return nullptr;
  const std::int64_t until = core_.env_.now_ns() + spin_ns;
  do {
    for (int i = 0; i < 32; ++i) cpu_pause();
    if (core_.any_work()) {
      if (job* j = steal()) return j;
    }
    if (core_.ended_.load(order::relaxed)) return nullptr;
  } while (core_.env_.now_ns() < until);
  // The last resort, after a few microseconds in which its owner did not come to it.
  for (auto& victim : core_.processors_) {
    if (victim.get() == processor_ || victim->lifo.load(order::relaxed) == nullptr) continue;
    if (job* j = victim->lifo.exchange(nullptr, order::acquire)) {
      processor_->figures.stolen.add();
      return j;
    }
  }
  return nullptr;
}

void worker::run(job& next) noexcept {
  processor_->figures.turns.add();
  next.refill_budget(budget_units);
  exchange_current_job(&next);
  pin.unpin();
  next.run();
  const auto pinned = pin.pin();
  WEFT_ASSERT(pinned == pin_state::pin_result::owned, "a processor was taken without a monitor");
  exchange_current_job(nullptr);
}

bool worker::begin_next_turn_of(job& running) noexcept {
  if (until_clock_ == 1 || until_injector_ == 1) return false;
  processor& p = *processor_;
  if (!p.ready.empty_hint() || p.lifo.load(order::relaxed) != nullptr ||
      !p.branches.empty_hint() || !core_.injected_.empty()) {
    return false;
  }
  --until_clock_;
  --until_injector_;
  lifo_in_a_row_ = 0;
  p.figures.turns.add();
  running.refill_budget(budget_units);
  return true;
}

void worker::push(job& ready, wake_kind why) noexcept {
  processor& p = *processor_;
  job* queued = &ready;
  if (why == wake_kind::woken && !completing_) {
    // It joined a child, and made others after that one: most likely they are next in the queue, and
    // it will join them, too.
    siblings_first_ = 0;
    if (ending_.maker == job::as_maker(ready)) {
      siblings_first_ = static_cast<std::uint8_t>(ready.born.children - ending_.number);
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
  }
  if (why == wake_kind::yielded && p.ready.empty_hint() &&
      p.lifo.load(order::relaxed) == nullptr) {
    // It comes straight back to this worker. What else there may be, in the injector or on the deque,
    // was told when it was put there.
    return push_back(*queued);
  }
  push_back(*queued);
  core_.wake_one(idle::pusher::worker);
}

void worker::look_around() noexcept {
  completing_ = true;
  const std::int64_t now = core_.env_.now_ns();
  last_look_ns_ = now;
  processor& p = *processor_;
  // No more than the run queue has room for: what overflows goes to the injector, behind every job that
  // waits there, and would be late by all of them.
  const unsigned queued = p.ready.len_hint();
  const unsigned room = queued < p.ready.capacity ? p.ready.capacity - queued : 0;
  if (const unsigned fired = p.timers.advance(now, room)) {
    p.figures.timers_fired.add(fired);
    last_fired_ns_ = now;
  }
  p.figures.io_completions.add(p.io->wait(0));
  completing_ = false;
  core_.follow_cpus(now);
  if (WEFT_UNLIKELY(sits_out())) sit_out();
}

void worker::sleep() noexcept {
  processor& p = *processor_;
  look_around();  // and not only now and then: nothing else will be done until somebody wakes us
  if (!p.ready.empty_hint() || p.lifo.load(order::relaxed) != nullptr) return;
  if (p.timers.next_deadline_ns() <= last_look_ns_) return;  // there was no room for it, and is now
  const bool was_last = core_.idle_.sleep(p.index, searching_);
  searching_ = false;
  if (was_last && core_.any_work()) {  // I3
    // Awake again by itself, or named by a waker who counted it as searching. It must count as
    // searching either way (rule R3 of queue/idle.hpp): with two items there, taking one quietly
    // would leave the other behind a busy worker.
    searching_ = core_.idle_.wake_self(p.index) ? core_.idle_.try_start_searching() : true;
    return;
  }
  if (core_.ended_.load(order::seq_cst)) {
    searching_ = !core_.idle_.wake_self(p.index);
    return;
  }
  p.figures.parks.add();
  std::int64_t deadline = p.timers.next_deadline_ns();
  // A clock that can be moved on is moved only when nothing but time can wake us.
  bool skipped = false;
  if (core_.env_.is_virtual()) {
    skipped =
        p.io->idle() && core_.may_skip_time() && !core_.any_work() && core_.env_.skip_to(deadline);
    deadline = never_ns;
  } else {
    deadline = p.timers.wake_ns(last_fired_ns_ + timer_wakes_apart_ns);
  }
  if (skipped) {
    // fall through to the timers
  } else if (p.io->idle()) {
    static_cast<void>(p.sleep.park_until(deadline));
  } else if (p.sleep.prepare_park(parker::place::driver) == parking::may_sleep) {
    completing_ = true;
    p.figures.io_completions.add(p.io->wait(deadline));
    completing_ = false;
    static_cast<void>(p.sleep.end_park());
  }
  if (!core_.idle_.wake_self(p.index)) searching_ = true;  // a waker counted us as searching
  look_around();
}

}  // namespace weft::detail
