// model-sources: weft/sync/mutex.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// The mutex under all schedules. What it guards is a plain variable: the checker sees a second owner
// as a data race.
#include "weft/sync/mutex.hpp"

#include <memory>

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

/// Locks, does it, unlocks. False: stopped.
template <class F>
bool with(mutex& m, model::job_thread& me, F f) {
  auto locking = m.lock();
  if (!model::await(me, locking)) return false;
  const auto held = locking.await_resume();
  f();
  return true;
}

WEFT_MODEL_TEST(mutex, keeps_one_in,
                model::kills("mutex.take.relaxed", "mutex.unlock.relaxed",
                             "mutex.hand_over.frees_it", "wait_list.crowded.forgotten",
                             "wait_list.lock.relaxed"),
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  mutex m;
  plain<int> inside(0);
  for (auto& job : jobs) {
    model.thread("locker", [&] {
      model.check(with(m, job, [&] { inside.set(inside.get() + 1); }), "nobody stops it");
    });
  }
  model.thread("passer-by", [&] {
    if (const auto held = m.try_lock()) inside.set(inside.get() + 10);
  });
  model.run();
  model.check(inside.get() % 10 == 2 && !m.is_locked(), "both were in, and are out");
}

WEFT_MODEL_TEST(mutex, stopped_one_does_not_keep_the_lock,
                model::kills("wait_list.taken.still_waits", "mutex.hand_over.frees_it"),
                model::reaches("locked", "stopped"), model::bound_max(2, "four threads"),
                model::stale_max(1, "other models cover it"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[3];
  mutex m;
  plain<int> inside(0);
  for (int i = 0; i < 3; ++i) {
    model.thread("locker", [&, i] {
      const bool locked = with(m, jobs[i], [&] { inside.set(inside.get() + 1); });
      if (i == 0) {
        model.outcome(locked ? "locked" : "stopped");
      } else {
        model.check(locked, "only the first one is stopped");
      }
    });
  }
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
  model.check(inside.get() >= 2 && !m.is_locked(), "the others were in, and are out");
}

WEFT_MODEL_TEST(mutex, last_owner_may_destroy_it, model::kills("mutex.unlock.relaxed"),
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  auto m = std::make_unique<mutex>();
  mutex* const known = m.get();
  plain<int> uses(0);
  for (auto& job : jobs) {
    model.thread("locker", [&] {
      bool last = false;
      with(*known, job, [&] {
        uses.set(uses.get() + 1);
        last = uses.get() == 2;
      });
      if (last) m.reset();
    });
  }
  model.run();
}

}  // namespace
}  // namespace weft
