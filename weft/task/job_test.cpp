#include "weft/task/job.hpp"

#include <gtest/gtest.h>

#include "weft/task/task_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

class counting_scheduler final : public scheduler {
 public:
  void schedule(job&, wake_kind why) noexcept override {
    ++scheduled;
    last = why;
  }
  int scheduled = 0;
  wake_kind last = wake_kind::spawned;
};
class bare_promise final : public promise_base {};
class bare_job final : public job {
 public:
  explicit bare_job(scheduler& home) noexcept : job(home, idle_kind) {}
  using job::take_woken;
};
/// Does what the test says when it is withdrawn.
class bare_operation final : public operation {
 public:
  enum class answer { at_once, completed_meanwhile, later };
  explicit bare_operation(answer a) noexcept : answer_(a) {}
  void withdraw() noexcept override {
    ++withdrawn;
    if (answer_ == answer::at_once) finish(true);
    if (answer_ == answer::completed_meanwhile) finish(false);
  }
  void end(bool stopped) { finish(stopped); }
  const char* what() const noexcept override { return "bare"; }
  int withdrawn = 0;

 private:
  answer answer_;
};

class job_test : public ::testing::Test {
 protected:
  using answer = bare_operation::answer;
  job_test() { waiter.become_root(job_); }
  counting_scheduler home;
  bare_job job_{home};
  bare_promise waiter;
};

TEST_F(job_test, completion_schedules_it_once_as_woken) {
  bare_operation op(answer::at_once);
  ASSERT_EQ(job_.arm(op, waiter), job::arm_result::armed);
  EXPECT_EQ(job_.waiting_in(), &op);
  op.end(false);
  EXPECT_EQ(home.scheduled, 1);
  EXPECT_EQ(home.last, wake_kind::woken);
  EXPECT_EQ(job_.take_woken(), &op);
  EXPECT_FALSE(op.was_stopped());
  EXPECT_FALSE(job_.stop_requested());
}

TEST_F(job_test, stop_withdraws_the_operation_it_waits_in) {
  bare_operation op(answer::at_once);
  ASSERT_EQ(job_.arm(op, waiter), job::arm_result::armed);
  job_.stop();
  EXPECT_EQ(op.withdrawn, 1);
  EXPECT_TRUE(op.was_stopped());
  EXPECT_EQ(home.scheduled, 1);
  EXPECT_TRUE(job_.stop_requested());
}

TEST_F(job_test, stop_that_meets_a_completion_keeps_the_result) {
  bare_operation op(answer::completed_meanwhile);
  ASSERT_EQ(job_.arm(op, waiter), job::arm_result::armed);
  job_.stop();
  EXPECT_FALSE(op.was_stopped());
  EXPECT_EQ(home.scheduled, 1);
  EXPECT_TRUE(job_.stop_requested());
}

TEST_F(job_test, operation_may_answer_a_stop_later) {
  bare_operation op(answer::later);
  ASSERT_EQ(job_.arm(op, waiter), job::arm_result::armed);
  job_.stop();
  EXPECT_EQ(home.scheduled, 0);
  op.end(true);
  EXPECT_EQ(home.scheduled, 1);
  EXPECT_TRUE(op.was_stopped());
}

TEST_F(job_test, second_stop_does_nothing) {
  bare_operation op(answer::later);
  ASSERT_EQ(job_.arm(op, waiter), job::arm_result::armed);
  job_.stop();
  job_.stop();
  EXPECT_EQ(op.withdrawn, 1);
  op.end(false);
  job_.stop();
  EXPECT_EQ(op.withdrawn, 1);
  EXPECT_EQ(home.scheduled, 1);
}

TEST_F(job_test, stopped_job_arms_nothing_ever_again) {
  job_.stop();
  bare_operation op(answer::at_once);
  EXPECT_EQ(job_.arm(op, waiter), job::arm_result::stopped);
  EXPECT_EQ(job_.arm(op, waiter), job::arm_result::stopped);
  EXPECT_EQ(op.withdrawn, 0);
  EXPECT_EQ(home.scheduled, 0);
}

TEST_F(job_test, disarmed_operation_is_not_withdrawn) {
  bare_operation op(answer::at_once);
  ASSERT_EQ(job_.arm(op, waiter), job::arm_result::armed);
  EXPECT_EQ(job_.disarm(op), job::disarm_result::disarmed);
  job_.stop();
  EXPECT_EQ(op.withdrawn, 0);
}

TEST_F(job_test, shielded_operation_is_not_withdrawn_and_the_stop_waits) {
  bare_operation op(answer::at_once), next(answer::at_once);
  job_.enter_shield();
  ASSERT_EQ(job_.arm(op, waiter), job::arm_result::armed);
  job_.stop();
  EXPECT_EQ(op.withdrawn, 0);
  op.end(false);
  EXPECT_EQ(home.scheduled, 1);
  job_.leave_shield();
  EXPECT_EQ(job_.arm(next, waiter), job::arm_result::stopped);
}

TEST_F(job_test, stopped_job_may_still_wait_under_a_shield) {
  job_.stop();
  bare_operation op(answer::at_once);
  job_.enter_shield();
  EXPECT_EQ(job_.arm(op, waiter), job::arm_result::armed);
  op.end(false);
  EXPECT_EQ(home.scheduled, 1);
  job_.leave_shield();
}

TEST_F(job_test, budget_is_spent_one_by_one) {
  job_.refill_budget(2);
  EXPECT_TRUE(job_.spend_budget());
  EXPECT_TRUE(job_.spend_budget());
  EXPECT_FALSE(job_.spend_budget());
  EXPECT_FALSE(job_.spend_budget());
}

TEST_F(job_test, yielding_makes_it_ready_at_once_and_nothing_withdraws_it) {
  bare_operation op(answer::at_once);
  job_.yield_in(op, waiter);
  EXPECT_EQ(home.scheduled, 1);
  EXPECT_EQ(home.last, wake_kind::yielded);
  job_.stop();
  EXPECT_EQ(op.withdrawn, 0);
  EXPECT_EQ(home.scheduled, 1);
}

TEST_F(job_test, fits_in_two_cache_lines) { EXPECT_LE(sizeof(job), 128u); }

using job_death_test = job_test;

TEST_F(job_death_test, finishing_twice_is_loud) {
  bare_operation op(answer::at_once);
  ASSERT_EQ(job_.arm(op, waiter), job::arm_result::armed);
  op.end(false);
  EXPECT_DEATH(op.end(false), "finished twice");
}

TEST_F(job_death_test, leaving_a_shield_too_often_is_loud) {
  job_.enter_shield();
  job_.leave_shield();
  EXPECT_DEATH(job_.leave_shield(), "had not been entered");
}

TEST_F(job_death_test, waiting_in_two_operations_is_loud) {
  bare_operation first(answer::at_once), second(answer::at_once);
  ASSERT_EQ(job_.arm(first, waiter), job::arm_result::armed);
  EXPECT_DEATH(static_cast<void>(job_.arm(second, waiter)), "await them one by one");
}

}  // namespace
}  // namespace weft
