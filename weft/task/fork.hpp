// fork: branches of a job that run in place unless somebody else takes them first.
//
// fork_join() leaves its second and later branches on the work deque of the worker, as descriptors in
// the frame of whoever waits, and runs the first one as a nested call. When that ends, the next branch
// is taken back from the deque and runs in place, too: no job, no queue, no atomic read-modify-write.
// Only a branch that another worker steals, or that this one comes to because the first is suspended,
// gets a job of its own: a forked_job.
//
//   Threads  a branch is offered and taken back by the job that forks; anybody may take it in between
//   Memory   descriptors and results lie in the forking frame, depth x workers of them at most
//   After    lazy task creation (Mohr, Kranz, Halstead); the deque of Chase and Lev
//   Protocol fork.cpp
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>
#include <span>

#include "weft/base/atomic.hpp"
#include "weft/queue/idle.hpp"
#include "weft/queue/work_deque.hpp"
#include "weft/task/job.hpp"
#include "weft/task/pin.hpp"
#include "weft/task/promise.hpp"
#include "weft/task/thread_state.hpp"
#include "weft/task/turn.hpp"

namespace weft::detail {

class fork_branch;
class forked_job;

/// What a worker opens to the jobs that it runs: a place for their branches, and word of their turns.
struct fork_port {
  explicit fork_port(bool asymmetric) noexcept : pin(asymmetric) {}
  pin_state pin;
  turn_state current_turn;
  work_deque<fork_branch>* deque = nullptr;  // of the processor that the worker owns
  const idle* sleepers = nullptr;
  void (*notify)(fork_port&) noexcept = nullptr;  // somebody sleeps and nobody searches
};

/// A part of the work that anybody may run.
class fork_branch {
 public:
  fork_branch(const fork_branch&) = delete;
  fork_branch& operator=(const fork_branch&) = delete;

  /// By whoever took it: a job for it, listed. The caller runs the job, now or later, or discards it.
  /// Throws std::bad_alloc.
  forked_job& make_job(scheduler& home) { return make_(*this, home); }
  /// The same by who has nobody to tell that there is no memory: a thief. It tries for a while, in which
  /// others may give some back, and then ends the program.
  forked_job& make_job_of_taken(scheduler& home) noexcept;

 protected:
  using make_function = forked_job&(fork_branch&, scheduler&);
  explicit fork_branch(make_function* make) noexcept : make_(make) {}
  ~fork_branch() = default;

 private:
  friend class forked_job;
  friend class fork_wait;
  make_function* make_;
  atomic<std::uintptr_t> taker_{0};  // see fork.cpp
};

class fork_wait;

/// What the branches of one fork_join have in common.
class fork_group {
 protected:
  fork_group() noexcept {}
  ~fork_group() = default;

  fork_wait* wait_ = nullptr;  // made when the forking job has to wait, or when a callable throws

 private:
  friend class forked_job;
  friend class fork_wait;
  atomic<int> pending_{0};  // see fork.cpp
};

/// The job of a branch that was taken.
class forked_job : public job {
 public:
  /// Frees one that was never ready, and never will be.
  static void discard(forked_job& made) noexcept;

 protected:
  /// anywhere: whoever took the branch runs it, even if the forking job is pinned to a worker.
  enum class where : std::uint8_t { anywhere, with_forking };
  /// Of the priority of `forking`, which waits for it, or will. Throws std::bad_alloc, where there are
  /// bindings to inherit.
  forked_job(scheduler& home, const job_kind& kind, fork_branch& branch, std::uint32_t bytes,
             const job& forking, where runs);
  ~forked_job();

  /// First thing: false if the branch was asked to stop before.
  [[nodiscard]] bool begin() noexcept;
  /// Last thing; the job may be gone afterwards. `error`: what its callable threw.
  std::coroutine_handle<> end(fork_group& group, bool stopped, std::exception_ptr error) noexcept;

 private:
  friend class fork_wait;
  static bool arrive(job& ended) noexcept;
  fork_branch& branch_;
  fork_group* group_ = nullptr;  // from the end on
  std::exception_ptr error_;
  const std::uint32_t bytes_;  // of the whole object
  bool stopped_ = false;
};

/// Waiting for the branches that others took; and what else a fork_join seldom needs.
class fork_wait final : public operation {
 public:
  /// Room for `count` branches of `forking`. Throws std::bad_alloc.
  static fork_wait* make(fork_group& group, unsigned count, const job& forking);
  /// Once others may run branches there is no way back: see make_job_of_taken().
  static fork_wait& make_for_taken(fork_group& group, unsigned count, const job& forking) noexcept;
  void free() noexcept;

  void add(fork_branch& branch) noexcept { taken()[used_++] = &branch; }
  void ask_to_stop() noexcept;

  enum class start_result : unsigned char { ended, suspended };
  /// `next` is resumed when all have ended; ended: they have, and it is not. `within` is the coroutine
  /// that forked.
  [[nodiscard]] start_result start(promise_base& within, std::coroutine_handle<> next) noexcept;
  /// After their end: frees their jobs. Result: whether one was stopped.
  [[nodiscard]] bool collect() noexcept;

  void withdraw() noexcept override { ask_to_stop(); }  // the answer is the last branch's end
  const char* what() const noexcept override { return "fork_join"; }
  std::coroutine_handle<> go_on(promise_base&) noexcept override { return next_; }

  bool failed = false;
  bool unwinding = false;
  std::exception_ptr error;  // of a callable that did not even give a task

 private:
  friend class forked_job;
  fork_wait(fork_group& group, unsigned room) noexcept : group_(group), room_(room) {}
  fork_branch** taken() noexcept { return reinterpret_cast<fork_branch**>(this + 1); }
  std::span<fork_branch*> all() noexcept { return {taken(), used_}; }
  static std::size_t bytes(unsigned room) noexcept {
    return sizeof(fork_wait) + room * sizeof(fork_branch*);
  }
  fork_group& group_;
  std::coroutine_handle<> next_;
  const unsigned room_;
  unsigned used_ = 0;
};

/// Leaves branches for others, the first one to be taken back last. False: there is nowhere to leave
/// them; give them jobs.
template <class... Branch>
[[nodiscard]] WEFT_ALWAYS_INLINE bool offer_branches(Branch&... branch) noexcept {
  fork_port* const port = this_thread_state().port;
  if (WEFT_UNLIKELY(port == nullptr)) return false;
  const bool owned = port->pin.pin() == pin_state::pin_result::owned;
  if (WEFT_LIKELY(owned)) {
    (port->deque->push(&branch), ...);
    if (WEFT_UNLIKELY(port->sleepers->may_have_to_notify(idle::pusher::worker))) {
      port->notify(*port);
    }
  }
  port->pin.unpin();
  return owned;
}

/// Takes back the branch that was offered last. False: somebody has it, or will.
[[nodiscard]] WEFT_ALWAYS_INLINE bool take_back_branch(fork_branch& branch) noexcept {
  fork_port* const port = this_thread_state().port;
  if (WEFT_UNLIKELY(port == nullptr)) return false;
  const bool owned = port->pin.pin() == pin_state::pin_result::owned;
  const bool mine = WEFT_LIKELY(owned) && port->deque->pop_if(&branch);
  port->pin.unpin();
  return mine;
}

}  // namespace weft::detail
