// model-sources: weft/runtime/blocking_class.cpp weft/runtime/blocking.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp weft/base/result.cpp
//
// The places of a blocking_class under all schedules: work that comes, ends, is refused by its pool, and is
// stopped before it was seen, in line, between the class and the pool, and in the pool's line. The pool
// is a toy, whose threads are those of the jobs; what the real one does with a work is the same.
#include "weft/runtime/blocking_class.hpp"

#include <optional>
#include <utility>

#include "weft/runtime/blocking_pool.hpp"
#include "weft/task/task_model_support.hpp"

namespace weft {

// Of the pool that nobody makes here.
namespace os {
thread::~thread() = default;
}  // namespace os

namespace detail {
namespace {

class toy_pool final : public blocking_pool {
 public:
  toy_pool() : blocking_pool("toy", 1, {}) {}

  /// The next work is refused: no thread could be started.
  bool refuses_one = false;

  result<accepted> take(blocking_work& work) noexcept {
    const spin_guard guard(lock_);
    if (work.phase == blocking_work::state::withdrawn) return accepted::withdrawn;
    if (std::exchange(refuses_one, false)) {
      return std::unexpected(std::make_error_code(std::errc::resource_unavailable_try_again));
    }
    line_up(work);
    return accepted::queued;
  }
  bool give_back(blocking_work& work) noexcept {
    const spin_guard guard(lock_);
    if (work.phase == blocking_work::state::unseen) {
      work.phase = blocking_work::state::withdrawn;
      return false;
    }
    if (work.phase != blocking_work::state::waiting) return false;
    work.phase = blocking_work::state::withdrawn;
    static_cast<list_hook<blocking_tag>&>(work).unlink();
    return true;
  }
  /// The calling thread is one of the pool's, until `job` is ready.
  void serve(const model::job_thread& job) {
    for (;;) {
      const std::uint32_t seen = news_.load(order::acquire);
      if (job.scheduled()) return;
      if (blocking_work* const work = next()) {
        run(*work);
      } else {
        static_cast<void>(os::futex_wait(news_, seen, never_ns));
      }
    }
  }
  void wake_all() noexcept {
    news_.fetch_add(1, order::release);
    os::futex_wake(news_, model_threads);
  }

 private:
  static constexpr int model_threads = 8;

  void line_up(blocking_work& work) noexcept {
    work.phase = blocking_work::state::waiting;
    line_.push_back(work);
    wake_all();
  }
  blocking_work* next() noexcept {
    const spin_guard guard(lock_);
    if (line_.empty()) return nullptr;
    blocking_work& work = line_.pop_front();
    work.phase = blocking_work::state::running;
    return &work;
  }
  /// As blocking_pool::serve() and follow().
  void run(blocking_work& work) {
    work.perform();
    const bool late = model::world().mutant("blocking_model.ends_before_it_leaves");
    if (late) work.end(false);
    if (blocking_work* const next = work.leave_class()) {
      lock_.lock();
      const bool mine = next->pool() == this && next->phase == blocking_work::state::unseen;
      if (mine) line_up(*next);
      lock_.unlock();
      if (!mine) next->go_in();
    }
    if (late) return;
    const spin_guard guard(lock_);
    work.end(false);
  }

  spin_lock lock_;
  intrusive_list<blocking_work, blocking_tag> line_;  // under lock_, as each work's phase
  atomic<std::uint32_t> news_{0};
};

toy_pool* pool_of_caller;  // set right before it is asked for

}  // namespace

blocking_pool::blocking_pool(std::string, unsigned, std::chrono::nanoseconds, const placement*,
                             bool)
    : threads_max_(1), keep_alive_(0), places_(nullptr), may_spin_(false) {}
blocking_pool::~blocking_pool() = default;
blocking_pool& blocking_pool::of_caller() noexcept { return *pool_of_caller; }
result<blocking_pool::accepted> blocking_pool::submit(blocking_work& work, bool) noexcept {
  return static_cast<toy_pool&>(*this).take(work);
}
bool blocking_pool::withdraw(blocking_work& work) noexcept {
  return static_cast<toy_pool&>(*this).give_back(work);
}

namespace {

/// A job whose thread is one of its pool's while it waits.
class serving_job final : public model::job_thread {
 public:
  explicit serving_job(toy_pool& pool) noexcept : pool_(pool) {}
  void schedule(job& ready, wake_kind why) noexcept override {
    toy_pool& pool = pool_;
    job_thread::schedule(ready, why);
    pool.wake_all();  // both outlive all threads
  }
  toy_pool& pool() const noexcept { return pool_; }

