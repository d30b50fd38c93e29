// model-sources: weft/task/job.cpp
//
// The inbox of withdrawals with the real stop slot beside it: the owner of a driver, to whom the
// kernel answers at some moment, and a stopper. The operation ends exactly once, never while the
// inbox holds it, and nobody touches it after its job was woken.
#include "weft/io/withdrawals.hpp"

#include <utility>

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

struct setting;

class model_operation final : public io_operation {
 public:
  explicit model_operation(setting& s) noexcept : around(s) {}
  setting& around;
};

struct setting {
  home jobs;
  waiting_job owner{jobs};
  waiting_promise waiter{owner};
  model_operation op{*this};
  withdrawals asked;
  atomic<int> bell{0};
  plain<int> note{0};  // written by the stopper before it asks
  bool started = false;
  bool cancel_under_way = false;

  /// As take_withdrawals(). A cancel is handed over if the operation is not over.
  void look_into_inbox() noexcept {
    for (io_operation* o = asked.take(); o != nullptr;) {
      static_cast<void>(jobs.frame.get());
      static_cast<void>(note.get());
      io_operation* const after = o->link;
      cancel_under_way = !end_if_over(*o);
      o = after;
    }
  }
  bool end_if_over(io_operation& o) noexcept {
    switch (asked.look(o)) {
      case withdrawals::look_result::cancel_it:
        return false;
      case withdrawals::look_result::end_it:
        o.end(false);
        return true;
      case withdrawals::look_result::end_stopped:
        o.end(true);
        return true;
    }
    return false;
  }
  /// The operation, to which the kernel answers after so many looks at the inbox or when cancelled. What
  /// the cancel answers comes before that (and it is the last) or after it.
  void submit_and_complete(model::world& model, int looks, bool found = false) noexcept {
    withdrawals::prepare(op);
    started = owner.arm(op, waiter) == job::arm_result::armed;
    if (!started) return;
    for (int i = 0; i < looks && !cancel_under_way; ++i) look_into_inbox();
    const bool cancelled = cancel_under_way;
    if (cancelled && found) {
      static_cast<void>(jobs.frame.get());
      asked.answered(op);
      cancel_under_way = false;
    }
    switch (asked.finish(op, cancelled)) {
      case withdrawals::finish_result::end_it:
        model.check(!cancel_under_way, "it ends while a cancel names it");
        op.end(cancelled);
        return;
      case withdrawals::finish_result::wait_for_inbox:
        break;
    }
    if (std::exchange(cancel_under_way, false)) {  // as cancel_answered(): it found nothing
      model.check(end_if_over(op), "what is over and answered does not end");
      return;
    }
    while (bell.load(order::acquire) == 0) cpu_pause();  // the sleep in the ring
    look_into_inbox();
  }
  void check(model::world& model) {
    model.check(asked.empty(), "the inbox holds an operation that has ended");
    model.check(jobs.woken.load(order::relaxed) == (started ? 1 : 0),
                "it did not end exactly once");
    model.outcome(!started ? "not started" : op.was_stopped() ? "stopped" : "completed");
  }
};

}  // namespace

// The model's own: the real one asks the driver.
void io_operation::withdraw() noexcept {
  setting& s = static_cast<model_operation&>(*this).around;
  static_cast<void>(s.jobs.frame.get());
  s.note.set(1);
  if (s.asked.ask(*this) == withdrawals::ask_result::queued) s.bell.store(1, order::release);
}
const char* io_operation::what() const noexcept { return "model"; }

namespace {

WEFT_MODEL_TEST(withdrawals, end_once_and_never_in_the_inbox,
                model::kills("withdrawals.ask.always_pushes", "withdrawals.finish.ends_at_once",
                             "withdrawals.push.relaxed"),
                model::reaches("completed", "stopped", "not started")) {
  setting s;
  model.thread("owner", [&] { s.submit_and_complete(model, 2, true); });
  model.thread("stopper", [&] { s.owner.stop(); });
  model.run();
  s.check(model);
}

WEFT_MODEL_TEST(withdrawals, none_ends_before_its_cancel_is_answered,
                model::kills("withdrawals.look.sees_too_early"),
                model::reaches("completed", "stopped", "not started")) {
  setting s;
  model.thread("owner", [&] { s.submit_and_complete(model, 2); });
  model.thread("stopper", [&] { s.owner.stop(); });
  model.run();
  s.check(model);
}

WEFT_MODEL_TEST(withdrawals, completion_wins_when_the_inbox_is_looked_at_too_late,
                model::reaches("completed", "not started"), model::never("stopped")) {
  setting s;
  model.thread("owner", [&] { s.submit_and_complete(model, 0); });
  model.thread("stopper", [&] { s.owner.stop(); });
  model.run();
  s.check(model);
}

}  // namespace
}  // namespace weft::io
