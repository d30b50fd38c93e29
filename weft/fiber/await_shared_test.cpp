// Each wait in memory that processes share, in a fiber: it waits, goes on with the right result, and a stop unwinds it
// and takes nothing.
#include <gtest/gtest.h>

#include <optional>

#include "weft/fiber/one_wait_test_support.hpp"
#include "weft/shared/queue.hpp"
#include "weft/shared/semaphore.hpp"
#include "weft/shared/shared_test_support.hpp"

namespace weft {
namespace {

using test_support::in_each_way;
using test_support::one_wait;
using test_support::shared_pages;

constexpr shared_options never{.look_after = std::chrono::nanoseconds::max()};

TEST(await_shared, queue_send_and_recv) {
  in_each_way([](const one_wait& wait) {
    const shared_pages memory(65536);
    auto q = shared_queue<int>::create_at(memory.all(), 1, never);
    ASSERT_TRUE(q);
    wait([&] { EXPECT_EQ(await(q->recv()), 7); }, [&] { EXPECT_TRUE(q->try_send(7)); });
    EXPECT_TRUE(q->try_send(1));
    wait([&] { EXPECT_TRUE(await(q->send(2))); }, [&] { EXPECT_EQ(q->try_recv(), 1); });
    EXPECT_EQ(q->try_recv(), 2);
    EXPECT_EQ(q->try_recv(), std::nullopt);
    wait([&] { EXPECT_EQ(await(q->recv()), std::nullopt); }, [&] { q->close(); });
  });
}

TEST(await_shared, semaphore_acquire) {
  in_each_way([](const one_wait& wait) {
    const shared_pages memory(4096);
    auto mine = shared_semaphore::create_at(memory.all(), 3, never);
    auto theirs = shared_semaphore::open_at(memory.all(), never);
    ASSERT_TRUE(mine && theirs);
    EXPECT_TRUE(theirs->try_acquire(2));
    wait([&] { await(mine->acquire(2)); }, [&] { theirs->release(2); });
    EXPECT_EQ(mine->held(), 2u);
    EXPECT_EQ(mine->available(), 1u);
  });
}

}  // namespace
}  // namespace weft
