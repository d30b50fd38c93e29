// idle, injector and parker with real threads: one item at a time into a pool that falls asleep
// between two. A lost wake hangs the test.
//   WEFT_STRESS_OPERATIONS   a hundredth of it is the number of rounds: each is a sleep and a wake
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "weft/queue/idle.hpp"
#include "weft/queue/injector.hpp"
#include "weft/queue/parker.hpp"
#include "weft/queue/stress_test_support.hpp"

namespace weft {
namespace {

constexpr std::uint32_t operations_a_round = 100;
constexpr std::uint32_t operations_usual = 1'000'000 * operations_a_round;

struct item {
  item* next = nullptr;
};

struct pool {
  explicit pool(unsigned workers) : sleepers(workers), parkers(workers) {}
  injector<item> queue;
  idle sleepers;
  std::vector<parker> parkers;
  atomic<bool> over{false};
  atomic<std::uint32_t> done{0};
  parker submitter;

  void notify() {
    if (const auto worker = sleepers.worker_to_notify())
      static_cast<void>(parkers[*worker].unpark());
  }
  void work(unsigned me) {
    bool searching = false;
    for (;;) {
      item* i = queue.pop();
      if (!i && !searching && (searching = sleepers.try_start_searching())) i = queue.pop();
      if (i) {
        if (searching && sleepers.stop_searching()) notify();
        searching = false;
        done.fetch_add(1, order::acq_rel);
        static_cast<void>(submitter.unpark());
        continue;
      }
      if (over.load(order::acquire)) return;
      const bool look_again = sleepers.sleep(me, searching);
      if (look_again && !queue.empty() && sleepers.wake_self(me)) {
        searching = sleepers.try_start_searching();
        continue;
      }
      parkers[me].park();
      searching = !sleepers.wake_self(me);
    }
  }
};

void run_rounds(unsigned workers, unsigned at_once) {
  pool p(workers);
  std::vector<std::thread> threads;
  for (unsigned w = 0; w < workers; ++w) threads.emplace_back([&p, w] { p.work(w); });
  std::vector<item> items(at_once);
  const std::uint32_t rounds =
      test_support::stress_operations(operations_usual) / operations_a_round;
  const test_support::stress_limit limit;
  std::uint32_t submitted = 0;
  for (std::uint32_t r = 0; r < rounds && (r % 256 || !limit.reached()); ++r) {
    for (item& i : items) {
      p.queue.push(&i);
      p.notify();
      ++submitted;
    }
    while (p.done.load(order::acquire) != submitted) p.submitter.park();
  }
  p.over.store(true, order::release);
  for (parker& one : p.parkers) static_cast<void>(one.unpark());
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(p.done.load(order::relaxed), submitted);
  EXPECT_TRUE(p.queue.empty());
}

TEST(idle_stress, one_item_for_each_sleep_of_a_single_worker) { run_rounds(1, 1); }
TEST(idle_stress, items_for_a_pool_that_falls_asleep_in_between) { run_rounds(3, 2); }

}  // namespace
}  // namespace weft
