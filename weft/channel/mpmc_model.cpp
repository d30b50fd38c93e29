// model-sources: weft/channel/line.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// The channel under all schedules: sends, receives, stops, closing, handles that go. A lost wake is a
// deadlock here; a message that is lost or doubled shows in the sums at the end.
#include "weft/channel/mpmc.hpp"

#include <array>
#include <memory>
#include <optional>

#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

using after_start = model::job_thread::after_start;
using model::job_thread;

/// What is sent: the number of a place that only its sender writes, before, and its receiver, after.
using message = int;

enum class end { ok, refused, stopped };

class traffic {
 public:
  explicit traffic(model::world& w, std::size_t capacity)
      : model_(w), ends_(std::in_place, weft::channel<message>(capacity)) {}

  end send(job_thread& me, message number) { return send_by(me, ends_->sender, number); }
  end recv(job_thread& me) { return recv_by(me, ends_->receiver); }

  end send_by(job_thread& me, const sender<message>& to, message number) {
    contents_[at(number)].set(number + 1);
    message kept = number;
    auto op = to.send_from(kept);
    if (!waited(me, op)) return end::stopped;
    return op.await_resume() == send_status::sent ? end::ok : end::refused;
  }
  end recv_by(job_thread& me, const receiver<message>& from) {
    auto op = from.recv();
    if (!waited(me, op)) {
      model_.check(!op.got.has_value(), "stopped, and has eaten a message");
      return end::stopped;
    }
    const std::optional<message> got = op.await_resume();
    if (!got) return end::refused;
    had(*got);
    return end::ok;
  }
  void had(message number) {
    plain<int>& content = contents_[at(number)];
    model_.check(content.get() == number + 1,
                 "a message came twice, or without what was before it");
    content.set(0);
    last_ = number;
  }
  int left() { return static_cast<int>(ends_->receiver.size()); }
  message last() const { return last_; }
  channel_ends<message>& ends() { return *ends_; }
  void drop() { ends_.reset(); }

 private:
  static std::size_t at(message number) { return static_cast<std::size_t>(number); }

  template <class Operation>
  bool waited(job_thread& me, Operation& op) {
    me.refill_budget(1);
    const after_start next = me.read(op.start(me.who()));
    if (next == after_start::unwinds) {
      model_.outcome("stopped before");
      return false;
    }
    if (next == after_start::waits) model_.check(me.sleep() == &op, "woken from another operation");
    if (op.was_stopped()) {
      model_.outcome("stopped");
      return false;
    }
    model_.outcome(next == after_start::waits ? "waited" : "at once");
    return true;
  }

  model::world& model_;
  std::optional<channel_ends<message>> ends_;
  std::array<plain<int>, 4> contents_;
  message last_ = -1;
};

constexpr auto no_spurious = [](model::test& t) {
  model::spurious_max(0, "the sleep is not what is looked at")(t);
};

WEFT_MODEL_TEST(channel, message_goes_to_who_waits, model::kills("channel.put.sees_no_receiver"),
                model::reaches("waited", "at once"), no_spurious) {
  job_thread a, b;
  traffic t(model, 1);
  model.thread("sender", [&] { model.check(t.send(a, 0) == end::ok, "sent"); });
  model.thread("receiver", [&] { model.check(t.recv(b) == end::ok, "received"); });
  model.run();
  model.check(t.left() == 0, "it is received");
}

WEFT_MODEL_TEST(channel, rendezvous_hands_over, model::kills("channel.put.sees_no_receiver"),
                model::reaches("waited", "at once"), no_spurious) {
  job_thread a, b;
  traffic t(model, 0);
  model.thread("sender", [&] { model.check(t.send(a, 0) == end::ok, "sent"); });
  model.thread("receiver", [&] { model.check(t.recv(b) == end::ok, "received"); });
  model.run();
}

WEFT_MODEL_TEST(channel, place_that_is_freed_goes_to_who_waits_for_it,
                model::kills("channel.take.lets_nobody_in"), model::reaches("waited", "at once"),
                no_spurious) {
  job_thread a, b;
  traffic t(model, 1);
  model.check(t.send(a, 0) == end::ok, "there is room");
  model.thread("sender", [&] { model.check(t.send(a, 1) == end::ok, "sent"); });
  model.thread("receiver", [&] { model.check(t.recv(b) == end::ok && t.last() == 0, "in order"); });
  model.run();
  model.check(t.left() == 1, "the second one is in line");
}

WEFT_MODEL_TEST(channel, messages_stay_in_order, model::reaches("waited"), no_spurious) {
  job_thread a, b;
  traffic t(model, 1);
  model.thread("sender", [&] {
    for (message m = 0; m < 3; ++m) model.check(t.send(a, m) == end::ok, "sent");
  });
  model.thread("receiver", [&] {
    for (message m = 0; m < 3; ++m) {
      model.check(t.recv(b) == end::ok && t.last() == m, "in order");
    }
  });
  model.run();
}

