// Workers without a thread, driven by many: the seat is handed over again and again, and no waiter
// is forgotten. A lost hand-over or wake hangs.
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "weft/queue/stress_test_support.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/runtime/driven_test_support.hpp"

namespace weft {
namespace {

using namespace test;
using test_support::stress_limit;

task<int> of_several_turns(int i) {
  auto beside = spawn(give, i);
  if (i % 3 == 0) co_await yield_now();
  if (i % 16 == 0) co_await sleep_for(20us);
  if (i % 64 == 1) co_await spawn_blocking([] {});
  const int got = co_await beside;
  co_return got;
}

class driven_stress : public net::test::on_each_driver {};

TEST_P(driven_stress, many_threads_in_block_on_hand_the_worker_over) {
  runtime rt({.mode = scheduling::current_thread, .io = GetParam()});
  constexpr int threads = 4;
  constexpr int each = 20'000;
  const stress_limit limit;
  std::atomic<long> sum{0}, wanted{0};
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      for (int i = 0; i < each && !limit.reached(); ++i) {
        sum += rt.block_on(of_several_turns(i + t));
        wanted += i + t;
      }
    });
  }
  for (auto& t : all) t.join();
  EXPECT_EQ(sum, wanted);
  EXPECT_EQ(rt.metrics().jobs_alive, 0u);
}

TEST_P(driven_stress, shutdown_meets_threads_in_block_on) {
  const stress_limit limit;
  for (int round = 0; round < 500 && !limit.reached(); ++round) {
    runtime rt({.mode = scheduling::current_thread, .io = GetParam()});
    std::atomic<int> in{0};
    std::vector<std::thread> all;
    for (int t = 0; t < 3; ++t) {
      all.emplace_back([&] {
        try {
          ++in;
          for (int i = 0;; ++i) rt.block_on(of_several_turns(i));
        } catch (const error& e) {
          EXPECT_EQ(e.code(), std::errc::operation_canceled);
        }
      });
    }
    while (in < 3) std::this_thread::yield();
    EXPECT_TRUE(rt.shutdown(20s).has_value());
    for (auto& t : all) t.join();
  }
}

class guest_stress : public driven_stress {};
INSTANTIATE_TEST_SUITE_P(drivers, guest_stress, net::test::drivers_for_guests,
                         net::test::driver_name);

TEST_P(guest_stress, many_threads_wake_the_host_of_a_guest) {
  runtime rt({.mode = scheduling::guest, .io = GetParam()});
  constexpr int threads = 3;
  constexpr int each = 20'000;
  const stress_limit limit;
  std::atomic<int> left{threads};
  std::vector<std::thread> all;
  for (int t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      for (int i = 0; i < each && !limit.reached(); ++i) {
        auto h = rt.spawn(of_several_turns, i + t);
        EXPECT_EQ(weft::block_on(h), i + t);
      }
      --left;
      rt.spawn(give, 0).detach();
    });
  }
  while (left != 0) {
    pollfd p{.fd = rt.poll_handle(), .events = POLLIN, .revents = 0};
    const int n = ::poll(&p, 1, 20'000);
    ASSERT_TRUE(n == 1 || (n < 0 && errno == EINTR)) << "a wake was lost";
    static_cast<void>(rt.run_ready(10));
  }
  for (auto& t : all) t.join();
}

INSTANTIATE_TEST_SUITE_P(drivers, driven_stress, net::test::all_drivers, net::test::driver_name);

}  // namespace
}  // namespace weft
