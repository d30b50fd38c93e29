// model-sources: weft/together/branch_group.cpp weft/task/fork.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp weft/task/failures.cpp weft/base/result.cpp
//
// What when_all and race end with, under all schedules: parts that end, fail or win at the same time,
// those that are stopped for it, and a stop of the job that waits. That each end is seen is fork_model's.
#include "weft/together/branch_group.hpp"

#include <new>

#include "weft/task/current.hpp"
#include "weft/together/together_model_support.hpp"

namespace weft {

// The model's own, so that no lists outlive an execution.
namespace detail {
void* allocate_frame_slowly(std::size_t bytes) { return ::operator new(bytes); }
void* allocate_frame_slowly_for(const job&, std::size_t bytes) { return ::operator new(bytes); }
void free_frame_slowly(void* frame, std::size_t) noexcept { ::operator delete(frame); }
}  // namespace detail

namespace {

using detail::branch_group;
using detail::branch_part;
using model::toy_wait;

constexpr int parts_max = 3;

/// The job that waits, at home where each of its parts has a thread of its own. The first part begins
/// in the place of the job; the thread runs what is left of it.
class forking_job final : public model::job_thread {
 public:
  void schedule(job& ready, wake_kind why) noexcept override {
    if (&ready == this) return job_thread::schedule(ready, why);
    seat& at = seat_of(ready);
    if (at.ready.exchange(1, order::release) != 0) {
      model::world().check(false, "a part was scheduled twice");
    }
    os::futex_wake(at.ready, 1);
  }
  void enlist(job& made) noexcept override { seats_[parts_++].part = &made; }
  bool retire(job& ended, bool (*hand_over)(job&) noexcept) noexcept override {
    seat_of(ended).ended.set(true);
    return hand_over(ended);
  }
  /// The thread of the i-th part that was made.
  void run_part(int i) {
    seat& mine = seats_[i];
    while (!mine.ended.get()) {
      while (mine.ready.load(order::acquire) == 0) {
        static_cast<void>(os::futex_wait(mine.ready, 0, never_ns));
      }
      mine.ready.store(0, order::relaxed);
      mine.part->run();
    }
  }

 private:
  struct seat {
    job* part = nullptr;
    atomic<std::uint32_t> ready{0};
    plain<bool> ended{false};  // by the thread that runs it
  };
  seat& seat_of(const job& part) noexcept {
    seat* at = seats_;
    while (at->part != &part) ++at;
    return *at;
  }
  seat seats_[parts_max];
  int parts_ = 0;
};

/// The coroutine that waits, and the boundary where a stop ends.
class toy_waiter final : private relay<toy_waiter>, private boundary_relay<toy_waiter> {
 public:
  explicit toy_waiter(model::job_thread& job) noexcept { this->promise().attach(job.who(), *this); }
  promise_base& who() noexcept { return this->promise(); }
  bool went_on() const noexcept { return resumed_ == 1 && !this->stopped(); }
  bool unwound() const noexcept { return resumed_ == 1 && this->stopped(); }

 private:
  friend relay<toy_waiter>;
  friend boundary_relay<toy_waiter>;
  std::coroutine_handle<> resumed() noexcept {
    ++resumed_;
    return std::noop_coroutine();
  }
  int resumed_ = 0;
};

class toy_group;

/// What a part awaits: nothing, or an end that somebody else brings. Then it may fail.
class toy_await final {
 public:
  enum class gives { value, failure };
  toy_await(toy_group& group, gives what, toy_wait* op = nullptr) noexcept
      : group_(group), what_(what), op_(op) {}
  bool await_ready() const noexcept { return op_ == nullptr; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    promise_base& who = waiter.promise();
    switch (op_->start(*who.owner(), who)) {
      case toy_wait::begun::waits:
        break;
      case toy_wait::begun::stopped:
        return unwind(who);
      case toy_wait::begun::over:
        return who.handle();
    }
    return std::noop_coroutine();
  }
  int await_resume() noexcept;
  plain<int> gave{0};

 private:
  toy_group& group_;
  const gives what_;
  toy_wait* const op_;
};

class toy_group final : public branch_group {
 public:
  using branch_group::kind;
  toy_group(kind k, forking_job& job) noexcept : branch_group(k), job_(job), waiter_(job) {}

  template <class... Part>
  void start(Part&... rest) {
    exchange_current_job(&job_);
    this->prepare(waiter_.who(), sizeof...(rest));
    jobs made;
    (this->add(rest, made), ...);
    begin(made, rest...);
  }
  /// Waits for the end of all.
  const toy_waiter& end() {
    after(*job_.sleep()).resume();
    return waiter_;
  }
  bool has_error() noexcept {
    try {
      this->check();
    } catch (int) {
      return true;
    }
    return false;
  }

