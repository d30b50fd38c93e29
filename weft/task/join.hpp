// join_state: the hand-off between a job that ends and the one handle that may wait for it.
//
// One word, four parties at most: the job's end, the waiter's arrival, a stop of the waiter, and
// the handle's going away. Whoever is last frees the job's frame, so there is no reference count.
//
//   Threads  finish() by the job; start(), drop() by the handle's owner; withdraw() by any stopper
//   Cost     one exchange to end, one compare-exchange to wait
//   Protocol join.cpp
#pragma once

#include <coroutine>

#include "weft/base/atomic.hpp"
#include "weft/task/current.hpp"
#include "weft/task/promise.hpp"

namespace weft {

class join_operation;

class join_state {
 public:
  enum class finish_result : unsigned char {
    kept,      // a handle exists: it frees the frame, perhaps already now
    detached,  // no handle any more: the caller frees the frame
  };
  /// The job has its result. The frame may be gone afterwards unless the answer is `detached`.
  [[nodiscard]] finish_result finish() noexcept;

  enum class drop_result : unsigned char {
    left,   // the job still runs: it frees its frame at its end
    ended,  // the caller frees the frame
  };
  /// The handle goes away; nobody waits.
  [[nodiscard]] drop_result drop() noexcept;

  bool done() const noexcept { return word_.load(order::acquire) == done_word; }  // P1

  /// For the running job itself, of which is known that who waits for it does so until it has ended.
  promise_base* waiter_of_running() const noexcept;

 private:
  friend class join_operation;
  static constexpr std::uintptr_t done_word = 1;
  atomic<std::uintptr_t> word_{0};  // see join.cpp
};

/// Waiting for the end of a job.
class join_operation : public operation {
 public:
  explicit join_operation(join_state& joined) noexcept : joined_(&joined) {}
  /// The job has ended, and the one that runs here has budget: there is nothing to suspend for.
  bool await_ready() const noexcept {
    if (!joined_.get()->done()) return false;
    job* const running = current_job();
    return running != nullptr && running->spend_budget();
  }
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void withdraw() noexcept override;
  const char* what() const noexcept override { return "join"; }

 protected:
  ~join_operation() = default;
  /// The job has ended. By default ends the operation, too.
  virtual void joined() noexcept { finish(false); }
  /// For a job that is not launched yet, and a waiter that is armed: nothing can be in the way.
  void wait_for_unlaunched() noexcept;

 private:
  friend class join_state;
  const plain<join_state*> joined_;
};

}  // namespace weft