 private:
  toy_pool& pool_;
};

class toy_work final : public blocking_work {
 public:
  toy_work(blocking_class& of, plain<int>& inside) noexcept : blocking_work(&of), inside_(inside) {}
  void perform() noexcept override {
    inside_.set(inside_.get() + 1);  // a race, if another one is in there
    ran = true;
  }
  void refuse(std::exception_ptr) noexcept override { refused = true; }
  bool ran = false;
  bool refused = false;

 private:
  plain<int>& inside_;
};

/// As spawn_blocking(kind, ...) by `me`. True: it ran.
bool work_once(model::world& model, serving_job& me, blocking_class& kind, plain<int>& inside) {
  using after_start = model::job_thread::after_start;
  toy_work work(kind, inside);
  pool_of_caller = &me.pool();
  const after_start next = me.read(work.start(me.who()));
  model.check(next != after_start::goes_on, "it always waits");
  if (next == after_start::waits) {
    me.pool().serve(me);
    model.check(me.sleep() == &work, "woken from another operation");
  }
  const bool stopped = next == after_start::unwinds || work.was_stopped();
  model.check(stopped + work.ran + work.refused == 1, "not one of stopped, refused and done");
  model.check(!stopped || me.stop_requested(), "nobody stopped it");
  model.outcome(next == after_start::unwinds ? "stopped before"
                : stopped                    ? "stopped"
                : work.refused               ? "refused"
                                             : "done");
  return work.ran;
}

#define BLOCKING_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

WEFT_MODEL_TEST(blocking_class, one_at_a_time_and_all_come_in,
                model::kills("blocking_class.enter.over_limit",
                             "blocking_class.leave.hands_nothing_over"),
                model::reaches("done"), model::never("stopped", "refused", "stopped before"),
                BLOCKING_MODEL_LIMITS) {
  toy_pool pool;
  serving_job a(pool), b(pool);
  blocking_class kind({.at_most = 1});
  plain<int> inside(0);
  model.thread("a", [&] { work_once(model, a, kind, inside); });
  model.thread("b", [&] { work_once(model, b, kind, inside); });
  model.run();
  model.check(inside.get() == 2 && kind.running() == 0, "not both ran, or a place is lost");
}

// Two runtimes: the place goes to work of the other one's.
WEFT_MODEL_TEST(blocking_class, place_goes_over_to_another_runtime,
                model::kills("blocking_class.enter.over_limit",
                             "blocking_class.leave.hands_nothing_over"),
                model::reaches("done"), model::never("stopped", "refused", "stopped before"),
                BLOCKING_MODEL_LIMITS) {
  toy_pool here, there;
  serving_job a(here), b(there);
  blocking_class kind({.at_most = 1});
  plain<int> inside(0);
  model.thread("a", [&] { work_once(model, a, kind, inside); });
  model.thread("b", [&] { work_once(model, b, kind, inside); });
  model.run();
  model.check(inside.get() == 2 && kind.running() == 0, "not both ran, or a place is lost");
}

// Wherever the stop meets it, the other one comes in. The class goes with the last of them.
WEFT_MODEL_TEST(blocking_class, place_of_a_stopped_one_goes_to_the_next,
                model::kills("blocking.not_taken.keeps_place", "blocking.withdraw.keeps_place",
                             "blocking.withdraw.forgets_next",
                             "blocking_class.withdraw.stays_in_line"),
                model::reaches("stopped before", "stopped", "done"), model::never("refused"),
                BLOCKING_MODEL_LIMITS) {
  toy_pool here, there;
  serving_job a(here), b(there);
  std::optional<blocking_class> kind(std::in_place, blocking_class_options{.at_most = 1});
  plain<int> inside(0);
  int ran = 0;
  atomic<int> left(2);
  const auto work = [&](serving_job& job) {
    ran += work_once(model, job, *kind, inside);
    if (left.fetch_sub(1, order::acq_rel) == 1) kind.reset();
  };
  model.thread("a", [&] { work(a); });
  model.thread("b", [&] { work(b); });
  model.thread("stops a", [&] { a.stop(); });
  model.run();
  model.check(inside.get() == ran && ran >= 1, "one that nobody stopped did not run");
}

// I3: who is told that its work has ended may let the class go.
WEFT_MODEL_TEST(blocking_class, it_may_go_when_its_work_has_ended,
                model::kills("blocking_model.ends_before_it_leaves"),
                model::reaches("stopped before", "stopped", "done"),
                model::stale_max(1, "all is under two locks"), BLOCKING_MODEL_LIMITS) {
  toy_pool pool;
  serving_job job(pool), nobody(pool);
  std::optional<blocking_class> kind(std::in_place, blocking_class_options{.at_most = 1});
  plain<int> inside(0);
  model.thread("works", [&] {
    work_once(model, job, *kind, inside);
    kind.reset();
    nobody.schedule(nobody, wake_kind::woken);
  });
  model.thread("the pool's", [&] { pool.serve(nobody); });
  model.thread("stops", [&] { job.stop(); });
  model.run();
}

// It waits in line for a place that never comes: only the stop can end it.
WEFT_MODEL_TEST(blocking_class, a_stop_is_not_lost,
                model::kills("blocking_class.withdraw.unnoted", "blocking_class.enter.unasked"),
                model::reaches("stopped before", "stopped"), BLOCKING_MODEL_LIMITS) {
  toy_pool pool, other;
  serving_job holder(other), job(pool);
  blocking_class kind({.at_most = 1});
  plain<int> inside(0);
  toy_work holds(kind, inside);
  pool_of_caller = &other;
  static_cast<void>(holds.start(holder.who()));
  model.thread("waits", [&] {
    model.check(!work_once(model, job, kind, inside), "it ran beside another one");
  });
  model.thread("stops", [&] { job.stop(); });
  model.run();
  model.check(kind.waiting() == 0 && kind.running() == 1, "it is in line still");
  model.thread("other runtime", [&] { other.serve(holder); });
  model.wind_down();
  model.check(inside.get() == 1 && kind.running() == 0, "the place is lost");
}

WEFT_MODEL_TEST(blocking_class, place_of_a_refused_one_goes_to_the_next,
                model::kills("blocking.not_taken.keeps_place"), model::reaches("refused", "done"),
                model::never("stopped before", "stopped"), BLOCKING_MODEL_LIMITS) {
  toy_pool pool;
  serving_job a(pool), b(pool);
  pool.refuses_one = true;
  blocking_class kind({.at_most = 1});
  plain<int> inside(0);
  model.thread("a", [&] { work_once(model, a, kind, inside); });
  model.thread("b", [&] { work_once(model, b, kind, inside); });
  model.run();
  model.check(inside.get() == 1 && kind.running() == 0, "not one ran, or a place is lost");
}

// The line is as long as it may be: wherever the stop meets it, it is over at once, and the class knows
// nothing of it.
WEFT_MODEL_TEST(blocking_class, who_finds_the_line_full_is_refused_or_stopped,
                model::kills("blocking_class.enter.line_too_long"),
                model::reaches("stopped before", "stopped", "refused"), model::never("done"),
                BLOCKING_MODEL_LIMITS) {
  toy_pool pool, other;
  serving_job holder(other), job(pool);
  blocking_class kind({.at_most = 1, .waiting_max = 0});
  plain<int> inside(0);
  toy_work holds(kind, inside);
  pool_of_caller = &other;
  static_cast<void>(holds.start(holder.who()));
  model.thread("waits", [&] {
    work_once(model, job, kind, inside);
    model.check(kind.waiting() == 0 && kind.running() == 1, "it was let in, or got in line");
  });
  model.thread("stops", [&] {
    model.check(kind.waiting() == 0, "it waits where nobody may");
    job.stop();
  });
  model.run();
  model.thread("other runtime", [&] { other.serve(holder); });
  model.wind_down();
  model.check(inside.get() == 1 && kind.running() == 0, "a place is lost, or too many are given");
}

// Three, and the one in the middle of the line goes out of it.
WEFT_MODEL_TEST(blocking_class, who_stands_behind_a_stopped_one_comes_in,
                model::kills("blocking_class.withdraw.stays_in_line"),
                model::reaches("stopped before", "stopped", "done"), model::never("refused"),
                model::bound_max(1,
                                 "with 2 more than 13 million executions; who leaves the line is "
                                 "in the model above with two, at 3"),
                model::stale_max(1, "all is under two locks"), BLOCKING_MODEL_LIMITS) {
  toy_pool pool;
  serving_job a(pool), b(pool), c(pool);
  blocking_class kind({.at_most = 1});
  plain<int> inside(0);
  int ran = 0;
  for (serving_job* const job : {&a, &b, &c}) {
    model.thread("works", [&, job] { ran += work_once(model, *job, kind, inside); });
  }
  model.thread("stops b", [&] { b.stop(); });
  model.run();
  model.check(inside.get() == ran && ran >= 2, "one that nobody stopped did not run");
  model.check(kind.running() == 0 && kind.waiting() == 0, "a place is lost");
}

}  // namespace
}  // namespace detail
}  // namespace weft
