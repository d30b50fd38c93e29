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
  void wait() noexcept {
    while (woken_.load(order::acquire) == 0) {  // P1
      static_cast<void>(os::futex_wait(woken_, 0, never_ns));
    }
  }

 private:
  atomic<std::uint32_t> woken_{0};
};

class thread_promise final : public promise_base {};

class thread_joiner final : public join_operation {
 public:
  using join_operation::join_operation;
};

}  // namespace

void thread_join::wait(root_job& awaited) noexcept {
  waiting_thread thread;
  thread_promise promise;
  promise.become_root(thread);
  thread_joiner joiner(awaited.join);
  thread.refill_budget(1);
  if (joiner.start(promise) == promise.handle()) return;  // it had ended
  thread.wait();
}

scheduler& scheduler_of(runtime_core& core) noexcept { return core; }

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

runtime::~runtime() = default;

result<void> runtime::shutdown(std::chrono::nanoseconds grace) {
  return core_->shutdown(grace.count());
}

metrics_snapshot runtime::metrics() const { return core_->metrics(); }

metrics_snapshot current_metrics() {
  detail::worker* const w = detail::current_worker();
  WEFT_ASSERT(w != nullptr, "current_metrics() was called outside of a job; use runtime::metrics()");
  return w->core().metrics();
}

namespace this_task {

std::uint64_t id() noexcept {
  const job* const running = current_job();
  return running != nullptr ? running->id : 0;
}
const char* name() noexcept {
  const job* const running = current_job();
  return running != nullptr ? running->name : "";
}
unsigned worker() noexcept {
  const detail::worker* const w = detail::current_worker();
  return w != nullptr ? w->index() : any_worker;
}
void set_name(const char* name) noexcept {
  if (job* const running = current_job()) running->name = name;
}
bool stop_requested() noexcept {
  const job* const running = current_job();
  return running != nullptr && running->stop_requested();
}

}  // namespace this_task
}  // namespace weft
