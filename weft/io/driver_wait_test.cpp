// Every driver: when wait() ends, and what another loop is told.
#include <atomic>
#include <thread>

#include "weft/io/driver_jobs_test_support.hpp"

namespace weft::io::test {
namespace {

TEST_P(driver_test, wait_ends_at_the_deadline_and_not_before) {
  for (const std::int64_t ns : {1'000'000, 3'300'000, 20'000'000}) {
    const std::int64_t deadline = os::monotonic_ns() + ns;
    EXPECT_EQ(io().wait(deadline), 0u);
    const std::int64_t late = os::monotonic_ns() - deadline;
    EXPECT_GE(late, 0);
    EXPECT_LT(late, 1'000'000'000);  // a busy machine; the usual figure is 0.1 ms
  }
  EXPECT_EQ(io().wait(0), 0u);
  EXPECT_EQ(io().wait(1), 0u);  // long ago
}

TEST_P(driver_test, wake_ends_the_wait_in_progress_or_the_next_one) {
  io().wake();
  EXPECT_EQ(io().wait(never_ns), 0u);
  constexpr int rounds = 500;
  std::atomic<int> seen{0};
  std::thread waker([&] {
    for (int i = 0; i < rounds; ++i) {
      io().wake();
      while (seen.load() == i) std::this_thread::yield();  // one wake, one wait; a lost one hangs
    }
  });
  for (int i = 0; i < rounds; ++i) {
    EXPECT_EQ(io().wait(never_ns), 0u);
    seen.store(i + 1);
  }
  waker.join();
}

TEST_P(driver_test, many_wakes_at_once_are_one) {
  for (int i = 0; i < 100; ++i) io().wake();
  EXPECT_EQ(io().wait(never_ns), 0u);
  const std::int64_t deadline = os::monotonic_ns() + 5'000'000;
  EXPECT_EQ(io().wait(deadline), 0u);
  EXPECT_GE(os::monotonic_ns(), deadline);
}

TEST_P(driver_test, idle_says_whether_only_wait_can_tell_of_something) {
  EXPECT_TRUE(io().idle());
  socket_pair p = connected_pair();
  {
    io_handle h = attach(p.ours);
    EXPECT_TRUE(io().idle());
    char bytes[8];
    std::int64_t answer = unanswered;
    START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
    EXPECT_FALSE(io().idle());
    handle.stop();
    EXPECT_FALSE(io().idle());
    jobs().run();
  }
  EXPECT_TRUE(io().idle());
}

// For guests: another loop polls the descriptor of a driver that is at rest. (poll has none:
// driver_poll_test.cpp.)
class driver_at_rest_test : public driver_test {};
INSTANTIATE_TEST_SUITE_P(each, driver_at_rest_test,
                         ::testing::ValuesIn(std::begin(kinds), std::end(kinds) - 1),
                         [](const auto& p) { return std::string(p.param.name); });

bool told(driver& io, int timeout_ms = 0) {
  pollfd p{.fd = io.descriptor(), .events = POLLIN, .revents = 0};
  int n = 0;
  do {
    n = ::poll(&p, 1, timeout_ms);
  } while (n < 0 && errno == EINTR);
  return n == 1;
}
void bring_to_rest(driver& io) {
  for (int i = 0; i < 10; ++i) {
    io.wait(0);
    if (io.rest()) return;
  }
  ADD_FAILURE() << "the driver does not come to rest";
}

TEST_P(driver_at_rest_test, at_rest_its_descriptor_tells_of_a_wake_until_the_next_wait) {
  ASSERT_GE(io().descriptor(), 0);
  for (int i = 0; i < 100; ++i) {
    bring_to_rest(io());
    EXPECT_FALSE(told(io()));
    std::thread([this] { io().wake(); }).join();
    EXPECT_TRUE(told(io(), 20'000));
    EXPECT_TRUE(told(io()));
    io().wait(0);
  }
}

TEST_P(driver_at_rest_test, at_rest_its_descriptor_tells_of_a_completion_and_of_a_withdrawal) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[8];
  for (int i = 0; i < 2; ++i) {
    std::int64_t answer = unanswered;
    START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
    bring_to_rest(io());
    EXPECT_FALSE(told(io()));
    if (i == 0) {
      EXPECT_EQ(::send(p.theirs.get(), "abc", 3, 0), 3);
      EXPECT_TRUE(told(io(), 20'000));
    } else {
      std::thread([&] { handle.stop(); }).join();
      EXPECT_TRUE(told(io(), 20'000));
    }
    jobs().run();
    EXPECT_EQ(answer, i == 0 ? 3 : unanswered);
  }
}

task<void> receive_six(io_handle& h, std::span<char> into, std::int64_t& answer) {
  answer = co_await receive_whole(h, into);
}
// What is left of an operation that got some is with the kernel before the driver is at rest.
TEST_P(driver_at_rest_test, at_rest_its_descriptor_tells_of_the_rest_of_an_operation) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[6];
  std::int64_t answer = unanswered;
  EXPECT_EQ(::send(p.theirs.get(), "abc", 3, 0), 3);
  jobs().run_inline(true);  // it is submitted, and no wait() has seen it
  auto handle = jobs().spawn(receive_six, std::ref(h), std::span(bytes), std::ref(answer));
  bring_to_rest(io());
  if (told(io())) bring_to_rest(io());  // it got the first three only when it came to rest
  EXPECT_FALSE(told(io()));
  EXPECT_EQ(::send(p.theirs.get(), "def", 3, 0), 3);
  EXPECT_TRUE(told(io(), 20'000));
  jobs().run();
  EXPECT_EQ(answer, 6);
}

}  // namespace
}  // namespace weft::io::test
