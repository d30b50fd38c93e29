// model-sources: weft/task/fork.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp weft/task/failures.cpp weft/base/result.cpp
//
// The meeting of a forking job and those who took its branches, under all schedules: the ends of the
// branches, the wait for them, a stop of the forking job, a stop that comes before a branch began.
// Taking a branch from the deque, or back, is the model of the work deque.
#include "weft/task/fork.hpp"

#include <new>

#include "weft/task/task_model_support.hpp"

namespace weft {

// The model's own, so that no lists outlive an execution.
namespace detail {
void* allocate_frame_slowly(std::size_t bytes) { return ::operator new(bytes); }
void* allocate_frame_slowly_for(const job&, std::size_t bytes) { return ::operator new(bytes); }
void free_frame_slowly(void* frame, std::size_t) noexcept { ::operator delete(frame); }
}  // namespace detail

namespace {

using detail::fork_branch;
using detail::fork_group;
using detail::fork_wait;
using detail::forked_job;

class toy_home final : public scheduler {
 public:
  void schedule(job&, wake_kind) noexcept override {}
};

class toy_group final : public fork_group {
 public:
  fork_wait& make_wait(unsigned count, const job& forking) {
    wait_ = fork_wait::make(*this, count, forking);
    return *wait_;
  }
};

struct toy_branch final : fork_branch {
  toy_branch(toy_group& g, const job& by) noexcept : fork_branch(&make), group(g), forking(by) {}
  /// What whoever took it does, in one go.
  void run(toy_home& home);

  toy_group& group;
  const job& forking;
  plain<int> result{0};

 private:
  static forked_job& make(fork_branch& branch, scheduler& home);
};

class toy_forked final : public forked_job {
 public:
  toy_forked(scheduler& home, toy_branch& b) noexcept
      : forked_job(home, idle_kind, b, sizeof(toy_forked), b.forking, where::anywhere), branch(b) {}
  using forked_job::begin;
  using forked_job::end;
  toy_branch& branch;
};

forked_job& toy_branch::make(fork_branch& branch, scheduler& home) {
  return *::new (::operator new(sizeof(toy_forked)))
      toy_forked(home, static_cast<toy_branch&>(branch));
}

void toy_branch::run(toy_home& home) {
  auto& mine = static_cast<toy_forked&>(make_job(home));
  if (!mine.begin()) {
    mine.end(group, true, nullptr);
    return;
  }
  const bool asked = mine.stop_requested();  // as at an await
  if (!asked) result.set(7);
  mine.end(group, asked, nullptr);
}

/// The forking job: waits for `count` branches, sees what they left, and frees all of it.
void join(model::world& model, model::job_thread& me, toy_group& group, toy_branch* branches,
          unsigned count) {
  fork_wait& wait = group.make_wait(count, me);
  for (unsigned i = 0; i < count; ++i) wait.add(branches[i]);
  if (wait.start(me.who(), me.who().handle()) == fork_wait::start_result::suspended) {
    model.check(me.sleep() == &wait, "woken from another operation");
    model.outcome("waited");
  } else {
    model.outcome("ended before");
  }
  const bool some_stopped = wait.collect();
  unsigned results = 0;
  for (unsigned i = 0; i < count; ++i) results += branches[i].result.get() == 7;
  model.check(some_stopped == (results != count),
              "a branch neither ran to its end nor was stopped");
  if (some_stopped) model.outcome("a branch was stopped");
  wait.free();
}

WEFT_MODEL_TEST(fork, all_branches_have_ended_when_the_wait_ends,
                model::kills("fork.arrive.relaxed", "fork.wait.relaxed"),
                model::reaches("waited", "ended before"), model::never("a branch was stopped")) {
  toy_home home;
  toy_group group;
  model::job_thread forking;
  toy_branch branches[2] = {toy_branch(group, forking), toy_branch(group, forking)};
  model.thread("forking job", [&] { join(model, forking, group, branches, 2); });
  model.thread("thief", [&] { branches[1].run(home); });
  model.thread("other thief", [&] { branches[0].run(home); });
  model.run();
}

WEFT_MODEL_TEST(fork, a_stop_goes_on_to_the_branch_and_its_end_is_awaited,
                model::kills("fork.begin.relaxed", "fork.stop.relaxed"),
                model::reaches("waited", "ended before", "a branch was stopped")) {
  toy_home home;
  toy_group group;
  model::job_thread forking;
  toy_branch branches[1] = {toy_branch(group, forking)};
  model.thread("forking job", [&] { join(model, forking, group, branches, 1); });
  model.thread("thief", [&] { branches[0].run(home); });
  model.thread("stopper", [&] { forking.stop(); });
  model.run();
}

}  // namespace
}  // namespace weft
