// Channels beside the simplest thing that does the same, at random; and how they end, at every fill level.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/config.hpp"
#include "weft/base/rng.hpp"
#include "weft/channel/broadcast.hpp"
#include "weft/channel/message_queue.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/task/task_test_support.hpp"

namespace weft {
namespace {

using namespace test_support;

/// A broadcast is the list of all that was sent, and for each receiver where it is in it.
class broadcast_oracle {
 public:
  explicit broadcast_oracle(std::size_t capacity) : capacity_(capacity) {}
  void send(int value) { sent_.push_back(value); }
  std::size_t end() const { return sent_.size(); }
  void close() { closed_ = true; }
  broadcast_result<int> recv(std::size_t& at) const {
    const std::size_t oldest = sent_.size() > capacity_ ? sent_.size() - capacity_ : 0;
    if (at < oldest) {
      const std::size_t missed = oldest - std::exchange(at, oldest);
      return std::unexpected(broadcast_error{broadcast_lack::lagged, missed});
    }
    if (at < sent_.size()) return sent_[at++];
    return std::unexpected(
        broadcast_error{closed_ ? broadcast_lack::closed : broadcast_lack::empty, 0});
  }

 private:
  const std::size_t capacity_;
  std::vector<int> sent_;
  bool closed_ = false;
};

TEST(channel_oracle, broadcast_agrees_with_a_list) {
  rng random(test_support::seed());
  for (const std::size_t capacity : {1u, 2u, 3u, 4u, 7u, 8u}) {
    for (int round = 0; round < 200; ++round) {
      auto ends = broadcast<int>(capacity);
      std::optional<broadcast_sender<int>> to(std::move(ends.sender));
      broadcast_oracle oracle(capacity);
      struct pair {
        broadcast_receiver<int> receiver;
        std::size_t at;
      };
      std::vector<pair> all;
      all.push_back({std::move(ends.receiver), 0});
      int next = 0;
      for (int step = 0; step < 200; ++step) {
        const std::size_t who = all.empty() ? 0 : random.below(static_cast<unsigned>(all.size()));
        switch (random.below(8)) {
          case 0:
          case 1:
          case 2:
            if (!to) break;
            ASSERT_EQ(to->send(next), all.size());
            if (!all.empty()) oracle.send(next);  // else it is there for nobody
            ++next;
            break;
          case 3:
            if (all.size() == 5) break;
            if (random.below(2) == 0 && !all.empty()) {
              all.push_back({all[who].receiver, all[who].at});  // a copy sees what is left
            } else if (to) {
              all.push_back({to->subscribe(), oracle.end()});
            }
            break;
          case 4:
            if (!all.empty() && random.below(3) == 0)
              all.erase(all.begin() + static_cast<std::ptrdiff_t>(who));
            break;
          case 5:
            if (random.below(60) != 0) break;
            to.reset();
            oracle.close();
            break;
          default: {
            if (all.empty()) break;
            const auto got = all[who].receiver.try_recv();
            const auto expected = oracle.recv(all[who].at);
            ASSERT_EQ(got.has_value(), expected.has_value()) << "capacity " << capacity;
            if (got) {
              ASSERT_EQ(*got, *expected);
            } else {
              ASSERT_EQ(got.error().why, expected.error().why);
              ASSERT_EQ(got.error().missed, expected.error().missed);
            }
          }
        }
      }
    }
  }
}

/// Says if two threads copy it at the same time, which a copy constructor of a user's may not bear.
class copied_alone {
 public:
  copied_alone() = default;
  copied_alone(const copied_alone& other) : content_(other.content_) {
    if (inside_.fetch_add(1) != 0) at_once_ = true;
    ++other.copies_;  // plain, as in a class that counts its own references
    inside_.fetch_sub(1);
  }
  copied_alone(copied_alone&& other) noexcept : content_(std::move(other.content_)) {}
  static bool were_two_at_once() { return at_once_; }

 private:
  std::vector<int> content_ = std::vector<int>(20, 1);
  mutable long copies_ = 0;
  static inline std::atomic<int> inside_{0};
  static inline std::atomic<bool> at_once_{false};
};

/// Each receiver has a copy of the message, and they are not made at the same time.
TEST(channel_oracle, broadcast_makes_one_copy_of_a_message_at_a_time) {
  auto ends = broadcast<copied_alone>(4);
  constexpr int messages = WEFT_TSAN ? 300 : 3000;
  std::atomic<std::uint64_t> had{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&had, from = ends.receiver]() mutable {
      for (;;) {
        const auto got = from.try_recv();
        if (got) {
          had.fetch_add(1);
        } else if (got.error().why == broadcast_lack::lagged) {
          had.fetch_add(got.error().missed);
        } else if (got.error().why == broadcast_lack::closed) {
          return;
        } else {
          std::this_thread::yield();
        }
      }
    });
  }
  for (int i = 0; i < messages; ++i) ends.sender.send(copied_alone());
  {
    const auto gone = std::move(ends.sender);
  }
  for (auto& t : threads) t.join();
  EXPECT_EQ(had.load(), std::uint64_t{3} * messages);
  EXPECT_FALSE(copied_alone::were_two_at_once());
}

