// model-sources: weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// One value, one sender, one receiver, a stop, and either end going: all schedules.
#include "weft/channel/oneshot.hpp"

#include <memory>
#include <optional>

#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

using after_start = model::job_thread::after_start;
using model::job_thread;

enum class end { value, nothing, stopped };

end receive(model::world& w, job_thread& me, const oneshot_receiver<plain<int>*>& from) {
  auto op = from.recv();
  me.refill_budget(1);
  const bool ready = !detail::sees_stop(me) && op.try_now(me);
  if (ready) w.outcome("ready");
  const after_start next = ready ? after_start::goes_on : me.read(op.start(me.who()));
  if (next == after_start::unwinds) return end::stopped;
  if (next == after_start::waits) w.check(me.sleep() == &op, "woken from another operation");
  if (op.was_stopped()) return end::stopped;
  if (!ready) w.outcome(next == after_start::waits ? "waited" : "at once");
  const auto got = op.await_resume();
  if (!got) return end::nothing;
  w.check((*got)->get() == 7, "received before it was written");
  (*got)->set(8);
  return end::value;
}

constexpr auto no_spurious = [](model::test& t) {
  model::spurious_max(0, "the sleep is not what is looked at")(t);
};

WEFT_MODEL_TEST(oneshot, value_is_received,
                model::kills("oneshot.end.relaxed", "oneshot.look.relaxed",
                             "oneshot.end.wakes_nobody"),
                model::reaches("waited", "at once", "ready"), no_spurious) {
  job_thread job;
  plain<int> content(0);
  auto ends = std::make_optional(oneshot<plain<int>*>());
  model.thread("sender", [&] {
    auto to = std::move(ends->sender);
    content.set(7);
    model.check(to.send(&content).has_value(), "somebody receives");
  });
  model.thread("receiver", [&] {
    const auto from = std::move(ends->receiver);
    model.check(receive(model, job, from) == end::value, "received");
  });
  model.run();
}

WEFT_MODEL_TEST(oneshot, sender_that_goes_ends_the_wait, model::kills("oneshot.end.wakes_nobody"),
                model::reaches("waited", "at once", "ready"), no_spurious) {
  job_thread job;
  auto ends = std::make_optional(oneshot<plain<int>*>());
  model.thread("sender", [&] { const auto gone = std::move(ends->sender); });
  model.thread("receiver", [&] {
    const auto from = std::move(ends->receiver);
    model.check(receive(model, job, from) == end::nothing, "nothing was sent");
  });
  model.run();
}

/// The value comes back, or is destroyed with the receiver, and comes back if that has gone before.
WEFT_MODEL_TEST(oneshot, value_does_not_outlive_both_ends,
                model::kills("oneshot.end.relaxed", "oneshot.end.sees_no_receiver_gone",
                             "oneshot.drop.overlooks_done"),
                model::reaches("back", "destroyed"), no_spurious) {
  auto ends = oneshot<std::shared_ptr<int>>();
  atomic<bool> gone(false);
  std::weak_ptr<int> watched;
  model.thread("sender", [&] {
    auto to = std::move(ends.sender);
    auto value = std::make_shared<int>(1);
    watched = value;
    const bool before = gone.load(order::acquire);
    const auto sent = to.send(std::move(value));
    model.check(!(before && sent), "sent to nobody");
    model.outcome(sent ? "destroyed" : "back");
  });
  model.thread("receiver", [&] {
    {
      const auto from = std::move(ends.receiver);
    }
    gone.store(true, order::release);
  });
  model.run();
  model.check(watched.expired(), "the value outlived both ends");
}

WEFT_MODEL_TEST(oneshot, stopped_receive_leaves_the_value,
                model::kills("wait_list.taken.still_waits"), no_spurious) {
  job_thread job;
  plain<int> content(0);
  auto ends = oneshot<plain<int>*>();
  end received = end::nothing;
  model.thread("sender", [&] {
    auto to = std::move(ends.sender);
    content.set(7);
    model.check(to.send(&content).has_value(), "somebody receives");
  });
  model.thread("receiver", [&] { received = receive(model, job, ends.receiver); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.check(ends.receiver.try_recv().has_value() == (received == end::stopped),
              "received once, or still there");
}

/// Who waits goes as soon as it was woken or stopped, and frees it if it is last: nobody looks at it then.
WEFT_MODEL_TEST(oneshot, receiver_may_go_as_soon_as_it_has_the_value_or_is_stopped,
                model::kills("wait_list.looked_at_again"),
                model::reaches("waited", "stopped, sent", "stopped, back"), no_spurious) {
  job_thread job;
  plain<int> content(0);
  auto ends = std::make_optional(oneshot<plain<int>*>());
  bool sent = false;
  end received = end::nothing;
  model.thread("sender", [&] {
    auto to = std::move(ends->sender);
    content.set(7);
    sent = to.send(&content).has_value();
  });
  model.thread("receiver", [&] {
    const auto from = std::move(ends->receiver);
    received = receive(model, job, from);
  });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  if (received == end::stopped) model.outcome(sent ? "stopped, sent" : "stopped, back");
  model.check(received == end::stopped || (received == end::value && sent), "lost");
}

}  // namespace
}  // namespace weft
