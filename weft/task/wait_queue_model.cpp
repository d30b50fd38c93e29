// model-sources: weft/task/wait_queue.cpp weft/task/job.cpp
//
// The wait queue under all schedules: adders, takers and stoppers. A lost wake is a deadlock here,
// a waiter that is touched too late a use after its lifetime.
#include "weft/task/wait_queue.hpp"

#include <memory>

#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

class toy_waiter final : public wait_queue::waiter {
 public:
  const char* what() const noexcept override { return "toy"; }
  plain<int> asks{0};   // written by the waiter, read by whoever takes it
  plain<int> given{0};  // the other way round
};

/// The plainest semaphore: permits and a queue. Not fair between waiters and passers-by.
class toy_semaphore {
 public:
  enum class got { permit, nothing_waited, stopped };

  got acquire(model::world& model, model::job_thread& me) {
    toy_waiter w;
    for (;;) {
      if (take()) return got::nothing_waited;
      w.asks.set(1);
      const auto added =
          queue_.add_if(w, me.who(), [this] { return permits_.load(order::seq_cst) == 0; });
      if (added == wait_queue::add_result::not_needed) continue;
      if (added == wait_queue::add_result::stopped) return got::stopped;
      if (added == wait_queue::add_result::waiting) {
        model.check(me.sleep() == &w, "woken from another operation");
      }
      w.asks.set(2);  // whoever still reads it now races with us
      if (w.was_stopped()) {
        model.check(w.given.get() == 0, "reported as stopped although it had been given a permit");
        return got::stopped;
      }
      model.check(w.given.get() == 1, "woken without a permit");
      model.outcome(added == wait_queue::add_result::granted ? "granted" : "woken");
      return got::permit;
    }
  }
  void release() {
    permits_.fetch_add(1, order::seq_cst);
    while (!queue_.empty()) {
      if (!take()) return;
      if (give(queue_.take_one())) return;
      permits_.fetch_add(1, order::seq_cst);
    }
  }
  /// As release(), by the path that looks at the front before it takes it.
  void release_by_look() {
    permits_.fetch_add(1, order::seq_cst);
    while (!queue_.empty()) {
      bool looked = false;
      auto* const w = queue_.take_one_if([&](wait_queue::waiter& front) {
        looked = true;
        return static_cast<toy_waiter&>(front).asks.get() == 1 && take();
      });
      if (give(w) || looked) return;
    }
  }
  int permits() const noexcept { return permits_.load(order::relaxed); }

 private:
  bool take() noexcept {
    int seen = permits_.load(order::seq_cst);
    while (seen > 0) {
      if (permits_.compare_exchange(seen, seen - 1, order::seq_cst, order::seq_cst)) return true;
    }
    return false;
  }
  static bool give(wait_queue::waiter* w) {
    if (w == nullptr) return false;
    auto& mine = static_cast<toy_waiter&>(*w);
    mine.given.set(mine.asks.get());
    wait_queue::wake(mine);
    return true;
  }

  atomic<int> permits_{0};
  wait_queue queue_;
};

using got = toy_semaphore::got;

