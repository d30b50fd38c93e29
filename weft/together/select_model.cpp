// model-sources: weft/together/select_group.cpp weft/sync/semaphore.cpp weft/sync/notify.cpp weft/channel/line.cpp weft/task/wait_list.cpp weft/task/join.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// select under all schedules: one waker against another, wakers against the stop, two selects that meet,
// the beginning of its operands against a monitor that takes the processor.
// A lost wake is a deadlock here; what was taken and not given shows in the counts at the end.
#include "weft/together/select.hpp"

#include <optional>

#include "weft/channel/mpmc.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/sync_model_support.hpp"
#include "weft/task/fork.hpp"
#include "weft/task/join.hpp"
#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

using model::job_thread;

#define SELECT_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

/// As `co_await selects`, in the name of `me`. False: it was stopped. `port`: of the worker that its
/// thread is; when the job goes on after a wait it does so on an owner.
template <class Select>
bool await(job_thread& me, Select& selects, detail::fork_port* port = nullptr) {
  const auto begin_turn = [&] {
    me.refill_budget(255);
    exchange_current_job(&me);
    detail::this_thread_state().port = port;
  };
  begin_turn();
  bool ended = !detail::sees_stop(me) && selects.await_ready();
  if (ended) return true;
  auto next = me.read(selects.start(me.who()));
  while (next == job_thread::after_start::waits) {
    static_cast<void>(me.sleep());
    if (port != nullptr) port->pin.become_owner();
    begin_turn();
    next = me.read(selects.resumed());
  }
  return next == job_thread::after_start::goes_on;
}

WEFT_MODEL_TEST(select, two_wakers_and_one_is_taken,
                model::kills("claim.taken.twice", "wait_list.claim.unasked",
                             "wait_list.dropped.forgotten", "select.decide.relaxed"),
                model::reaches("first", "second"),
                model::stale_max(1, "what is stale is the lock's, which other models cover"),
                SELECT_MODEL_LIMITS) {
  job_thread job;
  semaphore a(0), b(0);
  plain<int> written_a(0), written_b(0);
  model.thread("selects", [&] {
    auto first = a.acquire();
    auto second = b.acquire();
    auto w = select_biased(first, second);
    model.check(await(job, w), "nobody stops it");
    const bool won = w.await_resume().index() == 0;
    model.outcome(won ? "first" : "second");
    model.check((won ? written_a : written_b).get() == 1,
                "the permit came, what was written before it did not");
  });
  model.thread("releases a", [&] {
    written_a.set(1);
    a.release();
  });
  model.thread("releases b", [&] {
    written_b.set(1);
    b.release();
  });
  model.run();
  model.check(a.available() + b.available() == 1, "one permit is taken, the other one is there");
}

WEFT_MODEL_TEST(select, waker_against_stop,
                model::kills("claim.taken.twice", "select.stop.unasked"),
                model::reaches("permit", "stopped"), SELECT_MODEL_LIMITS) {
  job_thread job;
  semaphore a(0), b(0);
  plain<int> taken(0);
  model.thread("selects", [&] {
    auto first = a.acquire();
    auto second = b.acquire();
    auto w = select_biased(first, second);
    if (!await(job, w)) return model.outcome("stopped");
    model.check(w.await_resume().index() == 1, "the other one is never released");
    taken.set(1);
    model.outcome("permit");
  });
  model.thread("releases", [&] { b.release(); });
  model.thread("stops", [&] { job.stop(); });
  model.run();
  model.check(a.available() == 0 && static_cast<int>(b.available()) + taken.get() == 1,
              "the permit is somewhere, once");
}

WEFT_MODEL_TEST(select, message_is_handed_over_or_stays,
                model::kills("claim.taken.twice", "line.claim.unasked", "line.dropped.forgotten"),
                model::reaches("message", "permit"), SELECT_MODEL_LIMITS) {
  job_thread job;
  semaphore a(0);
  auto ends = std::make_optional(channel<int>(1));
  plain<int> received(0);
  plain<int> permit(0);
  model.thread("selects", [&] {
    auto first = ends->receiver.recv();
    auto second = a.acquire();
    auto w = select_biased(first, second);
    model.check(await(job, w), "nobody stops it");
    auto given = w.await_resume();
    const bool message = given.index() == 0;
    model.outcome(message ? "message" : "permit");
    if (message) model.check(std::get<0>(given) == 7, "the message itself");
    (message ? received : permit).set(1);
  });
  model.thread("sends", [&] {
    model.check(ends->sender.try_send(7).has_value(), "there is room, or who takes it");
  });
  model.thread("releases", [&] { a.release(); });
  model.run();
  model.check(static_cast<int>(ends->receiver.size()) + received.get() == 1, "it is there, once");
  model.check(static_cast<int>(a.available()) + permit.get() == 1, "so is the permit");
}