 private:
  template <class First, class... Part>
  void begin(jobs& made, First& first, Part&...) {
    this->run(first, made).resume();
  }
  forking_job& job_;
  toy_waiter waiter_;
};

int toy_await::await_resume() noexcept {
  gave.set(1);
  if (what_ == gives::failure) group_.fail(std::make_exception_ptr(1));
  return 7;
}

using part = branch_part<toy_await&>;

#define BRANCH_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

WEFT_MODEL_TEST(branch_group, all_have_ended_when_it_goes_on, model::kills("fork.arrive.relaxed"),
                BRANCH_MODEL_LIMITS) {
  forking_job job;
  toy_group group(toy_group::kind::all, job);
  toy_wait op;
  toy_await a(group, toy_await::gives::value, &op), b(group, toy_await::gives::value);
  part first(a, group), second(b, group);
  group.start(first, second);
  model.thread("job", [&] {
    model.check(group.end().went_on(), "nobody stops it");
    model.check(a.gave.get() == 1 && b.gave.get() == 1, "it goes on before the last part");
    model.check(first.take() == 7 && second.take() == 7, "a result is not there");
  });
  model.thread("first part", [&] { job.run_part(1); });
  model.thread("second part", [&] { job.run_part(0); });
  model.thread("completer", [&] { op.complete(); });
  model.run();
}

WEFT_MODEL_TEST(branch_group, the_first_of_two_failures_stops_who_waits,
                model::kills("branch_group.fail.stops_nobody", "branch_group.end.unasked"),
                model::reaches("both failed", "one failed"), BRANCH_MODEL_LIMITS) {
  forking_job job;
  toy_group group(toy_group::kind::all, job);
  toy_wait never;
  toy_await a(group, toy_await::gives::value, &never), b(group, toy_await::gives::failure),
      c(group, toy_await::gives::failure);
  part first(a, group), second(b, group), third(c, group);
  group.start(first, second, third);
  model.thread("job", [&] {
    model.check(group.end().went_on(), "it failed, and nobody stopped it");
    model.check(group.has_error(), "the error is not there");
    model.check(a.gave.get() == 0, "what never ends has ended");
    const int failed = b.gave.get() + c.gave.get();
    model.check(failed != 0, "nobody failed");
    model.outcome(failed == 2 ? "both failed" : "one failed");
  });
  for (int i = 0; i < 3; ++i) model.thread("a part", [&, i] { job.run_part(i); });
  model.run();
}

WEFT_MODEL_TEST(branch_group, one_wins_a_race_and_stops_the_others,
                model::kills("branch_group.first.two", "branch_group.won.stops_nobody"),
                model::reaches("second", "third"), BRANCH_MODEL_LIMITS) {
  forking_job job;
  toy_group group(toy_group::kind::race, job);
  toy_wait never;
  toy_await a(group, toy_await::gives::value, &never), b(group, toy_await::gives::value),
      c(group, toy_await::gives::value);
  part first(a, group), second(b, group), third(c, group);
  group.start(first, second, third);
  model.thread("job", [&] {
    model.check(group.end().went_on(), "it was won, and nobody stopped it");
    model.check(!first.won() && second.won() != third.won(), "not one has won");
    model.check((second.won() ? second : third).take() == 7, "the winner's result is not there");
    model.outcome(second.won() ? "second" : "third");
  });
  for (int i = 0; i < 3; ++i) model.thread("a part", [&, i] { job.run_part(i); });
  model.run();
}

// A race that was won is never reported as stopped; one that was stopped was won by nobody.
WEFT_MODEL_TEST(branch_group, a_stop_meets_the_winner, model::kills("branch_group.end.unasked"),
                model::reaches("won", "stopped"), BRANCH_MODEL_LIMITS) {
  forking_job job;
  toy_group group(toy_group::kind::race, job);
  toy_wait never;
  toy_await a(group, toy_await::gives::value, &never), b(group, toy_await::gives::value);
  part first(a, group), second(b, group);
  group.start(first, second);
  model.thread("job", [&] {
    const toy_waiter& waiter = group.end();
    model.check(waiter.went_on() != waiter.unwound(), "it went on not once");
    model.check(waiter.went_on() == second.won() && !first.won(), "stopped, or won, and not both");
    model.check(waiter.went_on() || job.stop_requested(), "nobody stopped it");
    model.outcome(waiter.went_on() ? "won" : "stopped");
  });
  for (int i = 0; i < 2; ++i) model.thread("a part", [&, i] { job.run_part(i); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
}

WEFT_MODEL_TEST(branch_group, a_stop_meets_the_failure, model::reaches("failed", "stopped"),
                BRANCH_MODEL_LIMITS) {
  forking_job job;
  toy_group group(toy_group::kind::all, job);
  toy_wait never;
  toy_await a(group, toy_await::gives::value, &never), b(group, toy_await::gives::failure);
  part first(a, group), second(b, group);
  group.start(first, second);
  model.thread("job", [&] {
    const toy_waiter& waiter = group.end();
    model.check(waiter.went_on() != waiter.unwound(), "it went on not once");
    model.check(waiter.went_on() == group.failed(), "stopped, or failed, and not both");
    model.check(group.failed() == group.has_error(), "an error is missing");
    model.outcome(waiter.went_on() ? "failed" : "stopped");
  });
  for (int i = 0; i < 2; ++i) model.thread("a part", [&, i] { job.run_part(i); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
}

}  // namespace
}  // namespace weft
