// The frame pool on real threads: frames of all sizes change hands, what is written in them stays, and
// all of it is home at the end although it is trimmed all the time.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/config.hpp"
#include "weft/base/rng.hpp"
#include "weft/task/frame_pool.hpp"
#include "weft/task/frame_slabs.hpp"
#include "weft/task/frame_trim.hpp"

namespace weft {
namespace {

#if WEFT_TSAN || WEFT_ASAN
constexpr int rounds = 60'000;
#else
constexpr int rounds = 200'000;
#endif
constexpr unsigned threads = 4;
constexpr unsigned slots = 4096;

/// At the front of each frame; the rest has its size's low byte.
struct content {
  std::uint64_t bytes;
  std::uint64_t own_address;
};

void* make(rng& random) {
  // Mostly a few sizes, so that slabs change their class; some are the system's.
  const unsigned kind = random.below(16);
  const std::size_t bytes = kind < 8    ? 16 + 300 * (kind % 3)
                            : kind < 15 ? sizeof(content) + random.below(2000)
                                        : 2100;
  void* const p = allocate_frame(bytes);
  std::memset(p, static_cast<int>(bytes & 0xff), bytes);
  *static_cast<content*>(p) = {bytes, reinterpret_cast<std::uint64_t>(p)};
  return p;
}

bool check_and_free(void* p) {
  if (p == nullptr) return true;
  const content c = *static_cast<content*>(p);
  const auto* const rest = static_cast<unsigned char*>(p) + sizeof(content);
  const bool whole = c.own_address == reinterpret_cast<std::uint64_t>(p) &&
                     std::all_of(rest, rest + (c.bytes - sizeof(content)), [&](unsigned char byte) {
                       return byte == static_cast<unsigned char>(c.bytes);
                     });
  free_frame(p, c.bytes);
  return whole;
}

TEST(frame_pool_stress, frames_that_change_hands_stay_whole_and_come_home) {
  trim_frame_pool();
  const frame_pool_figures before = frame_pool_now();
  const auto shared = std::make_unique<atomic<void*>[]>(slots);
  atomic<int> broken{0};
  atomic<unsigned> working{threads};
  std::vector<std::thread> all;
  for (unsigned t = 0; t < threads; ++t) {
    all.emplace_back([&, t] {
      rng random(test_support::seed() + t);
      for (int i = 0; i < rounds; ++i) {
        // Now a stretch that fills the slots, now one that empties them: bursts.
        void* const mine = (i / 2000 + static_cast<int>(t)) % 3 == 0 ? nullptr : make(random);
        void* const other = shared[random.below(slots)].exchange(mine, order::acq_rel);
        if (!check_and_free(other)) broken.fetch_add(1, order::relaxed);
      }
      working.fetch_sub(1, order::relaxed);
    });
  }
  std::int64_t now_ns = 0;
  for (bool at_once = false; working.load(order::relaxed) != 0; at_once = !at_once) {
    if (at_once) {
      trim_frame_pool();
    } else {
      now_ns += detail::trim_period_ns;
      static_cast<void>(detail::trim_due_ns(now_ns));
      detail::trim_frames(now_ns);
    }
    std::this_thread::yield();
  }
  for (auto& thread : all) thread.join();
  for (unsigned i = 0; i < slots; ++i) {
    if (!check_and_free(shared[i].load(order::relaxed))) broken.fetch_add(1, order::relaxed);
  }
  EXPECT_EQ(broken.load(order::relaxed), 0);
  trim_frame_pool();
  const frame_pool_figures after = frame_pool_now();
  EXPECT_EQ(after.used_bytes, before.used_bytes);
  EXPECT_EQ(after.out_bytes, before.out_bytes);
  EXPECT_EQ(after.mapped_bytes, before.mapped_bytes);
}

}  // namespace
}  // namespace weft
