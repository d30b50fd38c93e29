// model-sources: weft/channel/news.cpp weft/channel/line.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// A watched value under all schedules: new versions, looks, stops, handles that go. The checker sees a
// version that is written or emptied while somebody looks at it.
#include "weft/channel/watch.hpp"

#include <memory>
#include <optional>

#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

using after_start = model::job_thread::after_start;
using model::job_thread;

enum class end { changed, closed, stopped };

end change_of(model::world& w, job_thread& me, watch_receiver<int>& from) {
  auto op = from.changed();
  me.refill_budget(1);
  const after_start next = me.read(op.start(me.who()));
  if (next == after_start::waits) w.check(me.sleep() == &op, "woken from another operation");
  if (next == after_start::unwinds || op.was_stopped()) {
    w.outcome("stopped");
    return end::stopped;
  }
  w.outcome(next == after_start::waits ? "waited" : "at once");
  return op.await_resume() ? end::changed : end::closed;
}

constexpr auto no_spurious = [](model::test& t) {
  model::spurious_max(0, "the sleep is not what is looked at")(t);
};

WEFT_MODEL_TEST(watch, newer_value_wakes_who_waits, model::kills("news.advance.wakes_nobody"),
                model::reaches("waited", "at once"), no_spurious) {
  job_thread job;
  auto ends = watch(0);
  model.thread("sender", [&] { ends.sender.send(1); });
  model.thread("receiver", [&] {
    model.check(change_of(model, job, ends.receiver) == end::changed, "changed");
    model.check(ends.receiver.get() == 1, "the value that it was woken for");
  });
  model.run();
}

WEFT_MODEL_TEST(watch, last_value_is_seen_before_the_end,
                model::kills("news.drop_sender.wakes_nobody"), model::reaches("waited", "at once"),
                no_spurious) {
  job_thread job;
  auto ends = std::make_optional(watch(0));
  model.thread("sender", [&] {
    const auto to = std::move(ends->sender);
    to.send(1);
  });
  model.thread("receiver", [&] {
    auto from = std::move(ends->receiver);
    model.check(change_of(model, job, from) == end::changed, "changed");
    model.check(from.get() == 1, "the last value");
    model.check(change_of(model, job, from) == end::closed, "then the end");
  });
  model.run();
}

/// However many versions a receiver passes over: what it sees only grows, and it sees the last one.
WEFT_MODEL_TEST(watch, two_receivers_of_three_versions_see_the_last,
                model::kills("news.drop_sender.wakes_nobody"),
                model::reaches("all of them", "not all"),
                model::stale_max(1, "all is under the lock of news"), no_spurious) {
  job_thread jobs[2];
  auto ends = std::make_optional(watch(0));
  std::optional<watch_receiver<int>> receivers[2] = {ends->receiver, ends->receiver};
  int last[2] = {0, 0};
  model.thread("sender", [&] {
    const auto to = std::move(ends->sender);
    for (int i = 1; i <= 3; ++i) to.send(i);
  });
  for (int i = 0; i < 2; ++i) {
    model.thread("receiver", [&, i] {
      int seen = 0;
      while (change_of(model, jobs[i], *receivers[i]) == end::changed) {
        const int now = *receivers[i]->borrow_and_see();
        model.check(now > last[i], "a change without a newer version");
        last[i] = now;
        ++seen;
      }
      model.outcome(seen == 3 ? "all of them" : "not all");
    });
  }
  model.run();
  model.check(last[0] == 3 && last[1] == 3, "the last version was not seen before the end");
}

WEFT_MODEL_TEST(watch, lent_version_stays_as_it_is, model::kills("watch.publish.sees_no_pin"),
                no_spurious) {
  auto ends = watch(0);
  model.thread("sender", [&] {
    for (int i = 1; i <= 2; ++i) ends.sender.send(i);
  });
  model.thread("receiver", [&] {
    const auto first = ends.receiver.borrow();
    const int value = *first;
    const auto second = ends.receiver.borrow();
    model.check(*first == value && *second >= value, "a version changed, or an older one came");
  });
  model.run();
  model.check(ends.receiver.get() == 2, "the newest");
}

WEFT_MODEL_TEST(watch, no_modification_is_lost, model::kills("watch.publish.over_another"),
                no_spurious) {
  auto ends = watch(0);
  for (int i = 0; i < 2; ++i) {
    model.thread("sender", [&] {
      const bool sent = ends.sender.send_if_modified([](int& v) {
        ++v;
        return true;
      });
      model.check(sent, "it was modified");
    });
  }
  model.run();
  model.check(ends.receiver.get() == 2, "both");
}

WEFT_MODEL_TEST(watch, stopped_wait_has_seen_nothing, model::kills("line.taken.stopped_too"),
                model::reaches("stopped", "waited"), no_spurious) {
  job_thread job;
  auto ends = watch(0);
  end ended = end::closed;
  model.thread("sender", [&] { ends.sender.send(1); });
  model.thread("receiver", [&] { ended = change_of(model, job, ends.receiver); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.check(ended != end::closed, "it is not closed");
  model.check(ends.receiver.has_changed() == (ended == end::stopped), "seen, or still to be seen");
}

WEFT_MODEL_TEST(watch, last_handle_or_loan_frees_it, model::kills("news.let_go.too_early"),
                no_spurious) {
  const auto value = std::make_shared<int>(1);
  auto ends = std::make_optional(watch(std::shared_ptr<int>(value)));
  model.thread("sender", [&] {
    const auto to = std::move(ends->sender);
    to.send(value);
  });
  model.thread("receiver", [&] {
    auto from = std::make_optional(std::move(ends->receiver));
    const auto lent = from->borrow();
    from.reset();
    model.check(**lent == 1, "lent");
  });
  model.run();
  model.check(value.use_count() == 1, "a version outlived all ends");
}

}  // namespace
}  // namespace weft
