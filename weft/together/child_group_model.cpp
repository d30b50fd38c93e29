// model-sources: weft/together/child_group.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp weft/base/result.cpp weft/task/failures.cpp
//
// The end, the stop and the failure of children under all schedules: who ends last, children that the
// body or a child makes, a child that waits for the first time while all are stopped, one that ends
// while a stopper is inside its stop().
#include "weft/together/child_group.hpp"

#include <new>

#include "weft/base/result.hpp"
#include "weft/task/task_model_support.hpp"
#include "weft/together/together_model_support.hpp"

namespace weft {
namespace {

using detail::child_group;
using detail::child_job;
using model::toy_bed;
using model::toy_promise;
using model::toy_wait;

/// Nobody runs what is launched: the model's threads do.
class toy_home final : public scheduler {
 public:
  void schedule(job&, wake_kind) noexcept override {}
};

class toy_child;

class toy_group final : public child_group {
 public:
  explicit toy_group(model::world& of) noexcept : world(of) {}
  void all_ended() noexcept override;
  using child_group::failed;
  using child_group::some_stopped;
  model::world& world;
  toy_child* all[3] = {};
  int ends = 0;
};

/// A child that the model's thread runs: `me` is where it sleeps.
class toy_child final : public child_job {
 public:
  toy_child(scheduler& home, toy_group& group, bool body) noexcept
      : child_job(home, body ? as_body : as_other, group) {}
  ~toy_child() = default;

  bool told() const noexcept { return told_to_stop(); }
  void finish(bool stopped) noexcept {
    was_stopped = stopped;
    work.set(1);
    static_cast<void>(end());
  }
  plain<int> work{0};
  int freed = 0;

 private:
  static std::coroutine_handle<> start_toy(child_job&) noexcept { return std::noop_coroutine(); }
  static void free_toy(child_job& self) noexcept { ++static_cast<toy_child&>(self).freed; }
  static constexpr operations as_body{{as_child()}, &start_toy, nullptr, nullptr};
  static constexpr operations as_other{{as_child()}, &start_toy, &free_toy, nullptr};
};

void toy_group::all_ended() noexcept {
  ++ends;
  for (toy_child* const c : all) {
    if (c != nullptr && c->work.get() != 1) world.check(false, "ended before the last child");
  }
}

/// A child that waits once.
void wait_once(model::world& model, toy_child& child, toy_bed& bed, toy_wait& op) {
  toy_promise who;
  who.become_root(child);
  if (child.told()) {
    model.outcome("never began");
    return child.finish(true);
  }
  if (op.start(child, who) == toy_wait::begun::waits) {
    bed.sleep();
    model.outcome(op.was_stopped() ? "stopped" : "completed");
    return child.finish(op.was_stopped());
  }
  model.outcome("did not wait");
  child.finish(child.stop_requested());
}

WEFT_MODEL_TEST(children, the_last_one_ends_the_group_and_sees_what_all_did,
                model::kills("children.arrive.relaxed", "children.body.uncounted")) {
  toy_home home;
  toy_group group(model);
  toy_child body(home, group, true), by_body(home, group, false), by_child(home, group, false);
  group.all[0] = &body, group.all[1] = &by_body, group.all[2] = &by_child;
  atomic<std::uint32_t> launched{0};
  model.thread("body", [&] {
    group.adopt(by_body, child_group::spawner::body);
    launched.store(1, order::release);
    body.finish(false);
  });
  model.thread("child", [&] {
    while (launched.load(order::acquire) == 0) cpu_pause();
    group.adopt(by_child, child_group::spawner::other);
    launched.store(2, order::release);
    by_body.finish(false);
  });
  model.thread("child of a child", [&] {
    while (launched.load(order::acquire) != 2) cpu_pause();
    by_child.finish(false);
  });
  model.run();
  model.check(group.ends == 1, "ended not once");
  model.check(by_body.freed == 1 && by_child.freed == 1, "a child was freed not once");
}

WEFT_MODEL_TEST(children, a_stop_misses_no_child_that_begins_to_wait,
                model::kills("children.list.forgets_stop", "children.stop.no_walk"),
                model::reaches("never began", "stopped", "did not wait"), model::never("completed"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  toy_bed bed;
  toy_group group(model);
  toy_child body(bed, group, true), child(bed, group, false);
  group.all[0] = &body, group.all[1] = &child;
  toy_wait op;
  group.adopt(child, child_group::spawner::body);
  model.thread("body", [&] {
    group.stop();
    body.finish(false);
  });
  model.thread("child", [&] { wait_once(model, child, bed, op); });
  model.run();
  model.check(group.ends == 1 && child.freed == 1, "ended or freed not once");
  model.check(group.some_stopped() == child.was_stopped, "the group does not know of a stop");
}

WEFT_MODEL_TEST(children, one_that_ends_under_a_stopper_is_left_to_it,
                model::kills("children.leave.under_stopper"),
                model::reaches("stopped", "completed", "did not wait"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  toy_bed bed;
  toy_group group(model);
  toy_child body(bed, group, true), child(bed, group, false);
  group.all[0] = &body, group.all[1] = &child;
  toy_wait op;
  group.adopt(child, child_group::spawner::body);
  model.thread("body", [&] {
    group.stop();
    body.finish(false);
  });
  model.thread("child", [&] { wait_once(model, child, bed, op); });
  model.thread("completer", [&] { op.complete(); });
  model.run();
  model.check(group.ends == 1 && child.freed == 1, "ended or freed not once");
}

WEFT_MODEL_TEST(children, the_first_of_two_failures_counts_and_stops_the_third,
                model::reaches("stopped"),
                model::spurious_max(0, "the sleep is not what is looked at"),
                model::stale_max(1, "orders of memory are the other models' matter")) {
  toy_bed bed;
  toy_group group(model);
  toy_child body(bed, group, true), fails(bed, group, false), child(bed, group, false);
  group.all[0] = &body, group.all[1] = &fails, group.all[2] = &child;
  toy_wait op;
  group.adopt(fails, child_group::spawner::body);
  group.adopt(child, child_group::spawner::body);
  const auto why = std::make_error_code(std::errc::io_error);
  model.thread("body", [&] {
    group.fail(why);
    body.finish(false);
  });
  model.thread("failing child", [&] {
    group.fail(why);
    fails.finish(false);
  });
  model.thread("child", [&] { wait_once(model, child, bed, op); });
  model.run();
  model.check(group.failed() && group.ends == 1, "did not fail, or ended not once");
  model.check(fails.freed == 1 && child.freed == 1, "a child was freed not once");
}

}  // namespace
}  // namespace weft
