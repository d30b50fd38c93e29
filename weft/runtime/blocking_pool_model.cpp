// model-sources: weft/runtime/blocking_pool.cpp weft/runtime/blocking_class.cpp weft/runtime/blocking.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp weft/base/result.cpp
//
// The threads of a blocking_pool under all schedules: they are started, sleep, time out while work comes, end
// and are joined; work is stopped in line, and before. Threads of the model that wait to be started stand for
// those of the system.
#include "weft/runtime/blocking_pool.hpp"

#include <memory>
#include <optional>

#include "weft/os/clock.hpp"
#include "weft/runtime/placement.hpp"
#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

/// A thread that the pool may start, once.
class toy_thread {
 public:
  void start(void (*entry)(void*), void* argument) noexcept {
    entry_ = entry;
    argument_ = argument;
    tell(started_);
  }
  void join() noexcept { wait_for(ended_); }
  /// Nobody starts it any more.
  void give_up() noexcept { tell(started_); }
  /// What the thread of the model does.
  void run() {
    wait_for(started_);
    if (entry_ == nullptr) return;
    entry_(argument_);
    tell(ended_);
  }
  bool was_started() const noexcept { return entry_ != nullptr; }

 private:
  static void tell(atomic<std::uint32_t>& word) noexcept {
    word.store(1, order::release);
    os::futex_wake(word, 1);
  }
  static void wait_for(atomic<std::uint32_t>& word) noexcept {
    while (word.load(order::acquire) == 0) static_cast<void>(os::futex_wait(word, 0, never_ns));
  }
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  atomic<std::uint32_t> started_{0};
  atomic<std::uint32_t> ended_{0};
};

/// Those of an execution.
class toy_threads {
 public:
  static constexpr unsigned most = 2;
  toy_threads() noexcept { now = this; }
  ~toy_threads() { now = nullptr; }
  static inline toy_threads* now = nullptr;
  toy_thread all[most];
  unsigned started = 0;  // under the pool's lock
};

detail::blocking_pool* pool_of_caller;  // set right before it is asked for
std::int64_t clock_ns;

}  // namespace

namespace os {
result<thread> thread::start(std::string_view, std::size_t, void (*entry)(void*),
                             void* argument) noexcept {
  toy_threads& threads = *toy_threads::now;
  if (threads.started == toy_threads::most) {
    return std::unexpected(std::make_error_code(std::errc::resource_unavailable_try_again));
  }
  thread made;
  made.handle_ = threads.started;
  made.joinable_ = true;
  threads.all[threads.started++].start(entry, argument);
  return made;
}
void thread::join() noexcept {
  toy_threads::now->all[handle_].join();
  joinable_ = false;
}
thread::thread(thread&& other) noexcept
    : handle_(other.handle_), joinable_(std::exchange(other.joinable_, false)) {}
thread& thread::operator=(thread&& other) noexcept {
  handle_ = other.handle_;
  joinable_ = std::exchange(other.joinable_, false);
  return *this;
}
thread::~thread() { WEFT_ASSERT(!joinable_, "a thread was not joined"); }
/// A look-out lasts one look.
std::int64_t monotonic_ns() noexcept { return clock_ns += 1'000'000; }
}  // namespace os

