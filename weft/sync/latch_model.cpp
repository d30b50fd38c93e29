// model-sources: weft/sync/latch.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// A latch under all schedules.
#include "weft/sync/latch.hpp"

#include <memory>

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

WEFT_MODEL_TEST(latch, last_one_lets_all_through_with_what_each_has_written,
                model::kills("latch.count.relaxed", "latch.look.relaxed", "latch.end.wakes_nobody",
                             "wait_list.unlock.relaxed"),
                SYNC_MODEL_LIMITS) {
  model::job_thread job;
  latch done(2);
  plain<int> written[2];
  for (int i = 0; i < 2; ++i) {
    model.thread("counter", [&, i] {
      written[i].set(1);
      done.count_down();
    });
  }
  model.thread("waiter", [&] {
    model.check(model::await(job, done.wait()), "nobody stops it");
    model.check(written[0].get() + written[1].get() == 2, "let through too early");
  });
  model.run();
}

WEFT_MODEL_TEST(latch, who_is_let_through_may_destroy_it, model::kills("wait_list.looked_at_again"),
                SYNC_MODEL_LIMITS) {
  model::job_thread job;
  auto done = std::make_unique<latch>(2);
  latch* const known = done.get();
  model.thread("waiter", [&] {
    model.check(model::await(job, done->wait()), "nobody stops it");
    done.reset();
  });
  for (int i = 0; i < 2; ++i) {
    model.thread("counter", [&] { known->count_down(); });
  }
  model.run();
}

}  // namespace
}  // namespace weft
