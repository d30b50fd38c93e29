// model-sources: weft/task/job.cpp
//
// The stop slot under all schedules: who completes, who stops, who stops again, who comes too late.
#include "weft/task/job.hpp"

#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

/// The outside of an operation, which outlives it: one word says who may end it.
class toy_outside {
 public:
  static constexpr std::uintptr_t nothing = 0;
  static constexpr std::uintptr_t done = 1;
  static constexpr std::uintptr_t withdrawn = 2;
  atomic<std::uintptr_t> word{nothing};
};

class toy_operation final : public operation {
 public:
  explicit toy_operation(toy_outside& outside) noexcept : outside_(outside) { content.set(1); }

  enum class start_result { waiting, ready, stopped };
  start_result start(model::job_thread& me) {
    if (me.arm(*this, me.who()) == job::arm_result::stopped) return start_result::stopped;
    std::uintptr_t seen = toy_outside::nothing;
    if (outside_.word.compare_exchange(seen, reinterpret_cast<std::uintptr_t>(this), order::release,
                                       order::acquire)) {
      return start_result::waiting;
    }
    if (seen == toy_outside::withdrawn) {
      finish(true);
      return start_result::waiting;
    }
    if (me.disarm(*this) == job::disarm_result::disarmed) return start_result::ready;
    finish(false);
    return start_result::waiting;
  }
  void withdraw() noexcept override {
    static_cast<void>(content.get());  // a stopper reads the operation even when it comes too late
    std::uintptr_t seen = outside_.word.load(order::relaxed);
    while (seen != toy_outside::done) {
      if (outside_.word.compare_exchange(seen, toy_outside::withdrawn, order::relaxed,
                                         order::relaxed)) {
        if (seen != toy_outside::nothing) finish(true);
        return;
      }
    }
  }
  static void complete(toy_outside& outside) {
    std::uintptr_t seen = outside.word.load(order::relaxed);
    while (seen != toy_outside::withdrawn) {
      if (!outside.word.compare_exchange(seen, toy_outside::done, order::acq_rel, order::relaxed))
        continue;
      if (seen == toy_outside::nothing) return;
      auto* const op = reinterpret_cast<toy_operation*>(seen);
      op->result.set(7);
      op->finish(false);
      return;
    }
  }
  const char* what() const noexcept override { return "toy"; }

  plain<int> content{0};
  plain<int> result{0};

 private:
  toy_outside& outside_;
};

/// Waits once, in a frame that is gone right after.
void wait_once(model::world& model, model::job_thread& me, toy_outside& outside) {
  toy_operation op(outside);
  switch (op.start(me)) {
    case toy_operation::start_result::stopped:
      return model.outcome("stopped before");
    case toy_operation::start_result::ready:
      return model.outcome("ready");
    case toy_operation::start_result::waiting:
      break;
  }
  model.check(me.sleep() == &op, "woken from another operation");
  op.content.set(2);  // whoever still reads it now races with us
  if (op.was_stopped()) {
    model.check(op.result.get() == 0, "reported as stopped although it had happened");
    model.check(me.stop_requested(), "reported as stopped, but nobody stopped");
    return model.outcome("stopped");
  }
  const bool late = op.result.get() == 0;  // done before it was published, stopped in between
  model.outcome(late ? "completed late" : "completed");
}

WEFT_MODEL_TEST(job, completes_or_stops_once,
                model::kills("job.arm.relaxed", "job.woken.relaxed", "job.woken.schedules_too",
                             "job.stop.forgets_woken", "job.left.relaxed", "job.complete.relaxed",
                             "job.stop.relaxed", "job.handover.relaxed"),
                model::reaches("stopped before", "ready", "stopped", "completed", "completed late"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_outside outside;
  model.thread("waiter", [&] { wait_once(model, job, outside); });
  model.thread("completer", [&] { toy_operation::complete(outside); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.check(!job.scheduled(), "scheduled once too often");
}

WEFT_MODEL_TEST(job, second_stop_does_nothing, model::reaches("stopped before", "stopped"),
                model::never("ready", "completed", "completed late"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_outside outside;
  model.thread("waiter", [&] { wait_once(model, job, outside); });
  for (int i = 0; i < 2; ++i) model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.check(job.stop_requested() && !job.scheduled(), "stopped, and scheduled once");
}

WEFT_MODEL_TEST(job, next_wait_after_a_stop_that_came_too_late_does_not_start,
                model::reaches("stopped before"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_outside first, second;
  model.thread("waiter", [&] {
    wait_once(model, job, first);
    if (!job.stop_requested())
      wait_once(model, job, second);
    else {
      toy_operation op(second);
      model.check(op.start(job) == toy_operation::start_result::stopped,
                  "a stopped job waits again");
    }
  });
  model.thread("completer", [&] { toy_operation::complete(first); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
}

WEFT_MODEL_TEST(job, shield_hides_it_from_a_stop, model::reaches("completed"),
                model::never("stopped before", "stopped", "completed late"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_outside outside;
  model.thread("waiter", [&] {
    job.enter_shield();
    wait_once(model, job, outside);
    job.leave_shield();
  });
  model.thread("completer", [&] { toy_operation::complete(outside); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.check(job.stop_requested() && !job.scheduled(),
              "the stop is there when the shield is left");
}

}  // namespace
}  // namespace weft
