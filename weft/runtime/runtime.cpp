#include "weft/runtime/runtime.hpp"

#include <cstdio>

#include "weft/base/assert.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/futex.hpp"
#include "weft/runtime/core.hpp"
#include "weft/runtime/worker.hpp"

namespace weft {

namespace detail {
namespace {

/// A plain thread as a job: being made ready means being unparked.
class waiting_thread final : public scheduler, public job {
 public:
  waiting_thread() noexcept : job(*this, idle_kind) {}
  ~waiting_thread() = default;
  void schedule(job&, wake_kind) noexcept override {
    woken_.store(1, order::release);  // P1: what the ended job wrote
    os::futex_wake(woken_, 1);
  }
  void had_ended() noexcept {}
  void wait() noexcept {
    while (woken_.load(order::acquire) == 0) {  // P1
      static_cast<void>(os::futex_wait(woken_, 0, never_ns));
    }
  }

 private:
  atomic<std::uint32_t> woken_{0};
};

/// The same where the worker has no thread: being made ready means that it need drive no longer.
class driving_thread final : public scheduler, public job {
 public:
  explicit driving_thread(runtime_core& core) noexcept : job(*this, idle_kind), core_(core) {
    core_.drivers_seat().enlist(waits_);
  }
  ~driving_thread() = default;
  void schedule(job&, wake_kind) noexcept override { core_.drivers_seat().end(waits_); }
  void had_ended() noexcept {
    core_.drivers_seat().end(waits_);
    wait();  // it may have got the seat
  }
  void wait() noexcept { core_.drive(waits_, never_ns); }

 private:
  runtime_core& core_;
  seat::waiter waits_{seat::waiter::wish::end_of_a_job};
};

class thread_promise final : public promise_base {};

class thread_joiner final : public join_operation {
 public:
  using join_operation::join_operation;
};

}  // namespace

template <class Thread>
void wait_on(Thread& thread, root_job& awaited) noexcept {
  thread_promise promise;
  promise.become_root(thread);
  thread_joiner joiner(awaited.join);
  thread.refill_budget(1);
  if (joiner.start(promise) == promise.handle()) return thread.had_ended();
  thread.wait();
}

void thread_join::wait(runtime_core& home, root_job& awaited) noexcept {
  if (home.is_driven()) {
    driving_thread thread(home);
    return wait_on(thread, awaited);
  }
  waiting_thread thread;
  wait_on(thread, awaited);
}

scheduler& scheduler_of(runtime_core& core) noexcept {
  core.assert_not_forked();
  return core;
}

scheduler& current_scheduler() noexcept {
  job* const running = current_job();
  WEFT_ASSERT(running != nullptr,
              "weft::spawn was called outside of a job; use runtime::spawn on this thread");
  return running->home();
}

void assert_not_a_worker() noexcept {
  WEFT_ASSERT(current_worker() == nullptr,
              "block_on was called on a worker, which would wait for itself; co_await instead");
}

void assert_may_block_on(const runtime_core& core) noexcept {
  assert_not_a_worker();
  WEFT_ASSERT(!core.is_guest(),
              "block_on was called on a guest, which its host's loop drives; spawn() the job. "
              "Another thread than the loop's may wait for it by weft::block_on(rt.spawn(...))");
}

int report_exit(std::exception_ptr error) noexcept {
  try {
    std::rethrow_exception(std::move(error));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "weft: the main task ended by an exception: %s\n", e.what());
  } catch (...) {
    std::fputs("weft: the main task ended by an exception that is no std::exception\n", stderr);
  }
  return 1;
}

int report_exit(std::error_code error) noexcept {
  std::fprintf(stderr, "weft: the main task ended with an error: %s\n", error.message().c_str());
  return 1;
}

}  // namespace detail

runtime::runtime(runtime_options options) : runtime(options, detail::real_environment()) {}

runtime::runtime(runtime_options options, detail::environment& environment)
    : core_(std::make_unique<detail::runtime_core>(options, environment)) {}

runtime::~runtime() {
  core_->assert_not_forked();
  const detail::worker* const w = detail::current_worker();
  WEFT_ASSERT(
      w == nullptr || &w->core() != core_.get(),
      "a runtime was destroyed in one of its own jobs, and would wait for that one. (exit() "
      "destroys static objects: in a job of a runtime that is one, call std::quick_exit)");
  WEFT_ASSERT(
      !core_->blocking().runs_caller(),
      "a runtime was destroyed in work of its own spawn_blocking(), and would wait for that "
      "one; do it where the runtime was made, or let the main task end");
}

result<void> runtime::shutdown(std::chrono::nanoseconds grace) {
  core_->assert_not_forked();
  const detail::worker* const w = detail::current_worker();
  WEFT_ASSERT(
      w == nullptr || &w->core() != core_.get(),
      "a job ends the runtime that it runs on by shutdown(), and would wait for itself; let the "
      "main task end, or call it on another thread");
  WEFT_ASSERT(
      !core_->blocking().runs_caller(),
      "work of spawn_blocking() ends its own runtime by shutdown(), and would wait for itself; "
      "let the main task end, or call it on another thread");
  return core_->shutdown(grace.count());
}

metrics_snapshot runtime::metrics() const { return core_->metrics(); }

bool runtime::run_ready(unsigned turns_max) {
  core_->assert_not_forked();
  return core_->run_ready(turns_max);
}

int runtime::poll_handle() const {
  WEFT_ASSERT(core_->is_guest(), "poll_handle() is for scheduling::guest");
  return core_->poll_handle();
}

std::optional<std::chrono::steady_clock::time_point> runtime::next_deadline() const {
  WEFT_ASSERT(core_->is_guest(), "next_deadline() is for scheduling::guest");
  const std::int64_t ns = core_->next_deadline_ns();
  if (ns == never_ns) return std::nullopt;
  return std::chrono::steady_clock::time_point(std::chrono::nanoseconds(ns));
}

metrics_snapshot current_metrics() {
  detail::worker* const w = detail::current_worker();
  WEFT_ASSERT(w != nullptr,
              "current_metrics() was called outside of a job; use runtime::metrics()");
  return w->core().metrics();
}

namespace this_task {

std::uint64_t id() noexcept {
  const job* const running = current_job();
  return running != nullptr ? running->id() : 0;
}
const char* name() noexcept {
  const job* const running = current_job();
  return running != nullptr ? running->name() : "";
}
unsigned worker() noexcept {
  const detail::worker* const w = detail::current_worker();
  return w != nullptr ? w->index() : any_worker;
}
void set_name(const char* name) noexcept {
  if (job* const running = current_job()) running->set_name(name);
}
bool stop_requested() noexcept {
  const job* const running = current_job();
  return running != nullptr && running->stop_requested();
}

}  // namespace this_task
}  // namespace weft