WEFT_MODEL_TEST(wait_queue, wake_is_not_lost,
                model::kills("wait_queue.publish.relaxed", "wait_queue.publish.release",
                             "wait_queue.granted.relaxed", "wait_queue.ended.acquire",
                             "wait_queue.wake.does_not_ask"),
                model::reaches("granted", "woken", "passed"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_semaphore semaphore;
  model.thread("waiter", [&] {
    if (semaphore.acquire(model, job) == got::nothing_waited) model.outcome("passed");
  });
  model.thread("releaser", [&] { semaphore.release(); });
  model.run();
  model.check(semaphore.permits() == 0, "the permit was neither kept nor given twice");
}

/// An event that tells only who waits: what it needs of S stands in take_one() alone.
WEFT_MODEL_TEST(wait_queue, look_of_the_taker_is_in_the_order,
                model::kills("wait_queue.look.acquire", "wait_queue.publish.release"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  atomic<bool> open(false);
  wait_queue queue;
  model.thread("waiter", [&] {
    toy_waiter w;
    if (queue.add_if(w, job.who(), [&] { return !open.load(order::seq_cst); }) ==
        wait_queue::add_result::waiting) {
      static_cast<void>(job.sleep());
    }
  });
  model.thread("opener", [&] {
    open.store(true, order::seq_cst);
    queue.wake_one();
  });
  model.run();
}

WEFT_MODEL_TEST(wait_queue, woken_one_may_destroy_the_queue,
                model::kills("wait_queue.left.relaxed", "wait_queue.ended.release",
                             "wait_queue.wake.does_not_ask"),
                model::reaches("destroyed at once"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  struct place {
    plain<int> read_by_adder{1};
    atomic<bool> open{false};
    wait_queue queue;
  };
  auto it = std::make_unique<place>();
  place* const known = it.get();
  model.thread("waiter", [&] {
    toy_waiter w;
    const auto added = it->queue.add_if(w, job.who(), [&] {
      return it->read_by_adder.get() == 1 && !it->open.load(order::seq_cst);
    });
    if (added == wait_queue::add_result::not_needed) return;
    if (added == wait_queue::add_result::waiting) static_cast<void>(job.sleep());
  });
  // What runs the woken job in life is another thread than the one that is still in add_if(); here
  // the taker itself does what the job would do first.
  model.thread("opener", [&] {
    known->open.store(true, order::seq_cst);
    auto* const w = known->queue.take_one();
    if (w == nullptr) return;
    wait_queue::wake(*w);
    if (!job.scheduled()) return;
    it.reset();
    model.outcome("destroyed at once");
  });
  model.run();
}

WEFT_MODEL_TEST(wait_queue, two_waiters_two_permits, model::kills("wait_queue.many.relaxed"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread jobs[2];
  toy_semaphore semaphore;
  for (auto& job : jobs) {
    model.thread("waiter", [&] { semaphore.acquire(model, job); });
  }
  model.thread("releaser", [&] {
    semaphore.release();
    semaphore.release();
  });
  model.run();
  model.check(semaphore.permits() == 0, "both permits were given once");
}

WEFT_MODEL_TEST(wait_queue, looking_at_the_front_loses_nothing,
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread jobs[2];
  toy_semaphore semaphore;
  for (auto& job : jobs) {
    model.thread("waiter", [&] { semaphore.acquire(model, job); });
  }
  model.thread("releaser", [&] {
    semaphore.release_by_look();
    semaphore.release_by_look();
  });
  model.run();
  model.check(semaphore.permits() == 0, "both permits were given once");
}

WEFT_MODEL_TEST(wait_queue, stopped_waiter_takes_no_permit,
                model::kills("wait_queue.to_taker.relaxed"),
                model::reaches("permit", "stopped", "passed"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_semaphore semaphore;
  plain<int> taken(0);
  model.thread("waiter", [&] {
    switch (semaphore.acquire(model, job)) {
      case got::permit:
        taken.set(1);
        return model.outcome("permit");
      case got::nothing_waited:
        taken.set(1);
        return model.outcome("passed");
      case got::stopped:
        return model.outcome("stopped");
    }
  });
  model.thread("releaser", [&] { semaphore.release(); });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
  model.check(semaphore.permits() + taken.get() == 1, "the permit is somewhere, once");
}

WEFT_MODEL_TEST(wait_queue, stop_is_not_lost,
                model::kills("wait_queue.asked.ignored", "wait_queue.asked.relaxed"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread job;
  toy_semaphore semaphore;
  model.thread("waiter", [&] {
    model.check(semaphore.acquire(model, job) == got::stopped, "there is no permit");
  });
  model.thread("stopper", [&] { job.stop(); });
  model.run();
}

WEFT_MODEL_TEST(wait_queue, stopped_waiter_lets_the_other_one_in,
                model::kills("wait_queue.claim.relaxed", "wait_queue.remove.stays_many"),
                model::stale_max(1, "other models cover it"),
                model::executions_max(400000, "four threads"),
                model::spurious_max(0, "the sleep is not what is looked at")) {
  model::job_thread jobs[2];
  toy_semaphore semaphore;
  got ends[2] = {got::stopped, got::stopped};
  for (int i = 0; i < 2; ++i) {
    model.thread("waiter", [&, i] { ends[i] = semaphore.acquire(model, jobs[i]); });
  }
  model.thread("releaser", [&] { semaphore.release(); });
  model.thread("stopper", [&] { jobs[0].stop(); });
  if (model.run_until_idle() != 0) {
    model.check(ends[0] != got::stopped && semaphore.permits() == 0,
                "the second one is left waiting");
    semaphore.release();
  }
  model.run();
  model.check(semaphore.permits() == (ends[0] == got::stopped ? 0 : semaphore.permits()),
              "the permit of a stopped one went to the other");
}

WEFT_MODEL_TEST(wait_queue, all_are_woken_once, model::kills("wait_queue.all.still_linked"),
                model::stale_max(1, "other models cover it"),
                model::spurious_max(0, "the sleep is not what is looked at"),
                model::executions_max(400000, "four threads")) {
  model::job_thread jobs[2];
  atomic<bool> open(false);
  wait_queue queue;
  for (auto& job : jobs) {
    model.thread("waiter", [&] {
      toy_waiter w;
      if (queue.add_if(w, job.who(), [&] { return !open.load(order::seq_cst); }) ==
          wait_queue::add_result::waiting) {
        static_cast<void>(job.sleep());
      }
    });
  }
  model.thread("opener", [&] {
    open.store(true, order::seq_cst);
    queue.wake_all();
  });
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
  model.check(!jobs[0].scheduled() && !jobs[1].scheduled(), "each was woken once");
}

}  // namespace
}  // namespace weft
