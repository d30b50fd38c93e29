// oneshot on real threads: a value, a stop and the ends meet in any order; the value is received, or
// comes back, or is destroyed with its receiver.
#include <gtest/gtest.h>
#include <sched.h>

#include <memory>
#include <thread>

#include "weft/channel/oneshot.hpp"
#include "weft/task/task_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;
using parcel = std::shared_ptr<int>;

TEST(oneshot_stress, value_is_in_one_place_whatever_meets) {
  constexpr int rounds = WEFT_TSAN || WEFT_ASAN ? 3'000 : 20'000;
  test_executor executor;
  std::thread worker([&] { executor.work(); });
  const auto one = std::make_shared<int>(1);
  int received = 0, refused = 0, stopped = 0;
  for (int round = 0; round < rounds; ++round) {
    auto ends = oneshot<parcel>();
    // It goes with the job: a stop drops the receiver.
    auto receive = [](oneshot_receiver<parcel> from) -> task<bool> {
      const auto got = co_await from.recv();
      co_return got.has_value();
    };
    auto job = start(executor, receive, std::move(ends.receiver));
    if (round % 3 == 0) sched_yield();
    if (round % 2 == 0) job->stop();
    {
      auto to = std::move(ends.sender);
      if (round % 5 != 0) {
        const auto sent = to.send(one);
        refused += !sent;
      }
    }
    while (!job.done()) sched_yield();
    auto end = job.outcome();
    if (end.stopped()) {
      ++stopped;
    } else {
      const bool got = end.value();
      received += got;
      ASSERT_EQ(got, round % 5 != 0);
    }
    ASSERT_EQ(one.use_count(), 1);
  }
  executor.quit();
  worker.join();
  std::printf("received %d, refused %d, stopped %d of %d\n", received, refused, stopped, rounds);
}

}  // namespace
}  // namespace weft
