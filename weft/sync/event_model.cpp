// model-sources: weft/sync/event.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// Both kinds of event under all schedules. A lost wake is a deadlock here.
#include "weft/sync/event.hpp"

#include <memory>

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

WEFT_MODEL_TEST(event, manual_one_lets_all_through_with_what_was_written,
                model::kills("event.set.relaxed", "wait_list.crowded.forgotten"),
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  event e;
  plain<int> written(0);
  for (auto& job : jobs) {
    model.thread("waiter", [&] {
      model.check(model::await(job, e.wait()), "nobody stops it");
      model.check(written.get() == 1, "let through without what was written before");
    });
  }
  model.thread("setter", [&] {
    written.set(1);
    e.set();
  });
  model.run();
  model.check(e.is_set(), "it stays set");
}

/// Two writers, one reader that looks after each wait: the second set() must not be lost in the first.
WEFT_MODEL_TEST(event, auto_one_loses_no_change,
                model::kills("event.set.looks_only", "event.use_up.relaxed", "event.set.relaxed"),
                SYNC_MODEL_LIMITS) {
  model::job_thread job;
  event e(event::auto_reset);
  atomic<int> changes(0);
  model.thread("reader", [&] {
    while (changes.load(order::relaxed) != 2) {
      model.check(model::await(job, e.wait()), "nobody stops it");
    }
  });
  for (int i = 0; i < 2; ++i) {
    model.thread("writer", [&] {
      changes.fetch_add(1, order::relaxed);
      e.set();
    });
  }
  model.run();
}

WEFT_MODEL_TEST(event, auto_one_lets_one_through_for_each_set,
                model::kills("event.set.counts_twice", "wait_list.taken.still_waits"),
                model::reaches("through", "stopped"), SYNC_MODEL_LIMITS) {
  model::job_thread job;
  event e(event::auto_reset);
  plain<int> through(0);
  model.thread("waiter", [&] {
    if (!model::await(job, e.wait())) return model.outcome("stopped");
    through.set(1);
    model.outcome("through");
  });
  model.thread("setter", [&] { e.set(); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.check(through.get() + (e.try_wait() ? 1 : 0) == 1,
              "the set was used once, or is still there");
}

/// A reset() takes the set() away that came before it, and nobody's wake: who was let through stays so, and
/// a later set() is seen. Nor does it meet the stop of another waiter.
WEFT_MODEL_TEST(event, reset_swallows_no_later_set_and_no_stop,
                model::kills("event.set.relaxed", "wait_list.taken.still_waits"),
                model::reaches("through", "stopped"), model::stale_max(1, "other models cover it"),
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  event e;
  plain<int> written(0);
  bool through[2] = {false, false};
  for (int i = 0; i < 2; ++i) {
    model.thread("waiter", [&, i] {
      through[i] = model::await(jobs[i], e.wait());
      if (through[i])
        model.check(written.get() == 1, "let through without what was written before");
      if (i == 0) model.outcome(through[i] ? "through" : "stopped");
      model.check(i == 0 || through[i], "only the first one is stopped");
    });
  }
  model.thread("setter", [&] {
    written.set(1);
    e.set();
    e.reset();
    e.set();
  });
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
  model.check(e.is_set(), "the last set() was lost in the reset()");
}

WEFT_MODEL_TEST(event, who_is_let_through_may_destroy_it, model::kills("event.set.relaxed"),
                SYNC_MODEL_LIMITS) {
  model::job_thread job;
  auto e = std::make_unique<event>();
  event* const known = e.get();
  model.thread("waiter", [&] {
    // It looks again until it is let through: also while the setter has it in hand.
    if (!e->try_wait()) model.check(model::await(job, e->wait()), "nobody stops it");
    e.reset();
  });
  model.thread("setter", [&] { known->set(); });
  model.run();
}

}  // namespace
}  // namespace weft
