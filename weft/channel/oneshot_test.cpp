#include "weft/channel/oneshot.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "weft/task/task_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;
using parcel = std::unique_ptr<int>;

task<int> receive(const oneshot_receiver<parcel>& from) {
  const auto got = co_await from.recv();
  co_return got ? **got : -1;
}

class oneshot_test : public ::testing::Test {
 protected:
  auto receives() { return start(executor, receive, std::ref(from)); }
  test_executor executor;
  oneshot_ends<parcel> ends = oneshot<parcel>();
  oneshot_sender<parcel> to = std::move(ends.sender);
  oneshot_receiver<parcel> from = std::move(ends.receiver);
};

TEST_F(oneshot_test, value_that_was_sent_before_is_received_at_once) {
  EXPECT_TRUE(to.send(std::make_unique<int>(1)));
  auto a = receives();
  EXPECT_EQ(executor.run_until_idle(), 1);
  EXPECT_EQ(a.outcome().value(), 1);
  auto b = receives();  // it is gone
  executor.run_until_idle();
  EXPECT_EQ(b.outcome().value(), -1);
}

TEST_F(oneshot_test, who_waits_gets_it) {
  auto a = receives();
  executor.run_until_idle();
  EXPECT_FALSE(a.done());
  EXPECT_TRUE(to.send(std::make_unique<int>(2)));
  executor.run_until_idle();
  EXPECT_EQ(a.outcome().value(), 2);
}

TEST_F(oneshot_test, sender_that_goes_without_sending_ends_the_wait) {
  auto a = receives();
  executor.run_until_idle();
  {
    const auto gone = std::move(to);
  }
  executor.run_until_idle();
  EXPECT_EQ(a.outcome().value(), -1);
}

TEST_F(oneshot_test, value_comes_back_if_the_receiver_has_gone) {
  EXPECT_FALSE(to.closed());
  {
    const auto gone = std::move(from);
  }
  EXPECT_TRUE(to.closed());
  auto sent = to.send(std::make_unique<int>(3));
  ASSERT_FALSE(sent);
  EXPECT_EQ(sent.status(), send_status::closed);
  EXPECT_EQ(*sent.refused(), 3);
}

TEST_F(oneshot_test, value_does_not_outlive_the_receiver) {
  auto shared = oneshot<std::shared_ptr<int>>();
  const auto one = std::make_shared<int>(1);
  EXPECT_TRUE(shared.sender.send(one));
  EXPECT_EQ(one.use_count(), 2);
  {
    const auto gone = std::move(shared.receiver);
  }
  EXPECT_EQ(one.use_count(), 1);
}

TEST_F(oneshot_test, stopped_receive_has_received_nothing_and_may_be_repeated) {
  auto a = receives();
  executor.run_until_idle();
  a->stop();
  EXPECT_TRUE(to.send(std::make_unique<int>(4)));
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  const auto got = from.try_recv();
  ASSERT_TRUE(got);
  EXPECT_EQ(**got, 4);
}

TEST_F(oneshot_test, job_that_was_stopped_takes_nothing_though_it_is_there) {
  EXPECT_TRUE(to.send(std::make_unique<int>(5)));
  auto a = receives();
  a->stop();
  executor.run_until_idle();
  EXPECT_TRUE(a.outcome().stopped());
  EXPECT_TRUE(from.try_recv());
}

TEST_F(oneshot_test, receiver_that_has_its_value_is_not_stopped_any_more) {
  auto a = receives();
  executor.run_until_idle();
  EXPECT_TRUE(to.send(std::make_unique<int>(6)));
  a->stop();
  executor.run_until_idle();
  EXPECT_EQ(a.outcome().value(), 6);
}

TEST(oneshot_death_test, sending_twice_is_loud) {
  auto ends = oneshot<int>();
  EXPECT_TRUE(ends.sender.send(1));
  EXPECT_DEATH(static_cast<void>(ends.sender.send(2)), "sends once");
}

}  // namespace
}  // namespace weft
