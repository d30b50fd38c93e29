// model-sources: weft/sync/semaphore.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// The semaphore, and with it the wait_list, under all schedules. A lost wake is a deadlock here.
#include "weft/sync/semaphore.hpp"

#include <memory>

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

WEFT_MODEL_TEST(semaphore, permit_and_what_was_written_before_it_arrive,
                model::kills("wait_list.crowded.forgotten", "wait_list.lock.relaxed",
                             "wait_list.unlock.relaxed", "semaphore.take.relaxed",
                             "semaphore.give.relaxed"),
                SYNC_MODEL_LIMITS) {
  model::job_thread job;
  semaphore s(0);
  plain<int> written(0);
  model.thread("waiter", [&] {
    model.check(model::await(job, s.acquire()), "nobody stops it");
    model.check(written.get() == 1, "the permit came, what was written before it did not");
    written.set(2);
    s.release();
  });
  model.thread("releaser", [&] {
    written.set(1);
    s.release();
  });
  model.thread("passer-by", [&] {
    if (!s.try_acquire()) return;
    model.check(written.get() != 0, "a permit without what was written before");
    s.release();
  });
  model.run();
  model.check(s.available() == 1, "the permit is back");
}

WEFT_MODEL_TEST(semaphore, permits_survive_a_stop,
                model::kills("wait_list.taken.still_waits", "semaphore.let_in.for_nothing"),
                model::reaches("permit", "stopped"), SYNC_MODEL_LIMITS) {
  model::job_thread job;
  semaphore s(0);
  plain<int> taken(0);
  model.thread("waiter", [&] {
    if (model::await(job, s.acquire())) {
      taken.set(1);
      return model.outcome("permit");
    }
    model.outcome("stopped");
  });
  model.thread("releaser", [&] { s.release(); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.check(static_cast<int>(s.available()) + taken.get() == 1, "the permit is somewhere, once");
}

WEFT_MODEL_TEST(semaphore, stopped_one_lets_in_who_stood_behind_it,
                model::kills("semaphore.left.lets_nobody_in"), model::reaches("in behind it"),
                SYNC_MODEL_LIMITS) {
  model::job_thread wants_two;
  model::job_thread wants_one;
  semaphore s(1);
  model.thread("wants two",
               [&] { model.check(!model::await(wants_two, s.acquire(2)), "there are never two"); });
  model.thread("wants one", [&] {
    model.check(model::await(wants_one, s.acquire()), "nobody stops it");
    model.outcome("in behind it");
  });
  model.thread("stopper", [&] { wants_two.stop(); });
  model.run();
  model.check(s.available() == 0, "one was taken, once");
}

WEFT_MODEL_TEST(semaphore, two_waiters_and_two_releasers,
                model::kills("semaphore.let_in.for_nothing"),
                model::stale_max(1, "other models cover it"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  semaphore s(0);
  for (auto& job : jobs) {
    model.thread("waiter", [&] { model.check(model::await(job, s.acquire()), "nobody stops it"); });
    model.thread("releaser", [&] { s.release(); });
  }
  model.run();
  model.check(s.available() == 0, "each permit was given once");
}

WEFT_MODEL_TEST(semaphore, who_acquires_may_destroy_it, model::kills("wait_list.looked_at_again"),
                SYNC_MODEL_LIMITS) {
  model::job_thread job;
  auto s = std::make_unique<semaphore>(0);
  semaphore* const known = s.get();
  model.thread("waiter", [&] {
    model.check(model::await(job, s->acquire(2)), "nobody stops it");
    s.reset();
  });
  for (int i = 0; i < 2; ++i) {
    model.thread("releaser", [&] { known->release(); });
  }
  model.run();
}

}  // namespace
}  // namespace weft
