#include "weft/testing/cancel_everywhere.hpp"

#if WEFT_CENSUS

#include <cstdio>
#include <cstdlib>

#include "weft/runtime/time.hpp"
#include "weft/task/current.hpp"

namespace weft::testing::detail {

/// Something that happens once; a job waits for it.
class stop_point::moment final : public awaitable_operation<moment> {
 public:
  moment() noexcept {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    job& owner = *waiter.owner();
    if (owner.arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
    if (state_.exchange(1, order::acq_rel) == 2) finish(false);  // it has happened
    return std::noop_coroutine();
  }
  void happen() noexcept {
    if (state_.exchange(2, order::acq_rel) == 1) finish(false);
  }
  /// A stop makes it happen early: the harness's own jobs are stopped only when all is over.
  void withdraw() noexcept override { happen(); }
  const char* what() const noexcept override { return "stop point"; }
  void await_resume() const noexcept {}

 private:
  atomic<int> state_{0};  // 0 nothing, 1 somebody waits, 2 it has happened
};

void stop_point::about_to_wait(job& waiter) noexcept {
  if (&waiter == ours_[0] || &waiter == ours_[1]) return;
  // The thread in block_on, which may come to wait only when the scenario runs.
  if (current_job() == nullptr) return;
  if (seen_.fetch_add(1, order::acq_rel) + 1 != at_) return;
  if (when_ == stop_when::before) scenario_->stop();
  // The stopping job becomes ready now, and runs when the one that is about to wait has begun to.
  if (when_ == stop_when::suspended) moment_->happen();
}

task<> stop_point::stop_later(join_handle<void>& scenario, moment& when) {
  ours_[1] = current_job();
  co_await when;
  if (when_ == stop_when::suspended && seen() >= at_) scenario.stop();
}

task<bool> stop_point::run(std::function<join_handle<void>()> start) {
  ours_[0] = current_job();
  join_handle<void> scenario;
  moment when;
  moment_ = &when;
  auto stopper = spawn([this, &scenario, &when] { return stop_later(scenario, when); });
  co_await yield_now();  // the stopper is in place before anything counts
  install_await_hook(this);
  scenario = start();
  scenario_ = &scenario;
  auto ended = co_await scenario.outcome();
  install_await_hook(nullptr);
  when.happen();
  co_await stopper;
  if (ended.exception()) std::rethrow_exception(ended.exception());
  co_return ended.stopped();
}

void require_same_census(const census& before, const census& after, stop_when when, unsigned at) {
  if (before.frames == after.frames && before.jobs == after.jobs && before.fds == after.fds &&
      before.timers == after.timers && before.threads == after.threads) {
    return;
  }
  std::fprintf(stderr,
               "weft: something is left after %s %u: frames %+ld, jobs %+ld, descriptors %+ld, "
               "timers %+ld, threads %+ld\n",
               when == stop_when::never    ? "a run without a stop, await"
               : when == stop_when::before ? "a stop before await"
                                           : "a stop in await",
               at, after.frames - before.frames, after.jobs - before.jobs, after.fds - before.fds,
               after.timers - before.timers, after.threads - before.threads);
  std::abort();
}

}  // namespace weft::testing::detail

#endif
