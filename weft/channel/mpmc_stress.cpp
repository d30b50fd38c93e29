// The channel on real threads: each message exactly once and each producer's in order, while jobs of
// both sides are stopped all the time.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/channel/channel_test_support.hpp"
#include "weft/channel/mpmc.hpp"

namespace weft {
namespace {

using namespace test_support;

#if WEFT_TSAN || WEFT_ASAN
constexpr int scale = 10;
#else
constexpr int scale = 1;
#endif

struct numbered {
  std::uint32_t producer;
  std::uint32_t number;
  std::unique_ptr<std::uint32_t> same;  // a message that is used twice, or half moved, shows
};

/// What a producer has sent: a job that is stopped leaves the number where the next one goes on.
struct producer_state {
  std::uint32_t number = 0;
  std::unique_ptr<numbered> unsent;
};

task<> produce(sender<std::unique_ptr<numbered>> to, producer_state& mine, std::uint32_t producer,
               std::uint32_t end) {
  while (mine.number != end || mine.unsent) {
    if (!mine.unsent) {
      mine.unsent = std::make_unique<numbered>();
      mine.unsent->producer = producer;
      mine.unsent->number = mine.number++;
      mine.unsent->same = std::make_unique<std::uint32_t>(mine.unsent->number);
    }
    const auto status = co_await to.send_from(mine.unsent);
    if (status != send_status::sent) co_return;
  }
}

struct consumer_state {
  std::vector<std::uint32_t> next;  // of each producer: the least that may come
  std::uint64_t received = 0;
  bool ordered = true;
};

task<> consume(receiver<std::unique_ptr<numbered>> from, consumer_state& mine) {
  for (;;) {
    const auto got = co_await from.recv();
    if (!got) co_return;
    const numbered& m = **got;
    if (m.number < mine.next[m.producer] || *m.same != m.number) mine.ordered = false;
    mine.next[m.producer] = m.number + 1;
    ++mine.received;
  }
}

void pass(std::size_t capacity, std::uint32_t producers, std::size_t consumers, std::uint32_t each,
          bool stops) {
  test_executor executor;
  auto ends = capacity == std::size_t(-1) ? unbounded<std::unique_ptr<numbered>>()
                                          : channel<std::unique_ptr<numbered>>(capacity);
  std::vector<producer_state> sent(producers);
  std::vector<consumer_state> got(consumers);
  for (auto& g : got) g.next.resize(producers);
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back([&] { executor.work(); });
  std::vector<started<void>> senders, receivers;
  auto send = [&](std::size_t i) {
    return start(executor, produce, ends.sender, std::ref(sent[i]), static_cast<std::uint32_t>(i),
                 each);
  };
  auto recv = [&](std::size_t i) {
    return start(executor, consume, ends.receiver, std::ref(got[i]));
  };
  for (std::size_t i = 0; i < producers; ++i) senders.push_back(send(i));
  for (std::size_t i = 0; i < consumers; ++i) receivers.push_back(recv(i));
  std::uint64_t stopped[2] = {0, 0};
  std::thread other([&] { stopped[1] = keep_going(receivers, seed() + 1, stops, recv); });
  stopped[0] = keep_going(senders, seed(), stops, send);
  ends.sender.close();
  other.join();
  executor.quit();
  for (auto& t : threads) t.join();
  std::uint64_t received = 0;
  for (const auto& g : got) {
    EXPECT_TRUE(g.ordered) << "a producer's messages came out of order, or one came damaged";
    received += g.received;
  }
  EXPECT_EQ(received, std::uint64_t{producers} * each);
  EXPECT_EQ(ends.receiver.size(), 0u);
  if (stops) {
    std::printf("stopped: %llu sends, %llu receives\n", static_cast<unsigned long long>(stopped[0]),
                static_cast<unsigned long long>(stopped[1]));
    EXPECT_GT(stopped[0] + stopped[1], 0u);
  }
}

TEST(channel_stress, bounded_4_to_4) { pass(64, 4, 4, 200'000 / scale, false); }
TEST(channel_stress, rendezvous_3_to_2) { pass(0, 3, 2, 60'000 / scale, false); }
TEST(channel_stress, unbounded_2_to_2) { pass(std::size_t(-1), 2, 2, 200'000 / scale, false); }
TEST(channel_stress, stops_lose_nothing_bounded) { pass(2, 4, 4, 60'000 / scale, true); }
TEST(channel_stress, stops_lose_nothing_rendezvous) { pass(0, 4, 4, 40'000 / scale, true); }

/// Handles go on two threads while messages are sent at every fill level.
TEST(channel_stress, ends_go_in_any_order) {
  const auto one = std::make_shared<int>(1);
  for (int round = 0; round < 20'000 / scale; ++round) {
    auto ends = channel<std::shared_ptr<int>>(static_cast<std::size_t>(round % 5));
    std::thread other([&, from = std::move(ends.receiver)]() mutable {
      for (int i = 0; i < round % 3; ++i) static_cast<void>(from.try_recv());
      const auto gone = std::move(from);
    });
    {
      const auto to = std::move(ends.sender);
      for (int i = 0; i < round % 7; ++i) static_cast<void>(to.try_send(one));
    }
    other.join();
    ASSERT_EQ(one.use_count(), 1);
  }
}

}  // namespace
}  // namespace weft
