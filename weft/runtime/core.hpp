// core: what a runtime is inside: processors, the injector, who sleeps, which jobs are alive.
//
// A ready job goes to the LIFO slot or the run queue of the worker that makes it ready, from other
// threads to the injector of its priority. After each push, one sleeping worker is woken unless
// somebody is already searching for work; the searching rule and why no wake is lost are told in
// queue/idle.hpp.
//
// A job that is pinned to a worker stays with that one: there it goes to a queue that nobody steals
// from, and from all other threads to that worker's inbox, which wakes it if the inbox was empty. The
// worker sleeps only after a look at its inbox that found nothing, and its parker remembers the wake, so
// none is lost (queue/inbox.hpp; together with the idle set: runtime/arrivals_model.cpp). With
// scheduling::per_core every job is pinned, from when it is made or, a branch, taken.
//
// With scheduling::current_thread and guest there is one worker, and it has no thread: it is driven
// by whoever has the seat (seat.hpp). Why no wake is lost while nobody drives: worker.cpp.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "weft/os/fork.hpp"
#include "weft/os/poll_set.hpp"
#include "weft/os/thread.hpp"
#include "weft/queue/idle.hpp"
#include "weft/queue/injector.hpp"
#include "weft/runtime/blocking_pool.hpp"
#include "weft/runtime/environment.hpp"
#include "weft/runtime/handoff.hpp"
#include "weft/runtime/metrics.hpp"
#include "weft/runtime/monitor.hpp"
#include "weft/runtime/options.hpp"
#include "weft/runtime/participants.hpp"
#include "weft/runtime/placement.hpp"
#include "weft/runtime/processor.hpp"
#include "weft/runtime/registry.hpp"
#include "weft/runtime/seat.hpp"
#include "weft/task/live_home.hpp"

namespace weft::detail {

class worker;

class runtime_core final : public scheduler {
 public:
  runtime_core(runtime_options options, environment& env);
  ~runtime_core();

  void schedule(job& ready, wake_kind why) noexcept override;
  bool goes_on(job& running) noexcept override;
  void enlist(job& made) noexcept override;
  void launch(job& made) noexcept override;
  bool retire(job& ended, bool (*hand_over)(job&) noexcept) noexcept override;
  void panicked(job& ended, std::exception_ptr error) noexcept override;
  std::uintptr_t number() noexcept override { return alive_.number(); }
  timer_set& timers() noexcept override;
  std::int64_t now_ns() noexcept override { return env_.now_ns(); }

  result<void> shutdown(std::int64_t grace_ns);
  metrics_snapshot metrics() const;
  blocking_pool& blocking() noexcept { return blocking_; }
  std::size_t fiber_stack() const noexcept { return options_.fiber_stack; }
  /// The worker that a job stays on which may not move: the calling one; for other threads, each in turn.
  /// any_worker: there is one only.
  unsigned home_of_new() noexcept;
  unsigned next_home() noexcept;
  /// Ends the program, with a message, in a child of fork(): it has none of the threads, and shares the
  /// drivers' descriptors with its parent.
  void assert_not_forked() const noexcept;

  /// The worker has no thread: whoever waits drives.
  bool is_driven() const noexcept { return driven_; }
  bool is_guest() const noexcept { return options_.mode == scheduling::guest; }
  seat& drivers_seat() noexcept { return seat_; }
  /// Returns when `w`, which is enlisted, is over, or `until_ns` has passed. Drives meanwhile
  /// unless another thread does.
  void drive(seat::waiter& w, std::int64_t until_ns) noexcept;

  // For guests.
  int poll_handle() const noexcept { return doorbell_.get(); }
  [[nodiscard]] bool run_ready(unsigned turns_max) noexcept;
  std::int64_t next_deadline_ns() const noexcept;

 private:
  friend class worker;
  friend class monitor;
  friend class handoff;

  static void timers_changed(void* of) noexcept;
  worker* caller() noexcept;
  void inject(job& ready) noexcept;
  void inject_by_lost(worker& by, job& ready, wake_kind why) noexcept;
  void launch_by_lost(worker& by, job& made) noexcept;
  void launch_from_outside(job& made) noexcept;
  bool retire_by_lost(worker& by, job& ended, bool (*hand_over)(job&) noexcept) noexcept;
  bool retire_elsewhere(job& ended, bool (*hand_over)(job&) noexcept) noexcept;
  void send_home(job& ready) noexcept;
  void settle(job& made, unsigned worker) noexcept;
  void settle(job& made) noexcept;
  injector<job>& injected(priority p) noexcept { return injected_[static_cast<unsigned>(p)]; }
  void end_workers() noexcept;
  void wake_one(idle::pusher who) noexcept;
  void wake_worker(unsigned index) noexcept;
  void follow_cpus(std::int64_t now_ns) noexcept;
  bool any_work() const noexcept;
  bool may_skip_time() const noexcept;
  bool may_look_out() const noexcept;
  void report_alive() noexcept;
  void tell_shutdown() noexcept;
  bool drive_to_the_end(std::int64_t grace_ns) noexcept;

  const std::uint32_t made_in_ = os::fork_generation();
  const runtime_options options_;
  const bool driven_;
  const std::string name_;
  environment& env_;
  const bool asymmetric_;  // membarrier works
  participants participants_;
  placement placement_;
  std::string_view driver_reason_;
  std::vector<std::unique_ptr<processor>> processors_;
  injector<job> injected_[priority_count];
  // Of normal priority: those that never ran and stood behind one that held its worker. They are begun one by one,
  // each by a worker that has nothing else, or when it is time (worker::put_beginners_behind).
  injector<job> beginners_;
  // Set before the first job that is not of normal priority is queued, and for ever: until then thieves
  // need not look at two thirds of the queues. The fences of idle.hpp order it as they do the queues.
  atomic<bool> prioritised_{false};
  atomic<unsigned> next_home_{0};  // of per_core's jobs, and of fibers, from outside
  atomic<std::uint64_t> injections_{0};
  atomic<std::uint32_t> injecting_{0};  // threads inside inject(): they may be anybody's
  idle idle_;
  const idle nobody_sleeps_{1,
                            true};  // per_core: what pushes of branches look at: they wake nobody
  const bool per_core_;
  const bool steals_;    // there is somebody to steal from, and one may
  const bool may_spin_;  // more than one core to run on
  registry jobs_;
  live_home alive_{*this};
  atomic<bool> ended_{false};  // workers leave their loops
  std::mutex shutdown_mutex_;
  std::condition_variable job_ended_;
  blocking_pool blocking_;
  std::vector<std::unique_ptr<worker>> workers_;
  handoff handoff_;
  std::unique_ptr<monitor> monitor_;  // nullptr: nobody looks, and no processor changes hands
  seat seat_;                         // of the worker, if it is driven
  os::poll_set doorbell_;  // of a guest. I1: while nobody drives, it is due or the worker at rest
};

}  // namespace weft::detail
