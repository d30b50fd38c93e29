// model-sources: weft/sync/rate_limiter.cpp weft/timer/timer_set.cpp weft/timer/wheel.cpp
// model-sources: weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// The rate_limiter under all schedules: who leads the line, its timer, stops of it and of those behind.
// A line that nobody leads is a deadlock here. Time is a number that the waiting ones move.
#include "weft/sync/rate_limiter.hpp"

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

constexpr std::int64_t token_ns = ns_per_ms;

class clock {
 public:
  std::int64_t now_ns() const noexcept { return now_ns_.load(order::acquire); }
  void pass_until(std::int64_t moment_ns) noexcept {
    std::int64_t seen = now_ns();
    while (seen < moment_ns &&
           !now_ns_.compare_exchange(seen, moment_ns, order::acq_rel, order::acquire)) {
    }
  }

 private:
  atomic<std::int64_t> now_ns_{0};
};

/// A job on a worker of its own, which has a timer_set and looks at it when there is nothing to run.
class clocked_job final : public model::job_thread {
 public:
  explicit clocked_job(clock& of) noexcept : clock_(of) {}
  timer_set& timers() noexcept override { return timers_; }
  std::int64_t now_ns() noexcept override { return clock_.now_ns(); }

  operation* sleep_beside_timers() {
    for (;;) {
      const std::int64_t due_ns = timers_.next_deadline_ns();
      if (due_ns == never_ns) return sleep();
      clock_.pass_until(due_ns);
      timers_.advance(due_ns);
    }
  }

 private:
  clock& clock_;
  timer_set timers_;
};

/// As `co_await limiter.acquire(n)`, with its two operations one after the other. False: it was stopped.
bool acquire_by(clocked_job& me, rate_limiter::turn& turn, rate_limiter::clock_wait& waiting) {
  if (!model::await(me, turn)) return false;
  if (turn.served()) return true;
  switch (me.read(waiting.start(me.who()))) {
    case model::job_thread::after_start::goes_on:
      model::world().check(turn.served(), "it went on without its tokens");
      return true;
    case model::job_thread::after_start::unwinds:
      return false;
    case model::job_thread::after_start::waits:
      break;
  }
  model::world().check(me.sleep_beside_timers() == &waiting, "woken from another operation");
  if (waiting.was_stopped()) return false;
  model::world().check(turn.served(), "woken without its tokens");
  return true;
}

bool acquire(clocked_job& me, rate_limiter& limiter, std::size_t n = 1) {
  rate_limiter::turn turn(limiter, n);
  rate_limiter::clock_wait waiting(turn);
  return acquire_by(me, turn, waiting);
}

struct setting {
  explicit setting(std::size_t burst = 1) noexcept
      : limiter(1, burst, std::chrono::nanoseconds(token_ns)) {}
  /// In the body: all of its store is gone.
  void empty() {
    clocked_job first(time);
    rate_limiter::turn turn(limiter, limiter.burst());
    model::world().check(turn.try_now(first), "it begins full");
  }
  /// In the body: what is in store now.
  std::size_t left() {
    clocked_job last(time);
    exchange_current_job(&last);
    const std::size_t n = limiter.available();
    exchange_current_job(nullptr);
    return n;
  }
  clock time;
  rate_limiter limiter;
};

WEFT_MODEL_TEST(rate_limiter, each_gets_its_token_and_none_before_it_is_there,
                model::kills("rate_limiter.two_are_first", "rate_limiter.first.overtaken",
                             "rate_limiter.fired.names_nobody", "wait_list.lock.relaxed",
                             "wait_list.unlock.relaxed"),
                model::stale_max(1, "the words are under the list's hold"), SYNC_MODEL_LIMITS) {
  setting s;
  clocked_job jobs[3] = {clocked_job(s.time), clocked_job(s.time), clocked_job(s.time)};
  for (auto& job : jobs) {
    model.thread("acquirer", [&] { model.check(acquire(job, s.limiter), "nobody stops it"); });
  }
  model.run();
  model.check(s.time.now_ns() == 2 * token_ns, "two waited, one after the other, and no longer");
}

WEFT_MODEL_TEST(rate_limiter, stop_against_the_clock,
                model::kills("rate_limiter.stop.asks_nobody", "rate_limiter.early_stop.forgotten"),
                model::reaches("token", "stopped"), SYNC_MODEL_LIMITS) {
  setting s;
  s.empty();
  clocked_job job(s.time), later(s.time);
  bool had = false;
  model.thread("acquirer", [&] {
    had = acquire(job, s.limiter);
    model.outcome(had ? "token" : "stopped");
  });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.thread("later", [&] { model.check(acquire(later, s.limiter), "nobody stops it"); });
  model.wind_down();
  model.check(s.time.now_ns() == (had ? 2 : 1) * token_ns, "a stopped one has taken nothing");
}

WEFT_MODEL_TEST(rate_limiter, stopped_one_lets_who_stood_behind_it_lead,
                model::kills("rate_limiter.give_up.names_nobody", "wait_list.taken.still_waits"),
                model::reaches("token", "stopped"),
                model::stale_max(0, "the words are under the list's hold"), SYNC_MODEL_LIMITS) {
  setting s;
  s.empty();
  clocked_job jobs[2] = {clocked_job(s.time), clocked_job(s.time)};
  plain<int> had(0);
  model.thread("stopped", [&] {
    const bool in_time = acquire(jobs[0], s.limiter);
    had.set(in_time ? 1 : 0);
    model.outcome(in_time ? "token" : "stopped");
  });
  model.thread("acquirer", [&] { model.check(acquire(jobs[1], s.limiter), "nobody stops it"); });
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
  // Time may have passed beside a stop. What it brought is there, unless somebody had it.
  model.check(s.left() == static_cast<std::size_t>(s.time.now_ns() / token_ns - 1 - had.get()),
              "a stopped one has taken nothing");
}

WEFT_MODEL_TEST(rate_limiter, one_that_wants_many_holds_up_who_wants_few,
                model::kills("rate_limiter.first.overtaken", "rate_limiter.fired.names_nobody"),
                model::stale_max(0, "the words are under the list's hold"), SYNC_MODEL_LIMITS) {
  setting s(2);
  s.empty();
  clocked_job jobs[2] = {clocked_job(s.time), clocked_job(s.time)};
  model.thread("wants two", [&] { model.check(acquire(jobs[0], s.limiter, 2), "it is stopped"); });
  model.thread("wants one", [&] { model.check(acquire(jobs[1], s.limiter, 1), "it is stopped"); });
  model.run();
  model.check(s.time.now_ns() == 3 * token_ns, "three tokens take as long as three");
}

// A select that went elsewhere undoes what it was given, while others wait or come.
WEFT_MODEL_TEST(rate_limiter, what_is_not_wanted_is_there_for_others,
                model::kills("rate_limiter.undo.forgotten"),
                model::stale_max(0, "the words are under the list's hold"), SYNC_MODEL_LIMITS) {
  setting s(2);
  s.empty();
  clocked_job jobs[2] = {clocked_job(s.time), clocked_job(s.time)};
  model.thread("did not want it", [&] {
    rate_limiter::turn turn(s.limiter, 1);
    rate_limiter::clock_wait waiting(turn);
    model.check(acquire_by(jobs[0], turn, waiting), "nobody stops it");
    turn.undo();
  });
  model.thread("acquirer", [&] { model.check(acquire(jobs[1], s.limiter), "nobody stops it"); });
  model.run();
  model.check(s.left() == static_cast<std::size_t>(s.time.now_ns() / token_ns - 1),
              "all that came is there, but one");
}

}  // namespace
}  // namespace weft