WEFT_MODEL_TEST(channel, two_senders_one_receiver_lose_nothing, no_spurious) {
  job_thread jobs[3];
  traffic t(model, 1);
  for (int i = 0; i < 2; ++i) {
    model.thread("sender", [&, i] { model.check(t.send(jobs[i], i) == end::ok, "sent"); });
  }
  model.thread("receiver", [&] {
    for (int n = 0; n < 2; ++n) model.check(t.recv(jobs[2]) == end::ok, "received");
  });
  model.run();
  model.check(t.left() == 0, "all were received");
}

void conserves(model::world& model, std::size_t capacity, bool stops_sender) {
  job_thread a, b;
  traffic t(model, capacity);
  end sent = end::refused, received = end::refused;
  model.thread("sender", [&] { sent = t.send(a, 0); });
  model.thread("receiver", [&] { received = t.recv(b); });
  model.thread("stopper", [&] { (stops_sender ? a : b).stop(); });
  if (model.run_until_idle() != 0) {
    model.check(stops_sender ? sent == end::stopped : received == end::stopped && capacity == 0,
                "only the one whose partner was stopped is left waiting");
    (stops_sender ? b : a).stop();
  }
  model.run();
  model.check((sent == end::ok) == (t.left() + (received == end::ok) == 1),
              "the message is with its sender, in line, or received, once");
}

WEFT_MODEL_TEST(channel, stop_is_not_lost, model::kills("line.asked.ignored"),
                model::reaches("stopped", "stopped before"), no_spurious) {
  job_thread a;
  traffic t(model, 1);
  model.thread("receiver", [&] { model.check(t.recv(a) == end::stopped, "there is no message"); });
  model.thread("stopper", [&] { a.stop(); });
  model.run();
}

WEFT_MODEL_TEST(channel, stopped_receiver_eats_nothing,
                model::kills("line.taken.stopped_too", "line.done.reported_as_stopped"),
                model::reaches("stopped", "stopped before"), no_spurious) {
  conserves(model, 1, false);
}
WEFT_MODEL_TEST(channel, stopped_partner_of_a_rendezvous_took_no_part,
                model::kills("line.taken.still_in_line", "line.taken.stopped_too"), no_spurious) {
  conserves(model, 0, false);
}
WEFT_MODEL_TEST(channel, stopped_sender_has_sent_nothing, model::kills("line.taken.stopped_too"),
                no_spurious) {
  conserves(model, 0, true);
}

WEFT_MODEL_TEST(channel, closing_right_after_a_send_loses_no_message,
                model::kills("channel.put.sees_no_receiver"), model::reaches("waited"),
                no_spurious) {
  job_thread a, b;
  traffic t(model, 1);
  model.thread("sender", [&] {
    const sender<message> mine = std::move(t.ends().sender);
    model.check(t.send_by(a, mine, 0) == end::ok, "sent");
  });  // and closed by its going
  model.thread("receiver", [&] {
    model.check(t.recv(b) == end::ok, "the message first");
    model.check(t.recv(b) == end::refused, "then the end");
  });
  model.run();
}

WEFT_MODEL_TEST(channel, closing_gives_the_value_back_to_who_waits,
                model::kills("channel.put.sees_no_closing"), model::reaches("waited", "at once"),
                no_spurious) {
  job_thread a;
  traffic t(model, 0);
  model.thread("sender", [&] { model.check(t.send(a, 0) == end::refused, "given back"); });
  model.thread("closer", [&] { t.ends().receiver.close(); });
  model.run();
}

WEFT_MODEL_TEST(channel, closing_meets_a_stop, model::kills("line.taken.stopped_too"),
                no_spurious) {
  job_thread a;
  traffic t(model, 0);
  model.thread("receiver", [&] { model.check(t.recv(a) != end::ok, "there is no message"); });
  model.thread("closer", [&] { t.ends().sender.close(); });
  model.thread("stopper", [&] { a.stop(); });
  model.run();
}

/// Sides and copies go in any order; the last one frees what the others have written.
WEFT_MODEL_TEST(channel, last_handle_frees_it,
                model::kills("channel.leave.relaxed", "channel.sender.relaxed"), no_spurious) {
  auto ends = std::make_unique<channel_ends<message>>(weft::channel<message>(2));
  auto second = std::make_unique<sender<message>>(ends->sender);
  model.thread("one sender", [&] {
    const sender<message> mine = std::move(ends->sender);
    static_cast<void>(mine.try_send(1));
  });
  model.thread("other sender", [&] { second.reset(); });
  model.thread("receiver", [&] {
    const receiver<message> mine = std::move(ends->receiver);
    static_cast<void>(mine.try_recv());
  });
  model.run();
}

WEFT_MODEL_TEST(channel, last_receiver_frees_it_too, model::kills("channel.receiver.relaxed"),
                no_spurious) {
  auto ends = std::make_unique<channel_ends<message>>(weft::channel<message>(2));
  auto second = std::make_unique<receiver<message>>(ends->receiver);
  model.thread("sender", [&] { const sender<message> gone = std::move(ends->sender); });
  model.thread("one receiver", [&] {
    const receiver<message> mine = std::move(ends->receiver);
    static_cast<void>(mine.try_recv());
  });
  model.thread("other receiver", [&] { second.reset(); });
  model.run();
}

}  // namespace
}  // namespace weft
