// processor: everything that one worker owns at a time and that can be handed over whole: run queue,
// LIFO slot, timers, driver, random state, figures. Things of a job never live here.
//
//   Threads  the owner, pinned (see pin.hpp); thieves and wakers only where a member says so
#pragma once

#include <cstdint>
#include <memory>

#include "weft/base/cache_line.hpp"
#include "weft/base/rng.hpp"
#include "weft/io/driver.hpp"
#include "weft/queue/inbox.hpp"
#include "weft/queue/injector.hpp"
#include "weft/queue/local_queue.hpp"
#include "weft/queue/parker.hpp"
#include "weft/queue/run_queue.hpp"
#include "weft/queue/work_deque.hpp"
#include "weft/runtime/registry.hpp"
#include "weft/task/fork.hpp"
#include "weft/task/job.hpp"
#include "weft/timer/timer_set.hpp"

namespace weft::detail {

class runtime_core;
class victim_order;
class worker;

/// Counted by the owner alone; read by anybody for metrics.
class counter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(order::relaxed) + n, order::relaxed);
  }
  std::uint64_t get() const noexcept { return value_.load(order::relaxed); }

 private:
  atomic<std::uint64_t> value_{0};
};

struct processor_figures {
  counter background_turns, stolen, arrived, overflowed, parks, io_completions, timers_fired;
};

class processor {
 public:
  processor(unsigned number, std::uint64_t seed, std::unique_ptr<io::driver> driver,
            bool asymmetric)
      : index(number), branches(asymmetric), random(seed), io(std::move(driver)) {}

  /// Where thieves may take jobs of a priority.
  run_queue<job>& queue_of(priority p) noexcept {
    return p == priority::normal ? ready : p == priority::high ? high : background;
  }
  local_queue<job>& pinned_of(priority p) noexcept { return pinned[static_cast<unsigned>(p)]; }

  const unsigned index;
  runtime_core* home = nullptr;
  // The thread that has it. By that thread at its start, then by whoever hands it over.
  atomic<worker*> owner{nullptr};
  atomic<std::uint32_t> resting{0};  // its owner sleeps: see watch_rest.hpp. The owner
  registry::shard* jobs = nullptr;
  const victim_order* victims = nullptr;           // its own node first
  run_queue<job> ready;                            // of normal priority. Thieves: steal
  run_queue<job> high, background;                 // thieves: steal
  local_queue<job> pinned[priority_count];         // to this worker. The owner
  inbox<job> arrivals;                             // pinned to it, made ready elsewhere. Any: push
  alignas(cache_line) atomic<job*> lifo{nullptr};  // owner stores, anybody takes by exchange
  work_deque<fork_branch> branches;                // thieves: steal
  parker sleep;                                    // any thread: unpark
  timer_set timers;                                // any thread: cancel
  rng random;
  std::unique_ptr<io::driver> io;
  processor_figures figures;
  // Whose turn it is; its owner. Not of the worker's own: those that wait until others have had theirs would wait for
  // ever where each of the others loses its worker.
  unsigned until_background = 1;  // of the clock's turns
  unsigned high_in_a_row = 0;
  unsigned lifo_in_a_row = 0;
  bool own_high_first =
      false;  // for whoever is given this: before those of high priority from outside
  bool branch_next = false;  // the injector had its turn, and the oldest branch waits for it
  // Of those that never ran and stood behind one that held its worker, pinned to this one; core has the others. Its owner.
  local_queue<job> pinned_beginners;
  bool pinned_beginner_next = false;
  std::int64_t beginner_ns = 0;    // when one of either was begun here, or there was none
  bool beginner_may_hold = false;  // since then the processor was lost
};

}  // namespace weft::detail