namespace detail {

void placement::settle_helper() const noexcept {}
blocking_pool& blocking_pool::of_caller() noexcept { return *pool_of_caller; }

namespace {

class toy_work final : public blocking_work {
 public:
  toy_work() noexcept : blocking_work(nullptr) {}
  void perform() noexcept override { ran.set(true); }
  void refuse(std::exception_ptr) noexcept override { refused = true; }
  plain<bool> ran{false};
  bool refused = false;
};

using model::job_thread;

/// As spawn_blocking() by `me`. True: it ran.
bool work_once(model::world& model, job_thread& me, blocking_pool& pool) {
  using after_start = job_thread::after_start;
  toy_work work;
  pool_of_caller = &pool;
  const after_start next = me.read(work.start(me.who()));
  model.check(next != after_start::goes_on, "it always waits");
  if (next == after_start::waits) model.check(me.sleep() == &work, "woken from another operation");
  const bool stopped = next == after_start::unwinds || work.was_stopped();
  model.check(stopped + work.ran.get() + work.refused == 1, "not one of stopped, refused and done");
  model.check(!stopped || me.stop_requested(), "nobody stopped it");
  model.outcome(stopped ? "stopped" : work.refused ? "refused" : "done");
  return work.ran.get();
}

/// The pool, its threads, and the end of it all, by the thread that has the last work.
class place {
 public:
  place(model::world& model, unsigned threads_max, bool may_spin, int users)
      : model_(model), left_(users) {
    pool.emplace("toy", threads_max, std::chrono::nanoseconds(1), nullptr, may_spin);
  }
  void start_threads() {
    for (toy_thread& t : threads_.all) model_.thread("the pool's", [&t] { t.run(); });
  }
  /// By each of those that use it.
  void leave() {
    if (left_.fetch_sub(1, order::acq_rel) != 1) return;
    pool.reset();
    model_.outcome(threads_.started > 1 ? "several threads" : "one thread");
    for (toy_thread& t : threads_.all) {
      if (!t.was_started()) t.give_up();
    }
  }

 private:
  toy_threads threads_;
  model::world& model_;
  atomic<int> left_;

 public:
  std::optional<blocking_pool> pool;
};

#define POOL_MODEL_LIMITS model::stale_max(0, "all is under one lock, which has a model of its own")

// One that works again and again: its thread may time out at any moment, also as the next work comes.
void works_twice(model::world& model, bool may_spin) {
  place here(model, 1, may_spin, 1);
  job_thread job;
  model.thread("works", [&] {
    for (int i = 0; i < 2; ++i) model.check(work_once(model, job, *here.pool), "it did not run");
    here.leave();
  });
  here.start_threads();
  model.run();
}
WEFT_MODEL_TEST(blocking_pool, work_that_comes_as_its_thread_ends_is_done,
                model::kills("blocking_pool.submit.starts_too_few",
                             "blocking_pool.submit.wakes_nobody", "blocking_pool.end.tells_nobody"),
                model::reaches("done", "one thread", "several threads"), model::never("refused"),
                POOL_MODEL_LIMITS) {
  works_twice(model, false);
}
WEFT_MODEL_TEST(blocking_pool, work_that_comes_as_its_thread_looks_out_is_done,
                model::reaches("done", "one thread", "several threads"), model::never("refused"),
                POOL_MODEL_LIMITS) {
  works_twice(model, true);
}

// Two at once, with room for one thread.
void two_work(model::world& model) {
  place here(model, 1, false, 2);
  job_thread jobs[2];
  for (job_thread& job : jobs) {
    model.thread("works", [&] {
      model.check(work_once(model, job, *here.pool), "it did not run");
      here.leave();
    });
  }
  here.start_threads();
  model.run();
}
WEFT_MODEL_TEST(blocking_pool, two_share_a_thread, model::kills("blocking_pool.end.tells_nobody"),
                model::reaches("done", "one thread"), model::never("refused"), POOL_MODEL_LIMITS) {
  two_work(model);
}
// Wherever the stop meets it, it is over once; and the pool can go.
WEFT_MODEL_TEST(blocking_pool, stopped_work_has_not_run,
                model::kills("blocking_pool.withdraw.stays_in_line"),
                model::reaches("done", "stopped"), model::never("refused"), POOL_MODEL_LIMITS) {
  place here(model, 1, false, 2);
  job_thread job;
  model.thread("works", [&] {
    static_cast<void>(work_once(model, job, *here.pool));
    here.leave();
  });
  model.thread("stops", [&] {
    job.stop();
    here.leave();
  });
  here.start_threads();
  model.run();
}

}  // namespace
}  // namespace detail
}  // namespace weft
