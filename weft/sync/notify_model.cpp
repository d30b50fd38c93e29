// model-sources: weft/sync/notify.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// Notifications under all schedules. A lost one is a deadlock here.
#include "weft/sync/notify.hpp"

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

WEFT_MODEL_TEST(notify, looking_again_loses_no_change,
                model::kills("notify.one.looks_only", "notify.one.relaxed", "notify.use_up.relaxed",
                             "wait_list.crowded.forgotten", "notify.one.keeps_nothing"),
                SYNC_MODEL_LIMITS) {
  model::job_thread job;
  notify n;
  atomic<int> changes(0);
  model.thread("reader", [&] {
    while (changes.load(order::relaxed) != 2) {
      model.check(model::await(job, n.wait()), "nobody stops it");
    }
  });
  for (int i = 0; i < 2; ++i) {
    model.thread("writer", [&] {
      changes.fetch_add(1, order::relaxed);
      n.notify_one();
    });
  }
  model.run();
}

WEFT_MODEL_TEST(notify, notification_does_not_go_away_with_a_stopped_waiter,
                model::kills("wait_list.taken.still_waits"), model::reaches("through", "stopped"),
                model::stale_max(1, "other models cover it"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  notify n;
  for (int i = 0; i < 2; ++i) {
    model.thread("waiter", [&, i] {
      const bool through = model::await(jobs[i], n.wait());
      if (i == 0) model.outcome(through ? "through" : "stopped");
      if (i == 0 && through) n.notify_one();  // it was meant for the other one
      model.check(i == 0 || through, "only the first one is stopped");
    });
  }
  model.thread("notifier", [&] { n.notify_one(); });
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
}

WEFT_MODEL_TEST(notify, all_and_one_meet, model::stale_max(1, "other models cover it"),
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  notify n;
  for (auto& job : jobs) {
    model.thread("waiter", [&] { model.check(model::await(job, n.wait()), "nobody stops it"); });
  }
  model.thread("one", [&] { n.notify_one(); });
  model.thread("all", [&] { n.notify_all(); });
  const int asleep = model.run_until_idle();
  model.check(asleep < 2, "the one notification was used, or not needed");
  n.notify_all();
  model.wind_down();
}

}  // namespace
}  // namespace weft
