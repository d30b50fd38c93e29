// Streams whose readers are stopped all the time, on two workers: no byte is lost and none comes
// twice, whichever processor watches the descriptor, submits, completes or stops.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"

namespace weft::net {
namespace {

constexpr int streams = 16;
constexpr std::uint32_t values = 4000;  // 4 bytes each, one after the other

class tcp_stress : public test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(each, tcp_stress, test::all_drivers, test::driver_name);

struct tally {
  std::uint64_t bytes = 0;
  std::uint32_t hash = 2166136261;
  bool ended = false;
  void add(std::byte b) {
    hash = (hash ^ static_cast<std::uint32_t>(b)) * 16777619;
    ++bytes;
  }
};

task<void> read_until_stopped(tcp_stream& from, tally& seen) {
  std::byte buffer[64];
  for (;;) {
    const auto n = co_await from.read_some(buffer);
    if (!n || *n == 0) {
      seen.ended = true;
      break;
    }
    for (std::size_t i = 0; i < *n; ++i) seen.add(buffer[i]);
  }
}
task<void> write_slowly(tcp_stream& to, rng random, tally& sent) {
  for (std::uint32_t v = 0; v < values; ++v) {
    const std::uint32_t word[1] = {v};
    const auto bytes = std::as_bytes(std::span(word));
    const auto n = co_await to.write_all(bytes);
    EXPECT_TRUE(n);
    for (const std::byte b : bytes) sent.add(b);
    if (random.below(8) == 0) co_await yield_now();
  }
  EXPECT_TRUE(to.shutdown_write());
}
task<std::uint64_t> one_stream(tcp_listener& listener, std::uint64_t seed) {
  auto out = co_await tcp_stream::connect(*listener.local_endpoint());
  auto in = co_await listener.accept();
  EXPECT_TRUE(out);
  EXPECT_TRUE(in);
  rng random(seed);
  tally sent;
  tally seen;
  auto writer = weft::spawn(write_slowly, std::ref(*out), rng(seed + 1), std::ref(sent));
  std::uint64_t stops = 0;
  while (!seen.ended) {
    auto reader = weft::spawn(read_until_stopped, std::ref(*in), std::ref(seen));
    for (std::uint32_t i = random.below(6); i != 0; --i) co_await yield_now();
    reader.stop();  // while it runs, submits, waits, completes, or has ended
    const auto how = co_await reader.outcome();
    stops += how.stopped();
  }
  co_await writer;
  EXPECT_EQ(seen.bytes, sent.bytes);
  EXPECT_EQ(seen.hash, sent.hash);
  co_return stops;
}
task<std::uint64_t> all_streams(std::uint64_t seed) {
  std::vector<tcp_listener> listeners;
  for (int i = 0; i < streams; ++i) {
    auto made = tcp_listener::bind(test::loopback);
    EXPECT_TRUE(made);
    listeners.push_back(std::move(*made));
  }
  std::vector<join_handle<std::uint64_t>> handles;
  for (int i = 0; i < streams; ++i) {
    handles.push_back(weft::spawn(one_stream, std::ref(listeners[static_cast<std::size_t>(i)]),
                                  seed + 100 * static_cast<std::uint64_t>(i)));
  }
  std::uint64_t stops = 0;
  for (auto& h : handles) {
    const auto n = co_await h;
    stops += n;
  }
  co_return stops;
}

TEST_P(tcp_stress, readers_that_are_stopped_all_the_time_lose_no_byte) {
  runtime rt({.workers = 2, .io = GetParam()});
  const std::uint64_t stops = rt.block_on(all_streams(test_support::seed()));
  std::printf("%llu stops\n", static_cast<unsigned long long>(stops));
  EXPECT_GT(stops, 0u);
}

}  // namespace
}  // namespace weft::net
