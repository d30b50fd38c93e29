// model-sources: weft/sync/mutex.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// The mutex under all schedules. What it guards is a plain variable: the checker sees a second owner
// as a data race. Here one may overtake, and then it is handed over.
#include "weft/sync/mutex.hpp"

#include <memory>

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

enum class end { locked, stopped, stopped_when_woken };

/// Locks, does it, unlocks.
template <class F>
end visit(mutex& m, model::job_thread& me, F f) {
  auto locking = m.lock();
  if (!model::await(me, locking)) {
    return locking.owner() == nullptr || locking.was_stopped() ? end::stopped
                                                               : end::stopped_when_woken;
  }
  const auto held = locking.await_resume();
  f();
  return end::locked;
}
/// False: stopped.
template <class F>
bool with(mutex& m, model::job_thread& me, F f) {
  return visit(m, me, f) == end::locked;
}

WEFT_MODEL_TEST(mutex, keeps_one_in,
                model::kills("mutex.take.relaxed", "mutex.unlock.relaxed",
                             "mutex.taken_from_who_unlocks", "mutex.unlock.hold_forgotten",
                             "wait_list.crowded.forgotten", "wait_list.lock.relaxed"),
                model::stale_max(1, "the next one but one has all"), SYNC_MODEL_LIMITS) {
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
                model::kills("wait_list.taken.still_waits", "mutex.stopped.calls_nobody"),
                model::reaches("locked", "stopped", "stopped when woken"),
                model::stale_max(1, "other models cover it"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[3];
  mutex m;
  plain<int> inside(0);
  for (int i = 0; i < 3; ++i) {
    model.thread("locker", [&, i] {
      const end how = visit(m, jobs[i], [&] { inside.set(inside.get() + 1); });
      if (i == 0) {
        model.outcome(how == end::locked    ? "locked"
                      : how == end::stopped ? "stopped"
                                            : "stopped when woken");
      } else {
        model.check(how == end::locked, "only the first one is stopped");
      }
    });
  }
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
  model.check(inside.get() >= 2 && !m.is_locked(), "the others were in, and are out");
}

WEFT_MODEL_TEST(mutex, last_waiter_leaves_while_it_is_unlocked, model::kills("mutex.left.frees_it"),
                model::reaches("locked", "stopped"), model::stale_max(1, "other models cover it"),
                SYNC_MODEL_LIMITS) {
  model::job_thread job;
  mutex m;
  plain<int> inside(0);
  auto first = m.try_lock();
  model.thread("waiter", [&] {
    const bool locked = with(m, job, [&] { inside.set(inside.get() + 1); });
    model.outcome(locked ? "locked" : "stopped");
  });
  model.thread("owner", [&] {
    inside.set(inside.get() + 1);
    first.unlock();
  });
  model.thread("stopper", [&] { job.stop(); });
  model.thread("passer-by", [&] {
    if (const auto held = m.try_lock()) inside.set(inside.get() + 1);
  });
  model.run();
  model.check(inside.get() >= 1 && !m.is_locked(), "all are out");
}

WEFT_MODEL_TEST(mutex, nobody_is_overtaken_without_end,
                model::kills("mutex.overtakes.without_end", "mutex.take_beside.relaxed",
                             "mutex.hand_over.frees_it"),
                model::reaches("overtaken", "first"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  mutex m;
  plain<int> inside(0);
  atomic<bool> waits(false);  // relaxed: a value that is not the newest only hides overtaking
  plain<unsigned> overtaken(0);
  model.thread("waiter", [&] {
    auto locking = m.lock();
    const bool locked = model::await(jobs[0], locking, [&] { waits.store(true, order::relaxed); });
    model.check(locked, "nobody stops it");
    const auto held = locking.await_resume();
    waits.store(false, order::relaxed);
    inside.set(inside.get() + 1);
    model.outcome(overtaken.get() != 0 ? "overtaken" : "first");
    // One had locked before this one waited.
    model.check(overtaken.get() <= mutex::overtakes_max + 1, "overtaken too often");
  });
  model.thread("runner", [&] {
    for (int i = 0; i < 4; ++i) {
      const bool locked = with(m, jobs[1], [&] {
        inside.set(inside.get() + 1);
        if (waits.load(order::relaxed)) overtaken.set(overtaken.get() + 1);
      });
      model.check(locked, "nobody stops it");
    }
  });
  model.run();
  model.check(inside.get() == 5 && !m.is_locked(), "both were in, and are out");
}

WEFT_MODEL_TEST(mutex, who_came_up_in_vain_is_the_oldest_still,
                model::kills("mutex.in_vain.goes_to_the_back"), model::reaches("both waited"),
                model::stale_max(1, "other models cover it"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[3];
  mutex m;
  plain<int> inside(0);
  atomic<bool> first_waits(false);
  plain<bool> first_was_in(false);
  model.thread("first", [&] {
    auto locking = m.lock();
    const bool locked =
        model::await(jobs[0], locking, [&] { first_waits.store(true, order::release); });
    model.check(locked, "nobody stops it");
    const auto held = locking.await_resume();
    first_was_in.set(true);
  });
  model.thread("second", [&] {
    const bool comes_later = first_waits.load(order::acquire);
    bool waited = false;
    auto locking = m.lock();
    model.check(model::await(jobs[1], locking, [&] { waited = true; }), "nobody stops it");
    const auto held = locking.await_resume();
    if (!comes_later || !waited) return;
    model.outcome("both waited");
    model.check(first_was_in.get(), "who waited first is in first");
  });
  model.thread("runner", [&] {
    for (int i = 0; i < 2; ++i) {
      const bool locked = with(m, jobs[2], [&] { inside.set(inside.get() + 1); });
      model.check(locked, "nobody stops it");
    }
  });
  model.run();
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
