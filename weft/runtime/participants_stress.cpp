// The CPU quota changes all the time under load: every job ends, every timer fires, every byte comes.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/quota_test_support.hpp"
#include "weft/runtime/time.hpp"
#include "weft/together/fork_join.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

class quota_stress : public net::test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(each, quota_stress, net::test::all_drivers, net::test::driver_name);

task<long> fib(int n) {
  if (n < 2) co_return n;
  const auto [a, b] = co_await fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
  co_return a + b;
}

task<> a_bit_of_everything(rng random, std::atomic<int>& ended) {
  for (int i = 0; i < 20; ++i) {
    switch (random.below(4)) {
      case 0:
        co_await yield_now();
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
    }
  }
  ++ended;
}

task<> echo(net::tcp_stream& stream, int rounds) {
  std::byte byte[1];
  for (int i = 0; i < rounds; ++i) {
    const auto got = co_await stream.read_some(byte);
    EXPECT_TRUE(got && *got == 1);
    const auto sent = co_await stream.write_all(byte);
    EXPECT_TRUE(sent);
  }
}
task<> ping(net::tcp_stream& stream, int rounds) {
  std::byte byte[1] = {std::byte{1}};
  for (int i = 0; i < rounds; ++i) {
    const auto sent = co_await stream.write_all(byte);
    EXPECT_TRUE(sent);
    const auto got = co_await stream.read_some(byte);
    EXPECT_TRUE(got && *got == 1);
  }
}

task<> everything(rng random) {
  constexpr int pairs = 4;
  constexpr int rounds = 200;
  constexpr int jobs = 200;
  std::vector<net::test::connection> connections;
  for (int i = 0; i < pairs; ++i) {
    auto c = co_await net::test::connected_pair();
    EXPECT_TRUE(c);
    connections.push_back(std::move(*c));
  }
  std::atomic<int> ended{0};
  std::vector<join_handle<void>> handles;
  for (auto& c : connections) {
    handles.push_back(spawn(echo, std::ref(c.server), rounds));
    handles.push_back(spawn(ping, std::ref(c.client), rounds));
  }
  for (int i = 0; i < jobs; ++i) {
    handles.push_back(spawn(a_bit_of_everything, rng(random.next()), std::ref(ended)));
  }
  for (auto& h : handles) co_await h;
  EXPECT_EQ(ended, jobs);
}

TEST_P(quota_stress, nothing_is_lost) {
  rng random(test_support::seed());
  for (int round = 0; round < 5; ++round) {
    test::quota_world world(4, 4);
    std::atomic<bool> over{false};
    std::thread moves([&world, &over, mine = rng(random.next())]() mutable {
      while (!over) {
        world.granted = 1 + mine.below(4);
        for (unsigned i = mine.below(50); i > 0; --i) std::this_thread::yield();
      }
    });
    {
      runtime rt({.io = GetParam(), .pin = round % 2 ? pinning::cores : pinning::none}, world);
      rt.block_on(everything(rng(random.next())));
    }  // ends with whoever is benched
    over = true;
    moves.join();
  }
}

}  // namespace
}  // namespace weft
