// Each wait of weft/channel in a fiber: it waits, goes on with the right result, and a stop unwinds it.
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "weft/channel/broadcast.hpp"
#include "weft/channel/message_queue.hpp"
#include "weft/channel/mpmc.hpp"
#include "weft/channel/oneshot.hpp"
#include "weft/channel/watch.hpp"
#include "weft/fiber/one_wait_test_support.hpp"

namespace weft {
namespace {

using test_support::in_each_way;
using test_support::one_wait;
using test_support::wait_end;
using parcel = std::unique_ptr<int>;

TEST(await_channel, send_to_a_full_channel_and_to_a_rendezvous) {
  for (const std::size_t capacity : {0u, 1u}) {
    in_each_way([&](const one_wait& wait) {
      auto [to, from] = channel<int>(capacity);
      if (capacity == 1) {
        EXPECT_TRUE(to.try_send(0));
      }
      std::optional<int> first;
      join_handle<> taker;
      wait(
          [&] {
            const auto sent = await(to.send(7));
            EXPECT_TRUE(sent);
          },
          [&] { taker = go([&] { first = await(from.recv()); }); });
      await(taker);
      if (capacity == 1) {
        EXPECT_EQ(std::exchange(first, from.try_recv()), 0);
      }
      EXPECT_EQ(first, 7);
      EXPECT_EQ(from.try_recv(), std::nullopt) << "a stopped send has sent nothing";
    });
  }
}

TEST(await_channel, send_from_leaves_a_stopped_sender_its_value) {
  in_each_way([](const one_wait& wait) {
    auto [to, from] = channel<parcel>(1);
    EXPECT_TRUE(to.try_send(nullptr));
    auto mine = std::make_unique<int>(7);
    wait([&] { EXPECT_EQ(await(to.send_from(mine)), send_status::sent); },
         [&] {
           EXPECT_NE(mine, nullptr) << "not sent yet";
           EXPECT_EQ(from.try_recv(), parcel());
         });
    EXPECT_EQ(mine, nullptr);
    const auto got = from.try_recv();
    ASSERT_TRUE(got && *got);
    EXPECT_EQ(**got, 7);
  });
}

TEST(await_channel, recv_of_a_bounded_and_of_an_unbounded_channel) {
  in_each_way([](const one_wait& wait) {
    const auto row = [&](auto ends) {
      wait([&] { EXPECT_EQ(await(ends.receiver.recv()), 7); },
           [&] { EXPECT_TRUE(ends.sender.try_send(7)); });
      EXPECT_EQ(ends.receiver.try_recv(), std::nullopt);
      wait([&] { EXPECT_EQ(await(ends.receiver.recv()), std::nullopt); },
           [&] { ends.sender.close(); });
    };
    row(channel<int>(1));
    row(unbounded<int>());
  });
}

TEST(await_channel, recv_many) {
  in_each_way([](const one_wait& wait) {
    auto [to, from] = channel<int>(8);
    std::vector<int> got;
    wait([&] { EXPECT_EQ(await(from.recv_many(got, 2)), 2u); },
         [&] {
           for (int i = 1; i <= 3; ++i) EXPECT_TRUE(to.try_send(i));
         });
    EXPECT_EQ(got, (std::vector{1, 2}));
    EXPECT_EQ(from.try_recv(), 3);
  });
}

TEST(await_channel, oneshot_recv) {
  in_each_way([](const one_wait& wait) {
    auto [to, from] = oneshot<int>();
    wait([&] { EXPECT_EQ(await(from.recv()), 7); }, [&] { EXPECT_TRUE(to.send(7)); });
  });
}

TEST(await_channel, broadcast_recv) {
  in_each_way([](const one_wait& wait) {
    auto [to, from] = broadcast<int>(2);
    wait([&] { EXPECT_EQ(await(from.recv()), 7); }, [&] { EXPECT_EQ(to.send(7), 1u); });
    wait(
        [&] {
          const auto got = await(from.recv());
          ASSERT_FALSE(got);
          EXPECT_EQ(got.error().why, broadcast_lack::closed);
        },
        [&] { auto last = std::move(to); });
  });
}

TEST(await_channel, watch_changed) {
  in_each_way([](const one_wait& wait) {
    auto [to, from] = watch(0);
    wait([&] { EXPECT_TRUE(await(from.changed())); }, [&] { to.send(7); });
    EXPECT_EQ(from.get(), 7);
    wait([&] { EXPECT_FALSE(await(from.changed())); }, [&] { auto last = std::move(to); });
  });
}

TEST(await_channel, watch_wait_for) {
  in_each_way([](const one_wait& wait) {
    auto [to, from] = watch(0);
    const auto is_7 = [](int v) { return v == 7; };
    wait(
        [&] {
          const auto got = await(from.wait_for(is_7));
          ASSERT_TRUE(got);
          EXPECT_EQ(**got, 7);
        },
        [&] {
          to.send(1);
          await(yield_now());
          to.send(7);
        });
  });
}

TEST(await_channel, message_queue_send_and_send_from) {
  in_each_way([](const one_wait& wait) {
    message_queue<parcel> q(1);
    EXPECT_TRUE(q.try_send(nullptr));
    const auto takes = [&] { EXPECT_EQ(q.try_recv(), parcel()); };
    wait(
        [&] {
          const auto sent = await(q.send(nullptr));
          EXPECT_TRUE(sent);
        },
        takes);
    auto mine = std::make_unique<int>(7);
    wait([&] { EXPECT_EQ(await(q.send_from(mine)), send_status::sent); },
         [&] {
           EXPECT_NE(mine, nullptr) << "not sent yet";
           takes();
         });
    EXPECT_EQ(mine, nullptr);
    const auto got = q.try_recv();
    ASSERT_TRUE(got && *got);
    EXPECT_EQ(**got, 7);
    EXPECT_EQ(q.size(), 0u);
  });
}

TEST(await_channel, message_queue_recv_recv_many_and_readable) {
  in_each_way([](const one_wait& wait) {
    message_queue<int> q(4);
    wait([&] { EXPECT_EQ(await(q.recv()), 7); }, [&] { EXPECT_TRUE(q.try_send(7)); });
    std::vector<int> got;
    wait([&] { EXPECT_EQ(await(q.recv_many(got, 2)), 2u); },
         [&] {
           for (int i = 1; i <= 3; ++i) EXPECT_TRUE(q.try_send(i));
         });
    EXPECT_EQ(got, (std::vector{1, 2}));
    EXPECT_EQ(q.try_recv(), 3);
    wait([&] { EXPECT_TRUE(await(q.readable())); }, [&] { EXPECT_TRUE(q.try_send(8)); });
    EXPECT_EQ(q.try_recv(), 8);
    wait([&] { EXPECT_FALSE(await(q.readable())); }, [&] { q.close(); });
  });
}

}  // namespace
}  // namespace weft
