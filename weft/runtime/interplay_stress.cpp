// Every way to wait, of every priority, pinned and not, in every mode, while the quota changes where it is
// followed: every job ends, also if the runtime is destroyed amid them.
#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/quota_test_support.hpp"
#include "weft/runtime/time.hpp"
#include "weft/together/fork_join.hpp"
#include "weft/together/timeout.hpp"
#include "weft/together/when_all.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

task<> turns(unsigned n) {
  for (unsigned i = 0; i < n; ++i) co_await yield_now();
}
task<long> fib(int n) {
  if (n == 5) co_await yield_now();
  if (n < 2) co_return n;
  const auto [a, b] = co_await fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
  co_return a + b;
}

spawn_options any_place(rng& random, unsigned workers) {
  spawn_options o{.priority = static_cast<priority>(random.below(3))};
  if (random.below(2) == 0) o.worker = random.below(workers);
  return o;
}

task<> a_bit_of_everything(rng random, unsigned workers, int depth) {
  for (int i = 0; i < 8; ++i) {
    switch (random.below(8)) {
      case 0:
        co_await turns(random.below(70));
        break;
      case 1:
        co_await sleep_for(std::chrono::microseconds(random.below(200)));
        break;
      case 2: {
        const long f = co_await fib(8);
        EXPECT_EQ(f, 21);
        break;
      }
      case 3:
        co_await spawn_blocking([] {});
        break;
      case 4: {
        const auto n =
            co_await timeout(100us, sleep_for(std::chrono::microseconds(random.below(200))));
        static_cast<void>(n);
        break;
      }
      case 5:
        co_await when_all(turns(random.below(10)), turns(random.below(10)));
        break;
      case 6: {  // fan-in
        std::vector<join_handle<>> all;
        for (unsigned n = random.below(20); n > 0; --n)
          all.push_back(spawn(turns, random.below(3)));
        for (auto& h : all) {
          const auto how = co_await h.outcome();
          static_cast<void>(how);
        }
        break;
      }
      case 7: {
        if (depth == 0) break;
        auto child = spawn(any_place(random, workers), a_bit_of_everything, rng(random.next()),
                           workers, depth - 1);
        if (random.below(4) == 0) break;  // it is stopped, wherever it is
        const auto how = co_await child.outcome();
        static_cast<void>(how);
        break;
      }
    }
  }
}

void spawn_all(runtime& rt, rng& random, std::vector<join_handle<>>& handles) {
  const unsigned workers = rt.metrics().workers;
  for (int i = 0; i < 60; ++i) {
    handles.push_back(
        rt.spawn(any_place(random, workers), a_bit_of_everything, rng(random.next()), workers, 2));
  }
}
void wait_for(std::vector<join_handle<>>& handles) {
  for (auto& h : handles) {
    while (!h.done()) std::this_thread::yield();
  }
}
task<> join(std::vector<join_handle<>>& handles) {
  for (auto& h : handles) co_await h;
}

class interplay : public testing::TestWithParam<scheduling> {};
INSTANTIATE_TEST_SUITE_P(of, interplay,
                         testing::Values(scheduling::work_stealing, scheduling::per_core,
                                         scheduling::current_thread, scheduling::guest));

void one_round(scheduling mode, rng& random, unsigned round) {
  test::quota_world world(4, 4);
  const bool followed = mode == scheduling::work_stealing && round % 4 < 2;
  const bool own = mode != scheduling::current_thread && mode != scheduling::guest && !followed;
  const bool to_the_end = round % 2 == 0;
  std::atomic<bool> over{false};
  std::thread moves([&, mine = rng(random.next())]() mutable {
    while (followed && !over) {
      world.granted = 1 + mine.below(4);
      for (unsigned i = mine.below(50); i > 0; --i) std::this_thread::yield();
    }
  });
  auto rt =
      std::make_unique<runtime>(runtime_options{.workers = own ? 3u : 0u, .mode = mode}, world);
  std::vector<join_handle<>> handles;
  std::thread host([&] {
    while (mode == scheduling::guest && !over) {
      pollfd fd{rt->poll_handle(), POLLIN, 0};
      static_cast<void>(poll(&fd, 1, 1));
      static_cast<void>(rt->run_ready(16));
    }
  });
  spawn_all(*rt, random, handles);
  if (!to_the_end) {
    for (unsigned i = random.below(200); i > 0; --i) std::this_thread::yield();
  } else if (mode == scheduling::current_thread) {
    rt->block_on(join(handles));
  } else {
    wait_for(handles);
  }
  over = true;
  host.join();
  moves.join();
  for (auto& h : handles) {
    if (round % 3 == 0) h.detach();
  }
  if (round % 3 != 0) {  // on another thread; handles may outlive it
    std::thread([&] { rt.reset(); }).join();
  }
  rt.reset();
}

TEST_P(interplay, every_job_ends) {
  rng random(test_support::seed());
  for (unsigned round = 0; round < 24; ++round) one_round(GetParam(), random, round);
}

}  // namespace
}  // namespace weft
