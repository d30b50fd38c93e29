#include "weft/runtime/core.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "weft/base/assert.hpp"
#include "weft/base/chrono.hpp"
#include "weft/base/setting.hpp"
#include "weft/fiber/preempt.hpp"
#include "weft/os/affinity.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/fiber_stacks.hpp"
#include "weft/runtime/worker.hpp"
#include "weft/task/current.hpp"
#include "weft/task/panic.hpp"
#include "weft/task/stop_watch.hpp"

namespace weft::detail {
namespace {

bool has_no_thread(scheduling mode) noexcept {
  return mode == scheduling::current_thread || mode == scheduling::guest;
}

/// Whether a processor can be handed over: there are threads to take it, on a clock that goes by itself; and
/// not with per_core, whose jobs rely on having their thread to themselves.
bool can_hand_over(const runtime_options& options, const environment& env) noexcept {
  return options.mode == scheduling::work_stealing && !env.is_virtual() &&
         options.preempt_after > std::chrono::microseconds::zero() &&
         !is_set_to("WEFT_HANDOFF", "off", "on");
}

const runtime_options& checked(const runtime_options& options) {
  if (has_no_thread(options.mode) && options.workers > 1) {
    throw error(std::make_error_code(std::errc::invalid_argument),
                "scheduling::current_thread and guest have one worker, and more were asked for; "
                "leave runtime_options::workers at 0");
  }
  return options;
}

/// One for each processor, and all of one kind: a descriptor that one of them attached is used on all,
/// and what one kind keeps beside it means nothing to another. A limit may be reached at any of them.
std::vector<std::unique_ptr<io::driver>> make_drivers(environment& env, driver kind, unsigned count,
                                                      std::string_view& why) {
  std::vector<std::unique_ptr<io::driver>> made;
  std::string_view first_why;
  bool mixed = false;
  const auto kind_of = [](std::string_view name) {
    return name == "poll" ? driver::poll : name == "epoll" ? driver::epoll : driver::io_uring;
  };
  // In the order in which `automatic` falls back: who had to fall back can do with less.
  const auto rank = [](driver d) { return d == driver::poll ? 2 : d == driver::io_uring ? 1 : 0; };
  while (made.size() < count) {
    auto next = env.make_driver(kind, &why);
    if (!next) {
      throw error(next.error(), ("no I/O driver could be made (" + std::string(why) + ")").c_str());
    }
    if (made.empty()) {
      if (!mixed) first_why = why;
    } else if ((*next)->name() != made.front()->name()) {
      WEFT_ASSERT(kind == driver::automatic, "drivers of one kind have different names");
      const driver first = kind_of(made.front()->name());
      const driver other = kind_of((*next)->name());
      const bool falls_back = rank(other) > rank(first);
      if (falls_back) first_why = why;
      mixed = true;
      kind = falls_back ? other : first;
      next->reset();
      made.clear();
      continue;
    }
    made.push_back(std::move(*next));
  }
  why = first_why;
  return made;
}

/// What a guest's host polls. Due at once: the host's first call brings the worker to rest.
os::poll_set make_doorbell(const io::driver& driver) {
  constexpr const char* what = "the descriptor of a guest runtime could not be made";
  if (driver.descriptor() < 0) {
    throw error(
        std::make_error_code(std::errc::not_supported),
        "scheduling::guest needs a driver that another loop can poll, io_uring or epoll; poll "
        "has no descriptor of its own");
  }
  auto made = os::poll_set::make();
  if (!made) throw error(made.error(), what);
  if (auto added = made->add(driver.descriptor()); !added) throw error(added.error(), what);
  made->due_at(0);
  return std::move(*made);
}

}  // namespace

runtime_core::runtime_core(runtime_options options, environment& env)
    : options_(checked(options)),
      driven_(has_no_thread(options.mode)),
      name_(options.name),
      env_(env),
      asymmetric_(os::register_heavy_fence()),
      participants_(options, env),
      placement_(options, env, participants_.workers()),
      idle_(participants_.workers(), asymmetric_ && options.mode != scheduling::per_core),
      per_core_(options.mode == scheduling::per_core),
      steals_(!per_core_ && participants_.workers() > 1),
      may_spin_(participants_.automatic() ? participants_.workers() > 1 : os::cpus_available() > 1),
      jobs_(participants_.workers(), asymmetric_),
      blocking_(name_ + "-block", options.max_blocking_threads,
                std::chrono::nanoseconds(from_chrono(options.blocking_keep_alive)), &placement_,
                may_spin_),
      handoff_(*this, participants_.workers(), options.max_blocking_threads, options.report_stuck) {
  const unsigned count = participants_.workers();
  rng seeds(env_.seed());
  auto drivers = make_drivers(env_, options_.io, count, driver_reason_);
  for (unsigned i = 0; i < count; ++i) {
    processors_.push_back(
        std::make_unique<processor>(i, seeds.next(), std::move(drivers[i]), asymmetric_));
    processors_.back()->home = this;
    processors_.back()->jobs = &jobs_.of(i);
    processors_.back()->victims = &placement_.victims(i);
  }
  for (auto& p : processors_) workers_.push_back(std::make_unique<worker>(*this, *p));
  if (is_guest()) doorbell_ = make_doorbell(*processors_.front()->io);
  if (driven_) return;
  try {
    if (can_hand_over(options, env_)) {
      // Before the threads begin, which read it. Where timers are armed on a thread that lost its
      // processor, its next owner must hear of it.
      for (auto& p : processors_) p->timers.on_sooner(&timers_changed, p.get());
      monitor_ = std::make_unique<monitor>(*this, from_chrono(options.preempt_after));
    }
    for (auto& w : workers_) w->start();
    // Refused: the jobs that are there can run, and nobody helps those behind a stuck one.
    if (monitor_) static_cast<void>(monitor_->start());
  } catch (...) {  // the system gives no more threads; those that run must not outlive this
    end_workers();
    throw;
  }
}

runtime_core::~runtime_core() {
  constexpr std::int64_t first_report_ns = 5'000'000'000;
  // Every job is stopped and awaited: their frames hold references into the world that is ending.
  for (std::int64_t grace = first_report_ns; !shutdown(grace);) {
  }
  alive_.end();  // no job is left to fail; handles may be
  end_workers();
  while (injecting_.load(order::acquire) != 0) os::yield_thread();  // P2
}

void runtime_core::assert_not_forked() const noexcept {
  WEFT_ASSERT(
      os::fork_generation() == made_in_,
      "a child of fork() uses its parent's runtime, whose threads it does not have; exec or _exit "
      "there, or make a runtime of its own (exit() destroys static objects: call _exit)");
}

void runtime_core::end_workers() noexcept {
  if (monitor_) monitor_->end();
  ended_.store(true, order::seq_cst);
  for (unsigned i = 0; i < processors_.size(); ++i) wake_worker(i);
  handoff_.end();
  for (auto& w : workers_) w->join();
  handoff_.join();
}

// The worker that calls, if it is one of this runtime's.
WEFT_ALWAYS_INLINE worker* runtime_core::caller() noexcept {
  worker* const w = current_worker();
  return w != nullptr && &w->core() == this ? w : nullptr;
}

void runtime_core::schedule(job& ready, wake_kind why) noexcept {
  if (worker* const w = caller()) {
    const worker::pinned pinned(*w);
    if (WEFT_LIKELY(pinned.processor() != nullptr)) return w->push(ready, why);
    return inject_by_lost(*w, ready, why);
  }
  inject(ready);
}

/// Apart, so that schedule() need not keep anything for it.
WEFT_NOINLINE void runtime_core::inject_by_lost(worker& by, job& ready, wake_kind why) noexcept {
  // One that wakes others may be over: it has begun to wait, and somebody else has made it ready.
  if (why == wake_kind::yielded) by.note_loss(&ready, &ready.waiting_in()->armed_by());
  inject(ready);
}

bool runtime_core::goes_on(job& running) noexcept {
  worker* const w = caller();
  if (w == nullptr) return false;
  const worker::pinned pinned(*w);
  return pinned.processor() != nullptr && w->begin_next_turn_of(running);
}

void runtime_core::launch(job& made) noexcept {
  if (worker* const w = caller()) {
    const worker::pinned pinned(*w);
    if (processor* const p = pinned.processor()) {
      if (job* const maker = current_job()) made.made_by(*maker);
      if (WEFT_UNLIKELY(per_core_)) settle(made, p->index);
      jobs_.add(*p->jobs, made);
      return w->push_new(made);
    }
    return launch_by_lost(*w, made);
  }
  launch_from_outside(made);
}

WEFT_NOINLINE void runtime_core::launch_by_lost(worker& by, job& made) noexcept {
  by.note_loss(current_job());
  launch_from_outside(made);
}

void runtime_core::launch_from_outside(job& made) noexcept {
  if (per_core_) settle(made);
  jobs_.add(made);
  inject(made);
}

void runtime_core::inject(job& ready) noexcept {
  // Once it is pushed, the job may run and end, and with it all that keeps this runtime alive; but the
  // calling thread, which may be another runtime's, is not done here before it has woken a worker.
  // P2  injecting down (release)  ->  ~runtime_core: injecting read (acquire). That it went up is seen
  //     there through the queue and the job's end.
  injecting_.fetch_add(1, order::relaxed);
  if (ready.is_pinned()) {
    send_home(ready);
  } else {
    injections_.fetch_add(1, order::relaxed);
    if (ready.priority() != priority::normal) prioritised_.store(true, order::relaxed);
    injected(ready.priority()).push(&ready);
    wake_one(idle::pusher::outsider);
  }
  injecting_.fetch_sub(1, order::release);  // P2, and the last access
}

/// A pinned job, from any thread but its worker's.
void runtime_core::send_home(job& ready) noexcept {
  const unsigned home = ready.worker();
  WEFT_ASSERT(
      home < processors_.size(),
      "a job was spawned on a worker that this runtime does not have; spawn_options::worker "
      "counts from 0 and is less than the number of workers (metrics().workers)");
  if (processors_[home]->arrivals.push(&ready)) wake_worker(home);
}

/// Of per_core: a new job stays where it was made.
void runtime_core::settle(job& made, unsigned worker) noexcept {
  if (!made.is_pinned()) made.pin_to(worker);
}

/// The same for one from outside.
void runtime_core::settle(job& made) noexcept {
  if (!made.is_pinned()) made.pin_to(next_home());
}

unsigned runtime_core::home_of_new() noexcept {
  const auto count = static_cast<unsigned>(processors_.size());
  if (count == 1) return any_worker;
  if (worker* const w = caller()) {
    const worker::pinned pinned(*w);
    const processor* const p = pinned.processor();
    if (p != nullptr && !participants_.benched(p->index)) return p->index;
  }
  return next_home();
}

/// Of those that take part, by turns: what is pinned to a benched worker computes beside the quota, and nobody
/// goes on for it.
unsigned runtime_core::next_home() noexcept {
  return next_home_.fetch_add(1, order::relaxed) % participants_.active();
}

void runtime_core::wake_one(idle::pusher who) noexcept {
  if (const auto sleeper = idle_.worker_to_notify(who)) wake_worker(*sleeper);
}

void runtime_core::wake_worker(unsigned index) noexcept {
  processor& p = *processors_[index];
  if (p.sleep.unpark() == unparked::wake_driver) p.io->wake();
}

bool runtime_core::any_work() const noexcept {
  if (per_core_) return false;  // what there is belongs to somebody
  if (!injected_[static_cast<unsigned>(priority::normal)].empty() || !beginners_.empty()) {
    return true;
  }
  for (const auto& p : processors_) {
    if (!p->ready.empty_hint() || !p->branches.empty_hint()) return true;
  }
  if (WEFT_LIKELY(!prioritised_.load(order::relaxed))) return false;
  for (const auto& queue : injected_) {
    if (!queue.empty()) return true;
  }
  for (const auto& p : processors_) {
    if (!p->high.empty_hint() || !p->background.empty_hint()) return true;
  }
  return false;
}

bool runtime_core::may_skip_time() const noexcept {
  return processors_.size() == 1 && blocking_.busy() == 0 && processors_.front()->arrivals.empty();
}

/// Whether a worker that found nothing may keep its core for a moment. A guest's is its host's; a clock
/// that can be moved stands still meanwhile.
bool runtime_core::may_look_out() const noexcept {
  if (!may_spin_ || env_.is_virtual() || is_guest()) return false;
  return !steals_ || participants_.active() > 1;
}

void runtime_core::enlist(job& made) noexcept {
  if (worker* const w = caller()) {
    const worker::pinned pinned(*w);
    if (processor* const p = pinned.processor()) {
      if (WEFT_UNLIKELY(per_core_)) settle(made, p->index);
      return jobs_.add(*p->jobs, made);
    }
  }
  if (per_core_) settle(made);
  jobs_.add(made);
}

bool runtime_core::retire(job& ended, bool (*hand_over)(job&) noexcept) noexcept {
  stop_watches.forget(ended);
  if (worker* const w = caller()) {
    const worker::pinned pinned(*w);
    if (processor* const p = pinned.processor()) {
      jobs_.remove(*p->jobs, ended);
      w->waking_at_the_end_of(ended.born);
      const bool answer = hand_over(ended);
      w->waking_at_the_end_of({});
      if (WEFT_UNLIKELY(jobs_.retired(*p->jobs))) tell_shutdown();
      return answer;
    }
    return retire_by_lost(*w, ended, hand_over);
  }
  return retire_elsewhere(ended, hand_over);
}

WEFT_NOINLINE bool runtime_core::retire_by_lost(worker& by, job& ended,
                                                bool (*hand_over)(job&) noexcept) noexcept {
  by.note_loss(&ended);
  return retire_elsewhere(ended, hand_over);
}

bool runtime_core::retire_elsewhere(job& ended, bool (*hand_over)(job&) noexcept) noexcept {
  jobs_.remove(ended);
  const bool answer = hand_over(ended);
  if (jobs_.retired()) tell_shutdown();
  return answer;
}

void runtime_core::tell_shutdown() noexcept {
  if (driven_) {
    if (jobs_.left() != 0) return;
    seat_.end_all();
    if (caller() == nullptr) wake_worker(0);
    return;
  }
  std::lock_guard guard(shutdown_mutex_);
  job_ended_.notify_all();
}

void runtime_core::panicked(job& ended, std::exception_ptr error) noexcept {
  // All jobs are being stopped, and it joined one that was first: it ends so in the place of its own stop.
  if (jobs_.stopping() && is_end_of_stopped(error)) return;
  print_panic(ended, error);
  if (options_.on_panic == panic_policy::abort) std::abort();
}

timer_set& runtime_core::timers() noexcept {
  worker* const w = current_worker();
  WEFT_ASSERT(w != nullptr && &w->core() == this, "a timer was armed outside of a job");
  // Its processor's, whoever has that now: see timers_changed().
  return w->last_processor().timers;
}

/// The owner of a processor is to look at its timers again. Called by who has armed one, on a thread of this
/// runtime: so the runtime is still there when the job that this was done for is not.
void runtime_core::timers_changed(void* of) noexcept {
  processor& p = *static_cast<processor*>(of);
  if (worker* const w = current_worker()) {
    const worker::pinned pinned(*w);
    if (pinned.processor() == &p) return;  // it looks before it sleeps
  }
  p.home->wake_worker(p.index);
}

void runtime_core::report_alive() noexcept {
  constexpr int lines_max = 20;
  int lines = 0;
  std::fprintf(stderr, "weft: %llu jobs would not end:\n",
               static_cast<unsigned long long>(jobs_.left()));
  jobs_.each([&lines](job& j) {
    if (++lines > lines_max) return;
    std::fprintf(stderr, "weft:   job %llu '%s' %s\n", static_cast<unsigned long long>(j.id()),
                 j.name(), j.waiting_in() != nullptr ? "is suspended" : "is running or ready");
  });
  if (lines > lines_max) std::fprintf(stderr, "weft:   and %d more\n", lines - lines_max);
}

void runtime_core::drive(seat::waiter& w, std::int64_t until_ns) noexcept {
  if (seat_.sit(w, until_ns) != seat::sit_result::seated) return;
  workers_.front()->drive(w.over, until_ns);
  if (is_guest()) doorbell_.due_at(0);
  seat_.leave();
}

bool runtime_core::drive_to_the_end(std::int64_t grace_ns) noexcept {
  WEFT_ASSERT(caller() == nullptr,
              "a job ends the runtime that it runs on, and would wait for itself");
  const std::int64_t until_ns = saturating_add_ns(os::monotonic_ns(), grace_ns);
  for (;;) {
    seat::waiter none_left(seat::waiter::wish::end_of_all_jobs);
    seat_.enlist(none_left);
    // The last job either sees that all are to end, and finds us enlisted, or has ended by now.
    if (jobs_.left() == 0) seat_.end(none_left);
    drive(none_left, until_ns);
    if (jobs_.left() == 0) return true;  // and none was made by another thread since
    if (os::monotonic_ns() >= until_ns) return false;
  }
}

bool runtime_core::run_ready(unsigned turns_max) noexcept {
  WEFT_ASSERT(is_guest(), "run_ready() is for scheduling::guest; other runtimes run by themselves");
  WEFT_ASSERT(current_worker() == nullptr,
              "run_ready() was called by a job (does it run a loop of the host's inside itself?)");
  const auto sat = seat_.try_sit();
  WEFT_ASSERT(sat != seat::try_sit_result::repeated,
              "run_ready() was called while another thread is in run_ready(); only one may");
  if (sat == seat::try_sit_result::taken) return false;  // by shutdown(), which runs what is left
  worker& w = *workers_.front();
  const bool more = w.run_ready(turns_max);
  doorbell_.due_at(more ? 0 : w.rest_until_ns());  // I1
  seat_.leave();
  return more;
}

std::int64_t runtime_core::next_deadline_ns() const noexcept {
  return processors_.front()->timers.next_deadline_ns();
}

result<void> runtime_core::shutdown(std::int64_t grace_ns) {
  jobs_.stop_all();
  if (driven_) {
    if (drive_to_the_end(grace_ns)) return {};
    report_alive();
    return std::unexpected(make_error_code(errc::would_not_end));
  }
  std::unique_lock lock(shutdown_mutex_);
  const auto none_left = [this] { return jobs_.left() == 0; };
  // wait_for() adds it to the clock's time, and must not get beyond what the clock can say.
  constexpr std::int64_t grace_max_ns = std::int64_t{365} * 24 * 3600 * 1'000'000'000;
  const std::chrono::nanoseconds grace(std::min(grace_ns, grace_max_ns));
  if (!job_ended_.wait_for(lock, grace, none_left)) {
    report_alive();
    return std::unexpected(make_error_code(errc::would_not_end));
  }
  return {};
}

metrics_snapshot runtime_core::metrics() const {
  metrics_snapshot m;
  m.workers = static_cast<unsigned>(processors_.size());
  m.workers_active = participants_.active();
  m.workers_benched = participants_.sitting();
  m.pinned_workers = placement_.pinned();
  m.pinning_reason = placement_.reason();
  m.driver = processors_.front()->io->name();
  m.driver_reason = driver_reason_;
  m.jobs_alive = jobs_.alive();
  m.jobs_spawned = jobs_.made();
  for (const auto& p : processors_) {
    m.background_turns += p->figures.background_turns.get();
    m.stolen += p->figures.stolen.get();
    m.arrived += p->figures.arrived.get();
    m.overflowed += p->figures.overflowed.get();
    m.parks += p->figures.parks.get();
    m.io_completions += p->figures.io_completions.get();
    m.timers_fired += p->figures.timers_fired.get();
    m.timers_armed += p->timers.size();
  }
  for (const auto& w : workers_) m.turns += w->current_turn.now();
  m.injected = injections_.load(order::relaxed);
  handoff_.tell(m);
  if (monitor_) m.monitor_looks = monitor_->looks();
  const stack_figures stacks = fiber_stacks::figures();
  m.fibers = stacks.taken;
  m.fiber_stacks_free = stacks.warm;
  m.fiber_stacks_reserved_bytes = stacks.reserved_bytes;
  m.fiber_stack_high_watermark_bytes = stacks.deepest_bytes;
  m.preemptions = preempt_statistics().calls_pushed;
  m.blocking_threads = blocking_.threads();
  m.blocking_waiting = blocking_.waiting();
  return m;
}

}  // namespace weft::detail
