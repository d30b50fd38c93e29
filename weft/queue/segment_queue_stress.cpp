// segment_queue and inbox with real threads: every item comes out once, and in its pusher's order.
#include "weft/queue/segment_queue.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "weft/queue/batches_test_support.hpp"
#include "weft/queue/inbox.hpp"
#include "weft/queue/parker.hpp"
#include "weft/queue/stress_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

using item = linked;

// Blocks of three, so that they go round all the time, and the usual ones.
TEST(segment_queue_stress, every_item_comes_out_once_and_in_order) {
  segment_queue<item, 60> q;
  push_and_pop_in_batches(q);
}
TEST(segment_queue_stress, every_item_comes_out_once_when_blocks_are_tiny) {
  segment_queue<item, 4> q;
  push_and_pop_in_batches(q);
}

// The owner sleeps whenever it finds nothing: a lost wake hangs the test.
TEST(inbox_stress, owner_is_woken_for_every_item) {
  constexpr unsigned pushers = 2;
  const std::uint32_t each = stress_operations(2'000'000) / pushers;
  inbox<item> box;
  parker bed;
  const stress_limit limit;
  atomic<std::uint32_t> pushed(0);
  atomic<unsigned> pushing(pushers);
  std::vector<std::thread> threads;
  for (unsigned p = 0; p < pushers; ++p) {
    threads.emplace_back([&, p] {
      std::uint32_t n = 0;
      for (; n < each && (n % 1024 || !limit.reached()); ++n) {
        if (box.push(new item{nullptr, p * each + n})) static_cast<void>(bed.unpark());
        if (n % 64 == 0) std::this_thread::yield();
      }
      pushed.fetch_add(n, order::relaxed);
      if (pushing.fetch_sub(1, order::acq_rel) == 1) static_cast<void>(bed.unpark());
    });
  }
  std::uint32_t had = 0, next[pushers] = {};
  for (;;) {
    const bool last = pushing.load(order::acquire) == 0;
    const auto chain = box.take_all();
    if (!chain.first) {
      if (last) break;
      bed.park();
    }
    for (item* i = chain.first; i;) {
      ASSERT_EQ(i->number % each, next[i->number / each]++) << "two items changed places";
      ++had;
      item* const done = i;
      i = i->next;
      delete done;
    }
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(had, pushed.load(order::relaxed));
}

}  // namespace
}  // namespace weft
