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
                             "latch.count.hold_forgotten", "wait_list.unlock.relaxed"),
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

WEFT_MODEL_TEST(latch, who_is_let_through_may_destroy_it,
                model::kills("wait_list.looked_at_again", "latch.count.looks_again"),
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

WEFT_MODEL_TEST(latch, stopped_one_does_not_open_it_before_the_last_count_is_done,
                model::kills("latch.left.opens_it"), model::reaches("open", "shut"),
                SYNC_MODEL_LIMITS) {
  model::job_thread job;
  auto done = std::make_unique<latch>(1);
  latch* const known = done.get();
  model.thread("waiter", [&] {
    const bool let_through = model::await(job, done->wait());
    const bool open = let_through || done->try_wait();
    model.outcome(open ? "open" : "shut");
    if (open) done.reset();
  });
  model.thread("counter", [&] { known->count_down(); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
}

WEFT_MODEL_TEST(latch, who_comes_while_the_line_is_called_does_not_go_through_first,
                model::kills("latch.opens_before_the_line_is_called"), SYNC_MODEL_LIMITS) {
  model::job_thread first, second;
  auto done = std::make_unique<latch>(1);
  latch* const known = done.get();
  atomic<bool> first_has_gone(false);
  model.thread("first", [&] {
    static_cast<void>(model::await(first, known->wait()));
    first_has_gone.store(true, order::release);
  });
  model.thread("second", [&] {
    const bool let_through = model::await(second, known->wait());
    model.check(let_through, "nobody stops it");
    first.stop();
    if (first_has_gone.load(order::acquire)) done.reset();  // nobody else uses it
  });
  model.thread("counter", [&] { known->count_down(); });
  model.run();
}

}  // namespace
}  // namespace weft
