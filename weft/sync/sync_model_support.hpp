// sync_model_support: a thread of a model waits in an operation on a wait_list as a coroutine does.
#pragma once

#include "weft/task/task_model_support.hpp"
#include "weft/task/wait_list.hpp"

namespace weft::model {

/// As `co_await op`; `waits` is called if it waits, after it has begun to. False: it was stopped.
template <class Op, class Waits>
bool await(job_thread& me, Op&& op, Waits waits) {
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
  waits();
  for (;;) {
    world().check(me.sleep() == &op, "woken from another operation");
    if (op.was_stopped()) return false;
    if constexpr (requires { op.woken(me.who()); }) {
      const auto next = me.read(op.woken(me.who()));
      if (next == job_thread::after_start::waits) continue;
      return next == job_thread::after_start::goes_on;
    }
    return true;
  }
}
template <class Op>
bool await(job_thread& me, Op&& op) {
  return await(me, op, [] {});
}

}  // namespace weft::model
