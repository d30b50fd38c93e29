// model-sources: weft/together/timeout.cpp weft/timer/timer_set.cpp weft/timer/wheel.cpp weft/task/root.cpp weft/task/join.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp weft/task/live_home.cpp weft/task/panic.cpp weft/base/result.cpp
//
// The three that end a timeout under all schedules: the end of what has so much time, the clock, and a
// stop of the job that waits. The timer fires or is cancelled, the branch gives what it has or was cut
// off, and the job goes on once, when both are done with it.
#include "weft/together/timeout.hpp"

#include <optional>

#include "weft/together/together_model_support.hpp"

namespace weft {
namespace {

using detail::timeout_operation;
using model::toy_bed;
using model::toy_branch;
using model::toy_wait;

#define TIMEOUT_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

constexpr std::int64_t soon = ns_per_ms;

/// The job that waits, and the timers of its worker.
class timed_job final : public model::job_thread {
 public:
  timer_set& timers() noexcept override { return timers_; }
  std::int64_t now_ns() noexcept override { return 0; }
  void time_is_over() { timers_.advance(soon); }

 private:
  timer_set timers_;
};

class toy_timeout final : public timeout_operation {
 public:
  explicit toy_timeout(toy_branch& branch) noexcept
      : timeout_operation(branch, from::now, soon), branch_(branch) {}
  ~toy_timeout() {
    if (launched()) {
      branch_.claimed = true;
      branch_.drop();
    } else {
      branch_.discard();
    }
  }
  using timeout_operation::launched;
  using timeout_operation::start_branch;
  using timeout_operation::timed_out;
  toy_branch& branch() const noexcept { return branch_; }

 private:
  toy_branch& branch_;
};

/// What a model is made of. The threads are named for who comes there.
struct stage {
  timed_job job;
  toy_bed bed;
  toy_wait op;
  int freed = 0;
  std::optional<toy_timeout> timeout;

  stage() { timeout.emplace(toy_branch::make(bed, op, freed)); }
  bool start() {
    return job.read(timeout->start_branch(job.who())) == model::job_thread::after_start::waits;
  }
  void add_branch(model::world& model) {
    model.thread("branch", [this] { toy_branch::run(bed, timeout->branch()); });
  }
  /// Waits for the end, says what it was, and leaves nothing behind.
  void end(model::world& model) {
    model.check(job.sleep() == &*timeout, "woken from another operation");
    if (timeout->was_stopped()) {
      model.check(job.stop_requested(), "reported as stopped, but nobody stopped it");
      model.check(timeout->branch().gave.get() == 0, "stopped, although it had completed");
      model.outcome("stopped");
    } else if (timeout->timed_out()) {
      model.check(timeout->branch().gave.get() == 0, "timed out, although it had completed");
      model.outcome("timed out");
    } else {
      model.check(timeout->branch().gave.get() == 1, "over, but there is no result");
      model.outcome("completed");
    }
    timeout.reset();
  }
  void check_end(model::world& model) {
    model.check(freed == 1, "the branch was freed not once");
    model.check(job.timers().size() == 0, "a timer is left");
    model.check(!job.scheduled(), "the job was woken twice");
  }
};

WEFT_MODEL_TEST(timeout, the_end_and_the_clock_end_it_once,
                model::kills("timeout.leave.relaxed", "timeout.cancelled.counts"),
                model::reaches("completed", "timed out"), model::never("stopped"),
                TIMEOUT_MODEL_LIMITS) {
  stage s;
  model.check(s.start(), "over before anybody came");
  s.add_branch(model);
  model.thread("job", [&] { s.end(model); });
  model.thread("clock", [&] { s.job.time_is_over(); });
  model.thread("completer", [&] { s.op.complete(); });
  model.run();
  s.check_end(model);
}

WEFT_MODEL_TEST(timeout, the_clock_alone_cuts_it_off,
                model::kills("timeout.fired.stops_nobody", "timeout.end.unasked"),
                model::reaches("timed out"), model::never("completed", "stopped"),
                TIMEOUT_MODEL_LIMITS) {
  stage s;
  model.check(s.start(), "over before anybody came");
  s.add_branch(model);
  model.thread("job", [&] { s.end(model); });
  model.thread("clock", [&] { s.job.time_is_over(); });
  model.run();
  s.check_end(model);
}

// Whoever comes first: if the clock came before the end, it was the clock (I2).
WEFT_MODEL_TEST(timeout, the_clock_and_a_stop, model::kills("timeout.leave.relaxed"),
                model::reaches("timed out", "stopped"), model::never("completed"),
                TIMEOUT_MODEL_LIMITS) {
  stage s;
  model.check(s.start(), "over before anybody came");
  s.add_branch(model);
  model.thread("job", [&] { s.end(model); });
  model.thread("clock", [&] { s.job.time_is_over(); });
  model.thread("stopper", [&] { s.job.stop(); });
  model.run();
  s.check_end(model);
}

WEFT_MODEL_TEST(timeout, a_stop_comes_while_it_begins,
                model::kills("timeout.withdraw.stops_nobody"),
                model::reaches("stopped before", "stopped"), model::never("completed", "timed out"),
                TIMEOUT_MODEL_LIMITS) {
  stage s;
  s.add_branch(model);
  model.thread("job", [&] {
    if (s.start()) return s.end(model);
    model.outcome("stopped before");
    s.timeout.reset();
    s.bed.has_work.set(false);
    s.bed.schedule(s.job, wake_kind::woken);
  });
  model.thread("stopper", [&] { s.job.stop(); });
  model.run();
  s.check_end(model);
}

WEFT_MODEL_TEST(timeout, the_clock_a_stop_and_the_end,
                model::reaches("timed out", "stopped", "completed"),
                model::stale_max(0, "orders of memory are the other models' matter"),
                TIMEOUT_MODEL_LIMITS) {
  stage s;
  model.check(s.start(), "over before anybody came");
  s.add_branch(model);
  model.thread("job", [&] { s.end(model); });
  model.thread("clock", [&] { s.job.time_is_over(); });
  model.thread("completer", [&] { s.op.complete(); });
  model.thread("stopper", [&] { s.job.stop(); });
  model.run();
  s.check_end(model);
}

}  // namespace
}  // namespace weft
