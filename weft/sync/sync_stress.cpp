// The primitives on real threads, with stops at any moment: what is conserved stays so. One job of a
// crowd uses one primitive for a while, and is stopped whenever; in the end each permit is back, and
// everything is free.
#include <gtest/gtest.h>

#include <sched.h>

#include <functional>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/sync/condition_variable.hpp"
#include "weft/sync/event.hpp"
#include "weft/sync/notify.hpp"
#include "weft/sync/semaphore.hpp"
#include "weft/sync/shared_mutex.hpp"
#include "weft/sync/sync_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

#if WEFT_TSAN || WEFT_ASAN
constexpr int scale = 10;
#else
constexpr int scale = 1;
#endif

/// Two threads run crowds of jobs, two others stop them. `spawn_one(i)` starts the i-th of a crowd.
template <class Start>
void stops_a_crowd(int crowd, long jobs, Start start_one) {
  test_executor executor;
  long stopped = 0;
  std::vector<std::thread> workers, stoppers;
  for (int i = 0; i < 2; ++i) workers.emplace_back([&] { executor.work(); });
  atomic<long> stopped_jobs{0};
  for (int s = 0; s < 2; ++s) {
    stoppers.emplace_back([&, s] {
      rng random(seed() + static_cast<std::uint64_t>(s));
      for (long n = 0; n < jobs / 2; n += crowd) {
        std::vector<started<void>> all;
        all.reserve(static_cast<std::size_t>(crowd));
        for (int i = 0; i < crowd; ++i) all.push_back(start_one(executor, i));
        for (auto& job : all) {
          if (random.below(4) == 0) sched_yield();
          if (random.below(2) == 0) job->stop();
        }
        for (auto& job : all) {
          while (!job.done()) sched_yield();
          if (job.outcome().stopped()) stopped_jobs.fetch_add(1, order::relaxed);
        }
      }
    });
  }
  for (auto& t : stoppers) t.join();
  executor.quit();
  for (auto& t : workers) t.join();
  stopped = stopped_jobs.load(order::relaxed);
  std::printf("stopped %ld of %ld\n", stopped, jobs);
}

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

TEST(sync_stress, semaphore_conserves_permits) {
  semaphore s(3);
  const auto visit = [](semaphore& the_s, std::size_t n) -> task<> {
    for (int i = 0; i < 3; ++i) {
      co_await the_s.acquire(n);
      const semaphore_guard held(the_s, n);
      co_await giving_way();
    }
  };
  stops_a_crowd(24, 200'000 / scale, [&](test_executor& executor, int i) {
    return start(executor, visit, std::ref(s), static_cast<std::size_t>(i % 3 + 1));
  });
  EXPECT_EQ(s.available(), 3u);
}

TEST(sync_stress, mutex_keeps_one_in) {
  mutex m;
  long inside = 0;  // plain: a second one inside is a data race
  const auto visit = [](mutex& the_m, long& the_inside) -> task<> {
    for (int i = 0; i < 3; ++i) {
      const auto held = co_await the_m.lock();
      EXPECT_EQ(++the_inside, 1);
      if (i == 1) co_await giving_way();
      EXPECT_EQ(--the_inside, 0);
    }
  };
  stops_a_crowd(16, 200'000 / scale, [&](test_executor& executor, int) {
    return start(executor, visit, std::ref(m), std::ref(inside));
  });
  EXPECT_FALSE(m.is_locked());
}

TEST(sync_stress, shared_mutex_keeps_writers_alone) {
  shared_mutex m;
  long a = 0, b = 0;
  const auto visit = [](shared_mutex& the_m, long& the_a, long& the_b, bool writes) -> task<> {
    for (int i = 0; i < 3; ++i) {
      if (writes) {
        const auto held = co_await the_m.lock();
        ++the_a;
        co_await giving_way();
        ++the_b;
      } else {
        const auto held = co_await the_m.lock_shared();
        EXPECT_EQ(the_a, the_b);
        co_await giving_way();
      }
    }
  };
  stops_a_crowd(16, 200'000 / scale, [&](test_executor& executor, int i) {
    return start(executor, visit, std::ref(m), std::ref(a), std::ref(b), i % 4 == 0);
  });
  EXPECT_EQ(a, b);
  EXPECT_TRUE(m.try_lock());
}

TEST(sync_stress, event_and_notify_pass_one_token_for_ever) {
  event turn(event::auto_reset, true);
  notify news;
  news.notify_one();
  atomic<int> inside[2] = {atomic<int>(0), atomic<int>(0)};
  const auto visit = [](event& the_turn, notify& the_news, atomic<int>* the_inside,
                        int which) -> task<> {
    if (which == 0) {
      co_await the_turn.wait();
    } else {
      co_await the_news.wait();
    }
    EXPECT_EQ(the_inside[which].fetch_add(1, order::acq_rel), 0);
    the_inside[which].fetch_sub(1, order::acq_rel);
    if (which == 0) {
      the_turn.set();
    } else {
      the_news.notify_one();
    }
  };
  stops_a_crowd(16, 200'000 / scale, [&](test_executor& executor, int i) {
    return start(executor, visit, std::ref(turn), std::ref(news), &inside[0], i % 2);
  });
  EXPECT_TRUE(turn.try_wait());
}

TEST(sync_stress, condition_is_waited_for_and_no_notification_lost) {
  struct shop {
    mutex m;
    condition_variable changed;
    long items = 0, delivered = 0, bought = 0;
  } s;
  // A buyer that is stopped has bought or not; each delivery is for one buyer, or is left over.
  const auto visit = [](shop& the_s, bool buys) -> task<> {
    auto held = co_await the_s.m.lock();
    if (buys) {
      co_await the_s.changed.wait(held, [&the_s] { return the_s.items > 0; });
      --the_s.items;
      ++the_s.bought;
    } else {
      ++the_s.items;
      ++the_s.delivered;
      held.unlock();
      the_s.changed.notify_one();
    }
  };
  test_executor executor;
  std::vector<std::thread> workers;
  for (int i = 0; i < 2; ++i) workers.emplace_back([&] { executor.work(); });
  rng random(seed());
  for (int round = 0; round < 10'000 / scale; ++round) {
    std::vector<started<void>> buyers, sellers;
    for (int i = 0; i < 6; ++i) buyers.push_back(start(executor, visit, std::ref(s), true));
    for (int i = 0; i < 2; ++i) buyers[random.below(6)]->stop();
    for (int i = 0; i < 6; ++i) sellers.push_back(start(executor, visit, std::ref(s), false));
    for (auto& one : sellers) {
      while (!one.done()) sched_yield();
    }
    for (auto& one : buyers) {  // there is one for each: a lost notification hangs here
      while (!one.done()) sched_yield();
    }
  }
  executor.quit();
  for (auto& t : workers) t.join();
  EXPECT_EQ(s.delivered, s.bought + s.items);
  EXPECT_FALSE(s.m.is_locked());
}

}  // namespace
}  // namespace weft
