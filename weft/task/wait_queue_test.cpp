#include "weft/task/wait_queue.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "weft/task/task_test_support.hpp"
#include "weft/task/wait_queue_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

task<> enter(test_semaphore& semaphore, std::string& trace, char name) {
  co_await semaphore.acquire();
  trace += name;
}

class wait_queue_test : public ::testing::Test {
 protected:
  auto waits(char name) {
    return start(executor, enter, std::ref(semaphore), std::ref(trace), name);
  }

  test_executor executor;
  test_semaphore semaphore{0};
  std::string trace;
};

TEST_F(wait_queue_test, first_come_first_served) {
  auto a = waits('a'), b = waits('b'), c = waits('c');
  executor.run_until_idle();
  EXPECT_EQ(trace, "");
  for (int i = 0; i < 3; ++i) semaphore.release();
  executor.run_until_idle();
  EXPECT_EQ(trace, "abc");
  EXPECT_TRUE(semaphore.queue().empty());
}

TEST_F(wait_queue_test, free_permit_needs_no_queue) {
  semaphore.release();
  auto a = waits('a');
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
}

TEST_F(wait_queue_test, single_waiter_is_stopped_without_effect) {
  auto a = waits('a');
  executor.run_until_idle();
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_TRUE(semaphore.queue().empty());
  semaphore.release();
  EXPECT_EQ(semaphore.permits(), 1);
}

TEST_F(wait_queue_test, stopped_waiter_lets_the_next_one_in) {
  auto a = waits('a'), b = waits('b'), c = waits('c');
  executor.run_until_idle();
  b->stop();
  semaphore.release();
  a->stop();  // too late: it has its permit
  semaphore.release();
  executor.run_until_idle();
  EXPECT_EQ(trace, "ac");
  EXPECT_TRUE(b.outcome().stopped());
  EXPECT_TRUE(a.outcome().has_value());
  EXPECT_TRUE(semaphore.queue().empty());
  EXPECT_EQ(semaphore.permits(), 0);
}

TEST_F(wait_queue_test, queue_of_many_is_empty_again_when_all_were_stopped) {
  auto a = waits('a'), b = waits('b'), c = waits('c');
  executor.run_until_idle();
  c->stop(), a->stop(), b->stop();
  EXPECT_TRUE(semaphore.queue().empty());
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped() && b.outcome().stopped() && c.outcome().stopped());
  auto d = waits('d');
  executor.run_until_idle();
  semaphore.release();
  executor.run_until_idle();
  EXPECT_EQ(trace, "d");
}

TEST_F(wait_queue_test, stopped_before_it_waits_enters_no_queue) {
  auto a = waits('a');
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_TRUE(semaphore.queue().empty());
}

TEST_F(wait_queue_test, all_are_woken_in_order_however_many_batches) {
  test_event event;
  constexpr int n = 1000;
  std::vector<int> order;
  auto wait = [](test_event& e, std::vector<int>& into, int i) -> task<> {
    co_await e.wait();
    into.push_back(i);
  };
  std::vector<started<void>> jobs;
  for (int i = 0; i < n; ++i)
    jobs.push_back(start(executor, wait, std::ref(event), std::ref(order), i));
  executor.run_until_idle();
  jobs[500]->stop();
  event.set();
  jobs[501]->stop();  // too late
  executor.run_until_idle();
  ASSERT_EQ(order.size(), n - 1u);
  for (int i = 0; i < n - 1; ++i) EXPECT_EQ(order[i], i < 500 ? i : i + 1);
}

TEST_F(wait_queue_test, front_is_looked_at_and_left_or_taken) {
  auto a = waits('a'), b = waits('b');
  executor.run_until_idle();
  wait_queue& queue = semaphore.queue();
  EXPECT_EQ(queue.take_one_if([](wait_queue::waiter&) { return false; }), nullptr);
  wait_queue::waiter* seen = nullptr;
  wait_queue::waiter* const taken = queue.take_one_if([&](wait_queue::waiter& w) {
    seen = &w;
    return true;
  });
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(taken, seen);
  wait_queue::wake(*taken);
  EXPECT_TRUE(queue.wake_one());
  EXPECT_FALSE(queue.wake_one());
  executor.run_until_idle();
  EXPECT_EQ(trace, "ab");
  EXPECT_EQ(queue.take_one_if([](wait_queue::waiter&) { return true; }), nullptr);
}

TEST_F(wait_queue_test, single_front_is_looked_at_and_left) {
  auto a = waits('a');
  executor.run_until_idle();
  EXPECT_EQ(semaphore.queue().take_one_if([](wait_queue::waiter&) { return false; }), nullptr);
  a->stop();
  EXPECT_TRUE(semaphore.queue().empty());
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
}

TEST_F(wait_queue_test, taken_waiter_is_not_stopped_any_more) {
  auto a = waits('a');
  executor.run_until_idle();
  wait_queue::waiter* const taken = semaphore.queue().take_one();
  ASSERT_NE(taken, nullptr);
  a->stop();
  EXPECT_EQ(executor.run_until_idle(), 0);  // it waits for its taker
  wait_queue::wake(*taken);
  executor.run_until_idle();
  EXPECT_EQ(trace, "a");
}

