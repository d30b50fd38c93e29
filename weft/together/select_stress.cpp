// select on real threads: producers, selecting consumers over channels and semaphores, and stops all the
// time. Each message is received once, and each permit taken once, or they are still there.
#include "weft/together/select.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/sync/semaphore.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

constexpr unsigned channels = 3, producers = 4, consumers = 6;

std::uint32_t messages_of_each() {
  const char* const asked = std::getenv("WEFT_STRESS_OPERATIONS");
  if (asked != nullptr) {
    return static_cast<std::uint32_t>(std::strtoul(asked, nullptr, 10) / 100 / producers) + 1;
  }
  return WEFT_TSAN || WEFT_ASAN ? 1'000 : 10'000;
}

using message = std::unique_ptr<std::uint32_t>;  // one that is used twice, or half moved, shows

struct shared {
  explicit shared(std::uint32_t n) : seen(n) {
    ends.push_back(channel<message>(0));
    ends.push_back(channel<message>(1));
    ends.push_back(channel<message>(16));
  }
  std::vector<channel_ends<message>> ends;
  semaphore permits{0};
  std::vector<atomic<std::uint32_t>> seen;  // of each message: how often it was received
  atomic<std::uint64_t> received{0}, released{0}, taken{0};
  atomic<bool> over{false};
};

/// What a producer has sent: a job that is stopped leaves off where the next one goes on.
struct state {
  std::uint32_t next = 0, end = 0;
  message unsent;
};

task<> produce(shared& s, state& mine, std::uint64_t seed) {
  rng random(seed);
  while (mine.next != mine.end || mine.unsent) {
    if (!mine.unsent) mine.unsent = std::make_unique<std::uint32_t>(mine.next++);
    if (random.below(4) == 0) {
      const auto status = co_await s.ends[random.below(channels)].sender.send_from(mine.unsent);
      EXPECT_EQ(status, send_status::sent);
      continue;
    }
    const auto w = co_await select(s.ends[random.below(channels)].sender.send_from(mine.unsent),
                                   sleep_for(20us));
    if (w.index() == 0) continue;
    if (random.below(2) == 0) {
      s.released.fetch_add(1, order::relaxed);
      s.permits.release();
    }
  }
}

void note(shared& s, const std::optional<message>& m) {
  if (!m) return;
  s.seen[**m].fetch_add(1, order::relaxed);
  s.received.fetch_add(1, order::relaxed);
}

task<> consume(shared& s, std::uint64_t seed) {
  rng random(seed);
  while (!s.over.load(order::relaxed)) {
    auto& x = s.ends[0].receiver;
    auto& y = s.ends[1].receiver;
    auto& z = s.ends[2].receiver;
    if (random.below(8) == 0) {
      const auto m = co_await x.recv();
      note(s, m);
      continue;
    }
    if (random.below(2) == 0) {
      const auto w = co_await select(x.recv(), s.permits.acquire(), y.recv(), z.recv());
      if (w.index() == 0) note(s, std::get<0>(w));
      if (w.index() == 1) s.taken.fetch_add(1, order::relaxed);
      if (w.index() == 2) note(s, std::get<2>(w));
      if (w.index() == 3) note(s, std::get<3>(w));
    } else {
      const auto w =
          co_await select_biased(z.recv(), x.recv(), s.permits.acquire(), sleep_for(50us));
      if (w.index() == 0) note(s, std::get<0>(w));
      if (w.index() == 1) note(s, std::get<1>(w));
      if (w.index() == 2) s.taken.fetch_add(1, order::relaxed);
    }
  }
}

/// Runs f again and again, stopping it at random moments, until it ends by itself.
template <class F>
task<> with_stops(F f, std::uint64_t seed, shared& s) {
  rng random(seed);
  for (;;) {
    auto one = spawn(f, random.next());
    const auto first = co_await select_biased(
        one.outcome(), sleep_for(std::chrono::microseconds(random.below(400))));
    if (first.index() == 0) {
      EXPECT_TRUE(std::get<0>(first).has_value());
      break;
    }
    one.stop();
    const auto end = co_await one.outcome();
    if (!end.stopped() || s.over.load(order::relaxed)) break;
  }
}

task<> all_of_it(std::uint32_t each) {
  shared s(producers * each);
  rng random(test_support::seed());
  std::vector<state> states(producers);
  std::vector<join_handle<void>> makers, takers;
  for (unsigned i = 0; i < producers; ++i) {
    states[i].next = i * each;
    states[i].end = (i + 1) * each;
    state& mine = states[i];
    const auto work = [&s, &mine](std::uint64_t seed) { return produce(s, mine, seed); };
    makers.push_back(spawn([work, &s, seed = random.next()] { return with_stops(work, seed, s); }));
  }
  for (unsigned i = 0; i < consumers; ++i) {
    const auto work = [&s](std::uint64_t seed) { return consume(s, seed); };
    takers.push_back(spawn([work, &s, seed = random.next()] { return with_stops(work, seed, s); }));
  }
  for (auto& m : makers) co_await m;
  // All are sent. What is in line is received by whoever is there, or by us.
  s.over.store(true, order::relaxed);
  for (auto& t : takers) co_await t;
  for (auto& c : s.ends) {
    for (auto m = c.receiver.try_recv(); m; m = c.receiver.try_recv()) note(s, m);
  }
  for (auto& count : s.seen) EXPECT_EQ(count.load(order::relaxed), 1u);
  EXPECT_EQ(s.received.load(order::relaxed), producers * each);
  EXPECT_EQ(s.taken.load(order::relaxed) + s.permits.available(), s.released.load(order::relaxed));
  std::printf("%llu messages, %llu permits\n",
              static_cast<unsigned long long>(s.received.load(order::relaxed)),
              static_cast<unsigned long long>(s.taken.load(order::relaxed)));
}

TEST(select_stress, each_message_and_each_permit_once) {
  runtime rt({.workers = 4});
  rt.block_on(all_of_it(messages_of_each()));
}

}  // namespace
}  // namespace weft
