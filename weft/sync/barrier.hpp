// barrier: who arrives waits until all have arrived; then the next phase begins.
//
//   weft::barrier step(4);                          // four jobs, each:
//   co_await step.arrive_and_wait();
//
//   Threads   any; a plain thread waits by weft::block_on(step.arrive_and_wait())
//   Cost      one compare-exchange and a store, besides the wait; the last one wakes the others, and
//             holds the list while it takes them: a few nanoseconds each
//   Cancel    a stopped arrive_and_wait() has not arrived: the others wait for another to take its
//             place, or for drop()
//   Select    refused. Who comes last lets all the others go on, so it would have to decide for each
//             select that waits here, all at once; a claim cannot be given back, and where one is lost those
//             that were taken before would go on without that party. Put it into a task there: as a loser
//             it is stopped, and has then not arrived, or all have gone through and it is counted
//   Memory    32 bytes; no allocation per wait
//   Lifetime  who has gone through may destroy it
//   After     std::barrier, without its completion function: what arrive_and_wait() gives says who does it
#pragma once

#include <cstddef>

#include "weft/task/wait_list.hpp"

namespace weft {

class barrier {
 public:
  class arriving;

  explicit barrier(std::size_t parties) noexcept : list_(0), parties_(parties) {
    WEFT_ASSERT(parties != 0, "a barrier is for at least one");
  }
  /// Result: true for one in each phase, the last that arrived.
  [[nodiscard("co_await it")]] arriving arrive_and_wait() noexcept;
  /// One party fewer, from this phase on; not one that has arrived.
  void drop() noexcept;

 private:
  friend class arriving;
  /// All have arrived: the next phase begins.
  static void go_through(wait_list::hold& held, wait_list::list& taken) noexcept {
    while (!held.take_batch(taken)) {
    }
    held.set(0);
  }
  wait_list list_;              // its state: how many wait
  plain<std::size_t> parties_;  // by who holds the list
};

class [[nodiscard("co_await it")]] barrier::arriving final : public wait_list_operation<arriving> {
 public:
  /// See the top: a phase begins for all of its parties or for none.
  static constexpr bool takes_claim = false;
  explicit arriving(barrier& b) noexcept : wait_list_operation(b.list_), barrier_(b) {}
  bool try_now(job&) const noexcept { return false; }
  bool take(wait_list::hold& held, job&, wait_list::list& taken) noexcept {
    if (held.state() + 1 == barrier_.parties_.get()) {
      go_through(held, taken);
      last_ = true;
      return true;
    }
    held.set(held.state() + 1);
    return false;
  }
  bool left(wait_list::hold& held, wait_list::list&) noexcept override {
    held.set(WEFT_MUTATE("barrier.left.still_counts", held.state() - 1, held.state()));
    return false;
  }
  bool await_resume() const noexcept { return last_; }
  const char* what() const noexcept override { return "barrier"; }

 private:
  barrier& barrier_;
  bool last_ = false;
};

inline barrier::arriving barrier::arrive_and_wait() noexcept { return arriving(*this); }

}  // namespace weft
