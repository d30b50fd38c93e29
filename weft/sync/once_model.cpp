// model-sources: weft/sync/mutex.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// Done once, under all schedules. What is made is a plain variable: the checker sees who makes it a second
// time, or looks at it too early, as a data race.
#include "weft/sync/once.hpp"

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

enum class called : unsigned char { found_it, made_it, failed, stopped };

/// As once::call() and once_cell::get_or_init(), which are coroutines. make(): whether it succeeded.
template <class F>
called call(detail::once_state& once, model::job_thread& me, F make) {
  if (once.done()) return called::found_it;
  auto locking = once.in_turn().lock();
  if (!model::await(me, locking)) return called::stopped;
  const auto held = locking.await_resume();
  if (!once.left_to_do()) return called::found_it;
  if (!make()) return called::failed;
  once.finish();
  return called::made_it;
}

WEFT_MODEL_TEST(once, is_made_by_one_and_seen_by_all,
                model::kills("once.look.relaxed", "once.done.relaxed", "once.looks_no_more"),
                model::reaches("found", "made", "not yet"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  detail::once_state once;
  plain<int> made(0);
  for (int i = 0; i < 2; ++i) {
    model.thread("caller", [&, i] {
      const called how = call(once, jobs[i], [&] {
        made.set(made.get() + 1);
        return true;
      });
      model.check(made.get() == 1, "it is there after the call");
      if (i == 0) model.outcome(how == called::made_it ? "made" : "found");
    });
  }
  model.thread("looker", [&] {
    if (!once.done()) return model.outcome("not yet");
    model.check(made.get() == 1, "it is there, for one who never locks");
  });
  model.run();
  model.check(made.get() == 1 && once.done() && !once.in_turn().is_locked(), "once");
}

WEFT_MODEL_TEST(once, failure_leaves_it_to_the_next,
                model::kills("once.look.relaxed", "once.done.relaxed"),
                model::reaches("failed", "found", "not yet"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  detail::once_state once;
  plain<int> made(0);
  plain<int> tries(0);
  for (int i = 0; i < 2; ++i) {
    model.thread("caller", [&, i] {
      const called how = call(once, jobs[i], [&] {
        tries.set(tries.get() + 1);
        if (i == 0) return false;
        made.set(made.get() + 1);
        return true;
      });
      if (how == called::failed) return model.outcome("failed");
      model.check(made.get() == 1, "it is there after a call that did not fail");
      if (i == 0) model.outcome("found");
    });
  }
  model.thread("looker", [&] {
    if (!once.done()) return model.outcome("not yet");
    model.check(made.get() == 1, "a failure does not count as done");
  });
  model.run();
  model.check(made.get() == 1 && tries.get() <= 2, "by the one that does not fail");
}

WEFT_MODEL_TEST(once, stopped_caller_holds_nobody_up,
                model::kills("once.looks_no_more", "wait_list.taken.still_waits"),
                model::reaches("stopped", "called"), model::stale_max(1, "other models cover it"),
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[3];
  detail::once_state once;
  plain<int> made(0);
  for (int i = 0; i < 3; ++i) {
    model.thread("caller", [&, i] {
      const called how = call(once, jobs[i], [&] {
        made.set(made.get() + 1);
        return true;
      });
      if (i == 0) model.outcome(how == called::stopped ? "stopped" : "called");
      model.check(how != called::stopped || i == 0, "only the first one is stopped");
      if (how != called::stopped) model.check(made.get() == 1, "it is there after the call");
    });
  }
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
  model.check(made.get() == 1 && !once.in_turn().is_locked(), "once, and all are out");
}

}  // namespace
}  // namespace weft
