// model-sources: weft/task/job.cpp
//
// The readiness word with the real stop slot beside it: a submitter, the driver that is told of
// events, and a stopper. Whatever their order, the operation ends exactly once, a byte that the
// kernel has is either taken or still there, and nobody touches the operation after its job was
// woken.
#include "weft/io/source.hpp"

#include "weft/testing/model/model.hpp"

namespace weft::io {
namespace {

class waiting_job final : public job {
 public:
  explicit waiting_job(scheduler& home) noexcept : job(home, idle_kind) {}
};
class waiting_promise final : public promise_base {
 public:
  explicit waiting_promise(job& owner) noexcept { become_root(owner); }
};

/// Waking the job is the end of its frame: a write to it, which races with every later look at it.
class home final : public scheduler {
 public:
  void schedule(job&, wake_kind) noexcept override {
    frame.set(frame.get() + 1);
    woken.fetch_add(1, order::relaxed);
  }
  plain<int> frame{0};
  atomic<int> woken{0};
};

class model_operation final : public io_operation {
 public:
  explicit model_operation(home& h) noexcept : home_(h) {}
  void touch() noexcept { static_cast<void>(home_.frame.get()); }
  home& home_;
  readiness* word = nullptr;
};

}  // namespace

// The model's own: the real one asks the driver.
void io_operation::withdraw() noexcept {
  auto& op = static_cast<model_operation&>(*this);
  op.touch();
  if (op.word->withdraw(op) == readiness::withdraw_result::taken) end_stopped(op);
}
const char* io_operation::what() const noexcept { return "model"; }

namespace {

struct setting {
  home jobs;
  waiting_job owner{jobs};
  waiting_promise waiter{owner};
  model_operation op{jobs};
  readiness word;
  atomic<int> kernel{0};  // bytes in the socket
  plain<int> tries{0};    // what a try writes into the operation
  start_result started{};