WEFT_MODEL_TEST(select, who_stands_behind_is_notified, model::kills("wait_list.claim.unasked"),
                model::reaches("selected", "behind"), model::stale_max(1, "other models cover it"),
                SELECT_MODEL_LIMITS) {
  job_thread selecting, plain_one;
  notify n;
  semaphore a(0);
  plain<int> used(0);
  model.thread("selects", [&] {
    auto first = a.acquire();
    auto second = n.wait();
    auto w = select_biased(first, second);
    model.check(await(selecting, w), "nobody stops it");
    const bool notified = w.await_resume().index() == 1;
    model.outcome(notified ? "selected" : "behind");
    if (notified) n.notify_one();  // for the other one
  });
  model.thread("waits", [&] { model.check(model::await(plain_one, n.wait()), "nobody stops it"); });
  model.thread("wakes", [&] {
    a.release();
    n.notify_one();
  });
  model.run();
}

class joiner final : public awaitable_operation<joiner, join_operation> {
 public:
  explicit joiner(join_state& of) noexcept : awaitable_operation<joiner, join_operation>(of) {}
  void await_resume() const noexcept {}
};

WEFT_MODEL_TEST(select, loser_that_ends_by_itself_is_awaited,
                model::kills("select.drain.unawaited", "select.arrive.relaxed",
                             "select.drain.relaxed"),
                model::reaches("joined", "permit", "stopped"),
                model::stale_max(1, "other models cover it"), SELECT_MODEL_LIMITS) {
  job_thread job;
  join_state ends;
  semaphore a(0);
  plain<int> taken(0);
  model.thread("selects", [&] {
    {
      joiner first(ends);
      auto second = a.acquire();
      auto w = select_biased(first, second);
      if (!await(job, w)) return model.outcome("stopped");
      taken.set(static_cast<int>(w.await_resume().index()));
    }
    model.outcome(taken.get() == 1 ? "permit" : "joined");
  });
  model.thread("ends", [&] {
    model.check(ends.finish() == join_state::finish_result::kept, "nobody has dropped it");
  });
  model.thread("releases", [&] { a.release(); });
  model.thread("stops", [&] { job.stop(); });
  model.run();
  model.check(static_cast<int>(a.available()) + taken.get() == 1, "the permit is somewhere, once");
}

WEFT_MODEL_TEST(select, two_selects_meet, model::reaches("x", "y"),
                model::stale_max(1, "other models cover it"), SELECT_MODEL_LIMITS) {
  job_thread left, right;
  auto x = std::make_optional(channel<int>(0));
  auto y = std::make_optional(channel<int>(0));
  plain<int> sent(-1), received(-2);
  model.thread("sends", [&] {
    auto first = x->sender.send(0);
    auto second = y->sender.send(1);
    auto w = select_biased(first, second);
    model.check(await(left, w), "nobody stops it");
    sent.set(static_cast<int>(w.await_resume().index()));
  });
  model.thread("receives", [&] {
    auto first = y->receiver.recv();
    auto second = x->receiver.recv();
    auto w = select_biased(first, second);
    model.check(await(right, w), "nobody stops it");
    auto given = w.await_resume();
    model.outcome(given.index() == 0 ? "y" : "x");
    received.set(given.index() == 0 ? *std::get<0>(given) : *std::get<1>(given));
  });
  model.run();
  model.check(sent.get() == received.get(), "what one sent the other one has");
}

/// What only the owner of a processor may begin, as I/O. It waits until it is withdrawn, or is done at
/// once.
class owners_only final : public awaitable_operation<owners_only> {
 public:
  enum class ends : bool { never, at_once };
  owners_only(model::world& model, detail::fork_port& port, ends when) noexcept
      : model_(model), port_(port), when_(when) {}
  std::coroutine_handle<> start(promise_base& who) noexcept {
    const bool was_pinned = port_.pin.is_pinned();
    const bool owned = port_.pin.pin() == pin_state::pin_result::owned;
    model_.check(owned, "it would give way in the name of a branch, which never runs");
    if (!was_pinned) port_.pin.unpin();
    if (when_ == ends::at_once) return ready_at_once(*this, who);
    static_cast<void>(who.owner()->arm(*this, who));
    return std::noop_coroutine();
  }
  void withdraw() noexcept override { finish(true); }
  const char* what() const noexcept override { return "owners only"; }
  void await_resume() const noexcept {}

 private:
  model::world& model_;
  detail::fork_port& port_;
  const ends when_;
};

WEFT_MODEL_TEST(select, what_needs_the_processor_begins_with_it,
                model::kills("select.begin.unpinned", "select.begin.lost"),
                model::reaches("taken", "refused"), SELECT_MODEL_LIMITS) {
  job_thread job;
  detail::fork_port port(true);
  port.pin.unpin();  // the job runs user code
  model.thread("selects", [&] {
    owners_only first(model, port, owners_only::ends::never);
    owners_only second(model, port, owners_only::ends::at_once);
    auto w = select_biased(first, second);
    model.check(await(job, w, &port), "nobody stops it");
    model.check(w.await_resume().index() == 1, "the first one never ends");
    detail::this_thread_state().port = nullptr;
  });
  model.thread("monitor", [&] {
    if (port.pin.try_claim([] { os::heavy_fence(); }) == pin_state::claim_result::taken) {
      model.outcome("taken");
    } else {
      model.outcome("refused");
    }
  });
  model.run();
}

}  // namespace
}  // namespace weft
