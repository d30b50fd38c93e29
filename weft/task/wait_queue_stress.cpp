// The wait queue on real threads: permits are conserved whoever is stopped whenever.
#include <gtest/gtest.h>

#include <sched.h>

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/task/task_test_support.hpp"
#include "weft/task/wait_queue_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

#if WEFT_TSAN || WEFT_ASAN
constexpr int scale = 10;
#else
constexpr int scale = 1;
#endif

struct counts {
  atomic<int> inside{0};
  atomic<int> inside_max_seen{0};
  atomic<long> admitted{0};
};

class giving_way final : public awaitable_operation<giving_way> {
 public:
  giving_way() noexcept {}
  std::coroutine_handle<> start(promise_base& who) noexcept {
    who.owner()->yield_in(*this, who);
    return std::noop_coroutine();
  }
  void await_resume() const noexcept {}
  void withdraw() noexcept override {}
  const char* what() const noexcept override { return "yield"; }
};

/// Gives the permit back however the job ends.
class admitted {
 public:
  admitted(test_semaphore& semaphore, counts& c, int permits) : semaphore_(semaphore), counts_(c) {
    const int now = counts_.inside.fetch_add(1, order::relaxed) + 1;
    if (now > permits) counts_.inside_max_seen.store(now, order::relaxed);
    counts_.admitted.fetch_add(1, order::relaxed);
  }
  ~admitted() {
    counts_.inside.fetch_sub(1, order::relaxed);
    semaphore_.release();
  }
  admitted(const admitted&) = delete;
  admitted& operator=(const admitted&) = delete;

 private:
  test_semaphore& semaphore_;
  counts& counts_;
};

task<> visit(test_semaphore& semaphore, counts& c, int permits) {
  co_await semaphore.acquire();
  admitted here(semaphore, c, permits);
  co_await giving_way();
}

void conserves(int permits, int crowd, long stops) {
  test_executor executor;
  test_semaphore semaphore(permits);
  counts seen;
  long stopped_jobs[2] = {0, 0};
  std::vector<std::thread> workers, stoppers;
  for (int i = 0; i < 2; ++i) workers.emplace_back([&] { executor.work(); });
  for (int s = 0; s < 2; ++s) {
    stoppers.emplace_back([&, s] {
      rng random(seed() + static_cast<std::uint64_t>(s));
      std::vector<started<void>> jobs;
      jobs.reserve(static_cast<std::size_t>(crowd));
      for (long n = 0; n < stops / 2; n += crowd) {
        for (int i = 0; i < crowd; ++i) {
          jobs.push_back(start(executor, visit, std::ref(semaphore), std::ref(seen), permits));
        }
        const std::uint64_t start_at = random.next();
        for (int i = 0; i < crowd; ++i) {
          if (random.next() % 4 == 0) sched_yield();
          jobs[(start_at + static_cast<std::uint64_t>(i)) % jobs.size()]->stop();
        }
        for (auto& job : jobs) {
          while (!job.done()) sched_yield();
          if (job.outcome().stopped()) ++stopped_jobs[s];
        }
        jobs.clear();
      }
    });
  }
  for (auto& t : stoppers) t.join();
  executor.quit();
  for (auto& t : workers) t.join();
  EXPECT_EQ(semaphore.permits(), permits);
  EXPECT_TRUE(semaphore.queue().empty());
  EXPECT_EQ(seen.inside.load(order::relaxed), 0);
  EXPECT_EQ(seen.inside_max_seen.load(order::relaxed), 0) << "more were inside than permits exist";
  std::printf("stopped %ld of %ld, admitted %ld\n", stopped_jobs[0] + stopped_jobs[1], stops,
              seen.admitted.load(order::relaxed));
}

TEST(wait_queue_stress, permits_survive_stops_of_a_crowd) { conserves(2, 64, 900'000 / scale); }

TEST(wait_queue_stress, permits_survive_stops_of_few) { conserves(1, 2, 100'000 / scale); }

TEST(wait_queue_stress, nobody_sleeps_through_an_event) {
  test_executor executor;
  std::vector<std::thread> workers;
  for (int i = 0; i < 2; ++i) workers.emplace_back([&] { executor.work(); });
  auto wait = [](test_event& e) -> task<> { co_await e.wait(); };
  for (int round = 0; round < 10'000 / scale; ++round) {
    test_event event;
    std::vector<started<void>> jobs;
    for (int i = 0; i < 6; ++i) jobs.push_back(start(executor, wait, std::ref(event)));
    if (round % 2) sched_yield();
    jobs[static_cast<std::size_t>(round % 6)]->stop();
    event.set();
    for (auto& job : jobs) {
      while (!job.done()) sched_yield();
    }
  }
  executor.quit();
  for (auto& t : workers) t.join();
}

}  // namespace
}  // namespace weft