/// What holds a message is freed once, whatever is in it: at each border of the blocks that an unbounded one
/// is made of, at each place of the ring, while a sender is still at it.
void drops_at_every_fill_level(std::size_t capacity, std::size_t most) {
  const auto one = std::make_shared<int>(1);
  for (std::size_t before = 0; before <= most; before += WEFT_TSAN || WEFT_ASAN ? 3 : 1) {
    for (const std::size_t taken : {std::size_t{0}, std::size_t{1}, before / 2, before}) {
      auto ends = capacity == 0 ? unbounded<std::shared_ptr<int>>()
                                : channel<std::shared_ptr<int>>(capacity);
      std::size_t sent = 0;
      for (std::size_t i = 0; i < before; ++i) sent += ends.sender.try_send(one) ? 1 : 0;
      for (std::size_t i = 0; i < taken && i < sent; ++i)
        ASSERT_TRUE(ends.receiver.try_recv().has_value());
      ASSERT_EQ(one.use_count(), 1 + static_cast<long>(sent - std::min(taken, sent)));
      std::thread other([&one, to = std::move(ends.sender)]() mutable {
        for (int i = 0; i < 3; ++i) static_cast<void>(to.try_send(one));
        const auto gone = std::move(to);
      });
      {
        const auto gone = std::move(ends.receiver);
      }
      other.join();
      ASSERT_EQ(one.use_count(), 1) << before << " were sent, " << taken << " were taken";
    }
  }
}
TEST(channel_oracle, unbounded_one_is_freed_once_at_every_fill_level) {
  drops_at_every_fill_level(0, 3 * detail::message_ring<std::shared_ptr<int>>::segment_slots + 2);
}
TEST(channel_oracle, bounded_one_is_freed_once_at_every_fill_level) {
  for (const std::size_t capacity : {1u, 2u, 7u, 64u}) {
    drops_at_every_fill_level(capacity, capacity + 1);
  }
}

/// Its consumer has stopped reading, and everybody else goes on: what is held has a bound, and the books of
/// each policy are exact.
TEST(channel_oracle, consumer_that_stands_still_costs_no_more_than_the_capacity) {
  constexpr std::uint64_t many = WEFT_TSAN || WEFT_ASAN ? 20'000 : 1'000'000;
  constexpr std::size_t capacity = 100;
  struct counted {
    explicit counted(std::int64_t& n) noexcept : alive(&n) { ++*alive; }
    counted(counted&& o) noexcept : alive(std::exchange(o.alive, nullptr)) {}
    counted& operator=(counted&& o) noexcept {
      std::swap(alive, o.alive);
      return *this;
    }
    ~counted() {
      if (alive != nullptr) --*alive;
    }
    std::int64_t* alive;
  };
  for (const overflow policy : {overflow::drop_oldest, overflow::fail, overflow::block_writer}) {
    std::int64_t alive = 0, most = 0;
    {
      message_queue<counted> q(capacity, policy);
      std::uint64_t refused = 0;
      for (std::uint64_t i = 0; i < many; ++i) {
        if (!q.try_send(counted(alive))) ++refused;
        most = std::max(most, alive);
      }
      const auto books = q.stats();
      const bool drops = policy == overflow::drop_oldest;
      EXPECT_EQ(books, (message_queue_stats{drops ? many : capacity, 0, drops ? many - capacity : 0,
                                            capacity, capacity}));
      EXPECT_EQ(refused, drops ? 0 : many - capacity);
      EXPECT_EQ(alive, static_cast<std::int64_t>(capacity));
    }
    EXPECT_LE(most, static_cast<std::int64_t>(capacity) + 1);
    EXPECT_EQ(alive, 0);
  }
  // A broadcast's slowest receiver holds up nobody; a watch has the newest, and what is lent.
  std::int64_t alive = 0, most = 0;
  {
    auto all = broadcast<std::shared_ptr<counted>>(capacity);
    auto quick = all.sender.subscribe();
    for (std::uint64_t i = 0; i < many; ++i) {
      all.sender.send(std::make_shared<counted>(alive));
      EXPECT_TRUE(quick.try_recv().has_value());
      most = std::max(most, alive);
    }
    EXPECT_EQ(all.receiver.size(), many);
    const auto lagged = all.receiver.try_recv();
    ASSERT_FALSE(lagged.has_value());
    EXPECT_EQ(lagged.error().missed, many - capacity);
  }
  EXPECT_LE(most, static_cast<std::int64_t>(capacity) + 1);
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace weft
