// model-sources: weft/channel/news.cpp weft/channel/line.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// Broadcast under all schedules: sends, receives that fall behind, stops, handles that go. A lost wake
// is a deadlock here; what a receiver has had, missed and has left must add up to what was sent.
#include "weft/channel/broadcast.hpp"

#include <optional>

#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

using after_start = model::job_thread::after_start;
using model::job_thread;

/// What is sent: the checker sees it being written, copied and destroyed.
class message {
 public:
  explicit message(int n, int* alive = nullptr) noexcept : alive_(alive) {
    content_.set(n);
    count(1);
  }
  message(const message& o) noexcept : alive_(o.alive_) {
    content_.set(o.content_.get());
    count(1);
  }
  message& operator=(const message&) = delete;
  ~message() {
    content_.set(-1);
    count(-1);
  }
  int read() const noexcept { return content_.get(); }

 private:
  void count(int by) const noexcept {
    if (alive_ != nullptr) *alive_ += by;
  }
  plain<int> content_{0};
  int* alive_;
};

struct tally {
  std::uint64_t received = 0, missed = 0;
  int last = -1;
  bool closed = false, stopped = false;
};

void account(model::world& w, const broadcast_result<message>& got, tally& t) {
  if (got) {
    w.check(got->read() > t.last, "in order, each once");
    t.last = got->read();
    ++t.received;
  } else if (got.error().why == broadcast_lack::lagged) {
    w.check(got.error().missed != 0, "missed nothing");
    w.outcome("lagged");
    t.missed += got.error().missed;
  } else {
    w.check(got.error().why == broadcast_lack::closed, "woken for nothing");
    t.closed = true;
  }
}

void receive(model::world& w, job_thread& me, broadcast_receiver<message>& from, tally& t) {
  auto op = from.recv();
  me.refill_budget(1);
  const after_start next = me.read(op.start(me.who()));
  if (next == after_start::waits) w.check(me.sleep() == &op, "woken from another operation");
  if (next == after_start::unwinds || op.was_stopped()) {
    w.outcome("stopped");
    t.stopped = true;
    return;
  }
  w.outcome(next == after_start::waits ? "waited" : "at once");
  account(w, op.await_resume(), t);
}

constexpr auto no_spurious = [](model::test& t) {
  model::spurious_max(0, "the sleep is not what is looked at")(t);
};

WEFT_MODEL_TEST(broadcast, message_wakes_who_waits, model::kills("news.advance.wakes_nobody"),
                model::reaches("waited", "at once"), no_spurious) {
  job_thread job;
  auto ends = broadcast<message>(2);
  tally t;
  model.thread("sender", [&] { model.check(ends.sender.send(message(1)) == 1, "one receiver"); });
  model.thread("receiver", [&] { receive(model, job, ends.receiver, t); });
  model.run();
  model.check(t.received == 1, "received");
}

WEFT_MODEL_TEST(broadcast, message_wakes_all_who_wait, model::kills("news.advance.wakes_nobody"),
                no_spurious) {
  job_thread a, b;
  auto ends = broadcast<message>(1);
  auto second = ends.receiver;
  tally t, u;
  model.thread("sender", [&] { model.check(ends.sender.send(message(1)) == 2, "two receivers"); });
  model.thread("receiver", [&] { receive(model, a, ends.receiver, t); });
  model.thread("other receiver", [&] { receive(model, b, second, u); });
  model.run();
  model.check(t.received == 1 && u.received == 1, "received by both");
}

WEFT_MODEL_TEST(broadcast, what_was_received_and_missed_is_what_was_sent,
                model::kills("broadcast.take.sees_no_lag", "news.drop_sender.wakes_nobody"),
                model::reaches("lagged", "waited", "at once"), no_spurious) {
  job_thread job;
  auto ends = std::make_optional(broadcast<message>(1));
  tally t;
  model.thread("sender", [&] {
    const auto to = std::move(ends->sender);
    for (int i = 0; i < 3; ++i) to.send(message(i));
  });  // and closed by its going
  model.thread("receiver", [&] {
    auto from = std::move(ends->receiver);
    while (!t.closed) receive(model, job, from, t);
  });
  model.run();
  model.check(t.received + t.missed == 3, "each message is counted once");
}

/// One sender has yet to wake who waits when that one has had everything, and waits again.
WEFT_MODEL_TEST(broadcast, nobody_is_woken_for_nothing, model::kills("news.wake.who_knows_it_too"),
                no_spurious) {
  job_thread job;
  auto ends = std::make_optional(broadcast<message>(2));
  auto second = std::make_optional(ends->sender);
  tally t;
  model.thread("sender", [&] {
    const auto to = std::move(ends->sender);
    to.send(message(1));
  });
  model.thread("other sender", [&] {
    second->send(message(1));
    second.reset();
  });
  model.thread("receiver", [&] {
    while (!t.closed) {
      t.last = -1;
      receive(model, job, ends->receiver, t);
    }
  });
  model.run();
  model.check(t.received == 2, "received");
}

WEFT_MODEL_TEST(broadcast, stopped_receive_has_received_nothing,
                model::kills("line.taken.stopped_too"), model::reaches("stopped"), no_spurious) {
  job_thread job;
  auto ends = broadcast<message>(2);
  tally t;
  model.thread("sender", [&] { ends.sender.send(message(1)); });
  model.thread("receiver", [&] { receive(model, job, ends.receiver, t); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.check(t.received + ends.receiver.size() == 1, "received, or still to come");
  model.check(t.stopped == (t.received == 0), "stopped, or received");
}

/// Receivers, their copies and the sender go in any order; what is left is destroyed once.
WEFT_MODEL_TEST(broadcast, last_handle_frees_it, model::kills("news.let_go.too_early"),
                no_spurious) {
  auto ends = std::make_optional(broadcast<message>(2));
  int alive = 0;
  model.thread("sender", [&] {
    const auto to = std::move(ends->sender);
    to.send(message(1, &alive));
  });
  model.thread("receivers", [&] {
    const auto from = std::move(ends->receiver);
    auto copy = from;
    static_cast<void>(copy.try_recv());
  });
  model.run();
  model.check(alive == 0, "the message outlived all ends");
}

WEFT_MODEL_TEST(broadcast, receiver_that_goes_leaves_the_others_theirs,
                model::kills("broadcast.leave.takes_the_others_too"), no_spurious) {
  auto ends = broadcast<message>(1);
  auto leaving = std::make_optional(ends.receiver);
  model.thread("sender", [&] {
    ends.sender.send(message(1));
    ends.sender.send(message(2));
  });
  model.thread("leaving", [&] { leaving.reset(); });
  model.thread("reader", [&] { static_cast<void>(ends.receiver.try_recv()); });
  model.run();
  model.check(ends.sender.receivers() == 1, "one is left");
  tally t;
  while (ends.receiver.size() != 0) account(model, ends.receiver.try_recv(), t);
}

}  // namespace
}  // namespace weft
