// sync_model_support: a thread of a model waits in an operation on a wait_list as a coroutine does.
#pragma once

#include "weft/task/task_model_support.hpp"
#include "weft/task/wait_list.hpp"

namespace weft::model {

/// As `co_await op`. False: it was stopped.
template <class Op>
bool await(job_thread& me, Op&& op) {
  me.refill_budget(255);  // giving way belongs to the scheduler, and is not looked at here
  if (!weft::detail::sees_stop(me) && op.try_now(me)) return true;
  switch (me.read(op.start(me.who()))) {
    case job_thread::after_start::goes_on:
      return true;
    case job_thread::after_start::unwinds:
      return false;
    case job_thread::after_start::waits:
      break;
  }
  world().check(me.sleep() == &op, "woken from another operation");
  return !op.was_stopped();
}

}  // namespace weft::model