  setting() { op.word = &word; }
  attempt try_once() noexcept {
    op.touch();
    tries.set(tries.get() + 1);
    int have = kernel.load(order::acquire);
    if (have == 0) return attempt::not_yet;
    kernel.store(have - 1, order::release);  // only the holder takes
    op.answer = 1;
    return attempt::done;
  }
  void submit() noexcept {
    started = start(
        word, op, waiter, [this](io_operation&) { return try_once(); },
        [](io_operation&) { return true; });
  }
  void byte_comes() noexcept {
    kernel.store(1, order::release);
    if (io_operation* ready = word.event()) {
      static_cast<void>(carry_on(word, *ready, [this](io_operation&) { return try_once(); }));
    }
  }
  void check(model::world& model) {
    const int woken = jobs.woken.load(order::relaxed);
    const bool in_socket = kernel.load(order::relaxed) == 1;
    switch (started) {
      case start_result::done:
        model.outcome("at once");
        model.check(woken == 0 && !in_socket,
                    "done at once, but woken, or the byte is still there");
        break;
      case start_result::stopped:
        model.outcome("not started");
        model.check(woken == 0 && in_socket, "not started, but woken, or the byte is gone");
        break;
      case start_result::pending:
        model.outcome(op.was_stopped() ? "stopped" : "completed");
        model.check(woken == 1, "the operation did not end exactly once");
        model.check(op.was_stopped() == in_socket, "the byte was lost, or is there twice");
        break;
      case start_result::held:
        model.check(false, "nobody asked for more");
        break;
    }
  }
};

WEFT_MODEL_TEST(source, readiness_is_not_lost,
                model::kills("source.put_back.relaxed", "source.put_back.ignores_event",
                             "source.event.forgets", "source.event.relaxed",
                             "source.reserve.ignores_event"),
                model::reaches("at once", "completed"), model::never("stopped", "not started")) {
  setting s;
  model.thread("submitter", [&] { s.submit(); });
  model.thread("driver", [&] { s.byte_comes(); });
  model.run();
  s.check(model);
}

WEFT_MODEL_TEST(source, a_stop_is_not_lost, model::kills("source.withdraw.forgets"),
                model::reaches("stopped", "not started")) {
  setting s;
  model.thread("submitter", [&] { s.submit(); });
  model.thread("stopper", [&] { s.owner.stop(); });
  model.run();
  s.kernel.store(1, order::relaxed);  // the byte that never came
  s.check(model);
}

WEFT_MODEL_TEST(source, completed_or_stopped_but_not_both,
                model::reaches("at once", "completed", "stopped", "not started")) {
  setting s;
  model.thread("submitter", [&] { s.submit(); });
  model.thread("driver", [&] { s.byte_comes(); });
  model.thread("stopper", [&] { s.owner.stop(); });
  model.run();
  s.check(model);
}

// Two processors are told of one descriptor's events, as after a handover; one of them is late.
WEFT_MODEL_TEST(source, an_event_that_means_nothing_does_no_harm,
                model::reaches("at once", "completed")) {
  setting s;
  model.thread("submitter", [&] { s.submit(); });
  model.thread("driver", [&] { s.byte_comes(); });
  model.thread("late driver", [&] {
    if (io_operation* ready = s.word.event()) {
      static_cast<void>(carry_on(s.word, *ready, [&](io_operation&) { return s.try_once(); }));
    }
  });
  model.run();
  s.check(model);
}

// A whole operation whose first try moves something and says `more`: the driver goes on with it from
// its backlog, comes to the point where it has to wait, and is told only of what is watched.
WEFT_MODEL_TEST(source, an_operation_that_has_more_to_move_is_watched_too,
                model::kills("source.start.more_unwatched"),
                model::reaches("in one go", "after an event")) {
  setting s;
  atomic<bool> watched{false};
  s.op.whole = true;
  s.kernel.store(1, order::relaxed);
  const auto take_two = [&](io_operation& op) {
    s.op.touch();
    const int have = s.kernel.load(order::acquire);
    if (have == 0) return attempt::not_yet;
    s.kernel.fetch_sub(1, order::acq_rel);
    if (++op.moved != 2) return attempt::more;
    op.answer = 2;
    return attempt::done;
  };
  bool by_event = false;
  const auto event_comes = [&] {
    if (!watched.load(order::seq_cst)) return;  // the kernel tells nobody
    if (io_operation* ready = s.word.event()) {
      by_event = true;
      static_cast<void>(carry_on(s.word, *ready, take_two));
    }
  };
  model.thread("submitter and its driver", [&] {
    s.started = start(s.word, s.op, s.waiter, take_two, [&](io_operation&) {
      watched.store(true, order::seq_cst);
      return true;
    });
    model.check(s.started == start_result::held, "the first try moved something and said more");
    static_cast<void>(carry_on(s.word, s.op, take_two));
  });
  model.thread("kernel", [&] {
    s.kernel.fetch_add(1, order::seq_cst);
    event_comes();
  });
  model.run();
  event_comes();  // what was there when the descriptor became watched is told, too
  model.check(s.jobs.woken.load(order::relaxed) == 1, "it waits for what nobody will tell it of");
  model.check(s.op.answer == 2 && s.op.moved == 2, "a byte was lost");
  model.outcome(by_event ? "after an event" : "in one go");
}

// A receive empties the socket and says so; the next one leaves its first try out. What came while the
// first was being ended must not be left behind.
WEFT_MODEL_TEST(source, what_came_while_a_receive_ended_is_found_by_the_next,
                model::kills("source.release.forgets"),
                model::reaches("by the first", "by the next")) {
  setting s;
  int got = 0;  // of whoever holds the operation
  const auto take_all = [&](io_operation& op) {
    const int have = s.kernel.exchange(0, order::acq_rel);
    if (have == 0) return attempt::not_yet;
    got += have;
    op.answer = have;
    return attempt::drained;
  };
  const auto byte_comes = [&] {
    s.kernel.fetch_add(1, order::acq_rel);
    if (io_operation* ready = s.word.event()) {
      static_cast<void>(carry_on(s.word, *ready, take_all));
    }
  };
  const auto watch = [](io_operation&) { return true; };
  s.started = start(s.word, s.op, s.waiter, take_all, watch);
  model.check(s.started == start_result::pending, "there was nothing to receive");
  model.thread("driver", byte_comes);
  model.thread("another processor's driver", byte_comes);
  model.run();
  model.check(s.jobs.woken.load(order::relaxed) == 1, "the first did not end exactly once");

  home next_jobs;  // the same job, now that it was resumed
  waiting_job next_owner{next_jobs};
  waiting_promise next_waiter{next_owner};
  model_operation next{next_jobs};
  next.word = &s.word;
  const bool something_left = s.kernel.load(order::relaxed) != 0;
  const start_result how = start(s.word, next, next_waiter, take_all, watch);
  model.check(got == 2, "a byte is there, and nobody will tell of it");
  model.outcome(something_left ? "by the next" : "by the first");
  if (how == start_result::pending) next_owner.stop();
}

}  // namespace
}  // namespace weft::io
