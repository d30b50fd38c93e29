// model-sources: weft/task/join.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// The hand-off of an ended job under all schedules: its end, the waiter's arrival, a stop of the
// waiter, the handle's going away.
#include "weft/task/join.hpp"

#include <optional>

#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

/// What the frame of the joined job is: its result, and whether it was freed.
struct toy_frame {
  join_state join;
  plain<int> result{0};
  plain<int> freed{0};

  void end() {
    result.set(7);
    if (join.finish() == join_state::finish_result::detached) free();
  }
  void drop() {
    if (join.drop() == join_state::drop_result::ended) {
      model::world().check(result.get() == 7, "freed before its result was there");
      free();
    }
  }
  void free() { freed.set(freed.get() + 1); }
};

class toy_join final : public join_operation {
 public:
  explicit toy_join(join_state& s) noexcept : join_operation(s) { content.set(1); }
  plain<int> content{0};

 protected:
  void joined() noexcept override {
    static_cast<void>(content.get());
    join_operation::joined();
  }
};

enum class joined { yes, no };

/// Waits once, in a frame that is gone right after.
joined join_once(model::world& model, model::job_thread& me, toy_frame& frame) {
  using after_start = model::job_thread::after_start;
  toy_join op(frame.join);
  me.refill_budget(1);
  const after_start next = me.read(op.start(me.who()));
  if (next == after_start::unwinds) {
    model.outcome("stopped before");
    return joined::no;
  }
  if (next == after_start::waits) model.check(me.sleep() == &op, "woken from another operation");
  op.content.set(2);  // whoever still reads it now races with us
  if (op.was_stopped()) {
    model.outcome("stopped");
    return joined::no;
  }
  model.check(frame.result.get() == 7, "joined, but the result is not there");
  model.outcome(next == after_start::waits ? "woken" : "at once");
  return joined::yes;
}

WEFT_MODEL_TEST(join, result_is_there_when_the_wait_ends,
                model::kills("join.finish.relaxed", "join.start.relaxed"),
                model::reaches("woken", "at once"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_frame frame;
  model.thread("joined", [&] { frame.end(); });
  model.thread("waiter", [&] {
    join_once(model, job, frame);
    frame.drop();
  });
  model.run();
  model.check(frame.freed.get() == 1, "the frame is freed once");
}

WEFT_MODEL_TEST(join, last_of_job_and_handle_frees, model::kills("join.drop.relaxed"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  toy_frame frame;
  plain<int> used_by_owner(0);
  model.thread("joined", [&] {
    frame.result.set(7);
    if (frame.join.finish() == join_state::finish_result::detached) {
      used_by_owner.set(2);  // P3: the handle's last accesses are behind us
      frame.free();
    }
  });
  model.thread("owner", [&] {
    used_by_owner.set(1);
    frame.drop();
  });
  model.run();
  model.check(frame.freed.get() == 1, "the frame is freed once");
}

WEFT_MODEL_TEST(join, stopped_waiter_leaves_the_job_joinable,
                model::reaches("stopped before", "stopped", "woken", "at once"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_frame frame;
  model.thread("joined", [&] { frame.end(); });
  model.thread("waiter", [&] {
    join_once(model, job, frame);
    frame.drop();
  });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.check(frame.freed.get() == 1, "the frame is freed once");
}

WEFT_MODEL_TEST(join, stop_of_the_waiter_is_not_lost, model::kills("join.early.ignored"),
                model::reaches("stopped before", "stopped"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_frame frame;
  model.thread("waiter", [&] {
    model.check(join_once(model, job, frame) == joined::no, "the job has not ended");
  });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.thread("joined", [&] { frame.end(); });
  frame.drop();
  model.run();
  model.check(frame.freed.get() == 1, "the frame is freed once");
}

// The job goes on on another worker, which frees the frame that the wait was in: nobody may look at it still.
WEFT_MODEL_TEST(join, frame_of_the_wait_is_let_alone_when_the_job_goes_on_elsewhere,
                model::kills("join.withdraw.relaxed"), model::reaches("woken", "stopped"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_frame frame;
  std::optional<toy_join> op(std::in_place, frame.join);
  model.thread("joined", [&] { frame.end(); });
  model.thread("waiter", [&] {
    job.refill_budget(1);
    if (job.read(op->start(job.who())) == model::job_thread::after_start::waits) return;
    op.reset();
    job.schedule(job, wake_kind::woken);
  });
  model.thread("other worker", [&] {
    static_cast<void>(job.sleep());
    if (!op) return;
    model.outcome(op->was_stopped() ? "stopped" : "woken");
    op.reset();
  });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  frame.drop();
  model.check(frame.freed.get() == 1, "the frame is freed once");
}

}  // namespace
}  // namespace weft
