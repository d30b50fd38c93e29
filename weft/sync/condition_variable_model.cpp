// model-sources: weft/sync/mutex.cpp weft/sync/condition_variable.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// Waiting for a condition under all schedules: to let the mutex go and to wait is one step.
#include "weft/sync/condition_variable.hpp"

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

/// As condition_variable::wait(), which is a coroutine.
bool wait(condition_variable& c, mutex& m, mutex_guard& held, model::job_thread& me) {
  {
    condition_wait waiting(c, held);
    switch (me.read(waiting.start(me.who()))) {
      case model::job_thread::after_start::unwinds:
        return false;
      case model::job_thread::after_start::goes_on:
        model::world().check(false, "it always waits");
        return false;
      case model::job_thread::after_start::waits:
        break;
    }
    static_cast<void>(me.sleep());
    if (waiting.was_stopped()) return false;
  }
  me.enter_shield();
  auto locking = m.lock();
  model::world().check(model::await(me, locking), "it is shielded");
  held = locking.await_resume();
  me.leave_shield();
  return true;
}

mutex_guard lock(mutex& m, model::job_thread& me) {
  auto locking = m.lock();
  return model::await(me, locking) ? locking.await_resume() : mutex_guard();
}

WEFT_MODEL_TEST(condition_variable, no_change_is_lost_between_looking_and_waiting,
                model::kills("condition.lets_go_first", "wait_list.crowded.forgotten"),
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  mutex m;
  condition_variable c;
  plain<bool> ready(false);
  model.thread("waiter", [&] {
    auto held = lock(m, jobs[0]);
    while (!ready.get()) model.check(wait(c, m, held, jobs[0]), "nobody stops it");
  });
  model.thread("notifier", [&] {
    {
      const auto held = lock(m, jobs[1]);
      ready.set(true);
    }
    c.notify_one();
  });
  model.run();
  model.check(!m.is_locked(), "both are out");
}

// The stop comes from the thread that notifies, between its two notifications, and not from one of its own:
// with that one the search is several times as large. That the stop may come at any
// time is in the other threads' freedom; that it may come during a notification is in the next model.
WEFT_MODEL_TEST(condition_variable, notification_does_not_go_away_with_a_stopped_waiter,
                model::kills("wait_list.taken.still_waits"), model::reaches("stopped", "notified"),
                model::stale_max(1, "other models cover it"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[3];
  mutex m;
  condition_variable c;
  plain<int> items(0);
  for (int i = 0; i < 2; ++i) {
    model.thread("consumer", [&, i] {
      auto held = lock(m, jobs[i]);
      while (held && items.get() == 0) {
        if (!wait(c, m, held, jobs[i])) return model.outcome("stopped");
      }
      if (held) items.set(items.get() - 1);
      if (i == 0 && held) model.outcome("notified");
    });
  }
  model.thread("producer", [&] {
    for (int n = 0; n < 2; ++n) {
      auto held = lock(m, jobs[2]);
      items.set(items.get() + 1);
      held.unlock();
      c.notify_one();
      if (n == 0) jobs[0].stop();
    }
  });
  model.run();
  model.check(!m.is_locked(), "all are out");
}

WEFT_MODEL_TEST(condition_variable, stop_during_a_notification_is_one_or_the_other,
                model::kills("wait_list.taken.still_waits"), model::reaches("stopped", "notified"),
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  mutex m;
  condition_variable c;
  plain<bool> ready(false);
  model.thread("waiter", [&] {
    auto held = lock(m, jobs[0]);
    while (held && !ready.get()) {
      if (!wait(c, m, held, jobs[0])) return model.outcome("stopped");
    }
    model.outcome(held ? "notified" : "stopped");
  });
  model.thread("notifier", [&] {
    {
      const auto held = lock(m, jobs[1]);
      ready.set(true);
    }
    c.notify_one();
  });
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
  model.check(!m.is_locked(), "all are out");
}

}  // namespace
}  // namespace weft
