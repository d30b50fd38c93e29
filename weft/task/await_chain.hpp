// await_chain: who awaits whom, from a coroutine outwards. What backtraces are made of.
//
// It reads what the promises keep for their own sake, so nothing is stored for it. From a job it goes on to
// the one that awaits it where that one cannot leave before it (scope, when_all, race, select, fork_join,
// timeout, with_stop, task_local). One that is spawned ends it: whoever joins it may leave at any time.
//
//   Threads  the one that runs the innermost coroutine's job. All that is outside of it is suspended, and stays
//            so until that job has ended; it was suspended before the job began, so it is visible
//   Cost     some loads a step
#pragma once

#include "weft/task/promise.hpp"

namespace weft::detail {

class await_chain {
 public:
  /// What is told of it, the innermost first.
  class listener {
   public:
    /// A coroutine that waits, or is the innermost: its frame. False: enough of them; jobs still come.
    virtual bool coroutine(void* frame) = 0;
    /// The stack of a fiber, which waits in this.
    virtual void stack_of_fiber(promise_base& waiting) = 0;
    /// What came before is a part of this job.
    virtual void end_of(const job& part) = 0;

   protected:
    ~listener() = default;
  };

  static void walk(promise_base& innermost, listener& to);
  /// The same from a task that has its result, and so knows its owner no more: it ran in `running`. Its parent may
  /// be the front of a boundary, which is no promise at all.
  static void walk_from_ended(promise_base& ended, const job& running, listener& to);
  /// The same for what is no coroutine: `running` and the jobs that await it.
  static void walk_from(const job& running, listener& to);
};

}  // namespace weft::detail