// What happens in the middle of add_if() on another thread, played on one: the condition is where
// the others get in.
class probe final : public awaitable_operation<probe, wait_queue::waiter> {
 public:
  probe(wait_queue& queue, std::function<bool()> in_between)
      : queue_(queue), between_(in_between) {}
  std::coroutine_handle<> start(promise_base& who) noexcept {
    added = queue_.add_if(*this, who, between_);
    if (added == wait_queue::add_result::stopped) return unwind(who);
    if (added == wait_queue::add_result::waiting) return std::noop_coroutine();
    return who.handle();
  }
  wait_queue::add_result await_resume() const noexcept { return added; }
  const char* what() const noexcept override { return "probe"; }
  wait_queue::add_result added = wait_queue::add_result::waiting;
  int* left = nullptr;

 private:
  void left_queue() noexcept override {
    if (left) ++*left;
  }
  wait_queue& queue_;
  std::function<bool()> between_;
};

task<wait_queue::add_result> probe_once(wait_queue& queue, std::function<bool()> between,
                                        int* left) {
  probe p(queue, std::move(between));
  p.left = left;
  const auto result = co_await p;
  co_return result;
}

class wait_queue_in_between : public wait_queue_test {
 protected:
  auto probing(std::function<bool()> between) {
    return start(executor, probe_once, std::ref(queue), std::move(between), &left);
  }
  wait_queue queue;
  int left = 0;
};

TEST_F(wait_queue_in_between, wake_lets_it_go_on_without_a_detour) {
  auto job = probing([&] { return queue.wake_one(); });
  EXPECT_EQ(executor.run_until_idle(), 1);
  EXPECT_EQ(job.outcome().value(), wait_queue::add_result::granted);
}

TEST_F(wait_queue_in_between, need_that_has_gone_leaves_no_trace) {
  auto job = probing([&] { return false; });
  EXPECT_EQ(executor.run_until_idle(), 1);
  EXPECT_EQ(job.outcome().value(), wait_queue::add_result::not_needed);
  EXPECT_TRUE(queue.empty());
}

TEST_F(wait_queue_in_between, wake_that_was_not_needed_is_reported) {
  auto job = probing([&] { return !queue.wake_one(); });
  executor.run_until_idle();
  EXPECT_EQ(job.outcome().value(), wait_queue::add_result::granted);
}

TEST_F(wait_queue_in_between, stop_is_answered) {
  started<wait_queue::add_result>* self = nullptr;
  auto job = probing([&] { return (*self)->stop(), true; });
  self = &job;
  executor.run_until_idle();
  EXPECT_TRUE(job.outcome().stopped());
  EXPECT_EQ(left, 1);
  EXPECT_TRUE(queue.empty());
}

TEST_F(wait_queue_in_between, stop_is_answered_also_when_it_need_not_wait) {
  started<wait_queue::add_result>* self = nullptr;
  auto job = probing([&] { return (*self)->stop(), false; });
  self = &job;
  executor.run_until_idle();
  EXPECT_TRUE(job.outcome().stopped());
  EXPECT_TRUE(queue.empty());
}

TEST_F(wait_queue_in_between, wake_wins_over_a_stop) {
  started<wait_queue::add_result>* self = nullptr;
  auto job = probing([&] {
    (*self)->stop();
    return queue.wake_one();
  });
  self = &job;
  executor.run_until_idle();
  EXPECT_FALSE(job.outcome().stopped());
  EXPECT_EQ(left, 0);
}

TEST_F(wait_queue_in_between, taken_and_stopped_it_waits_for_its_taker) {
  started<wait_queue::add_result>* self = nullptr;
  wait_queue::waiter* taken = nullptr;
  auto job = probing([&] {
    taken = queue.take_one();
    (*self)->stop();
    return true;
  });
  self = &job;
  executor.run_until_idle();
  EXPECT_FALSE(job.done());
  wait_queue::wake(*taken);
  executor.run_until_idle();
  EXPECT_TRUE(job.outcome().has_value());
}

TEST_F(wait_queue_in_between, stopped_waiter_tells_its_primitive) {
  auto job = probing([] { return true; });
  executor.run_until_idle();
  job->stop();
  executor.run_until_idle();
  EXPECT_EQ(left, 1);
}

TEST(wait_queue_lifetime, woken_job_may_destroy_the_queue) {
  test_executor executor;
  test_event* event = nullptr;
  auto owner = [](test_event*& out) -> task<> {
    test_event mine;
    out = &mine;
    co_await mine.wait();
  };
  auto job = start(executor, owner, std::ref(event));
  executor.run_until_idle();
  event->set();
  executor.run_until_idle();
  EXPECT_TRUE(job.outcome().has_value());
}

TEST(wait_queue_death_test, destroying_it_under_its_waiters_is_loud) {
  EXPECT_DEATH(
      {
        test_executor executor;
        auto event = std::make_unique<test_event>();
        auto wait = [](test_event& e) -> task<> { co_await e.wait(); };
        auto job = start(executor, wait, std::ref(*event));
        executor.run_until_idle();
        event.reset();
      },
      "destroyed while somebody waits");
}

TEST(wait_queue_size, is_small) {
  EXPECT_EQ(sizeof(wait_queue), 32u);
  EXPECT_EQ(sizeof(wait_queue::waiter), 48u);
}

}  // namespace
}  // namespace weft
