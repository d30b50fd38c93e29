// What may be copied, moved and handed to another thread. C++ has no type for "may cross threads": what
// must not be shared cannot be copied here, and what must stay cannot be moved.
#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include "weft/weft.hpp"

namespace weft {
namespace {

template <class T>
constexpr bool stays = !std::is_copy_constructible_v<T> && !std::is_move_constructible_v<T> &&
                       !std::is_copy_assignable_v<T> && !std::is_move_assignable_v<T>;
/// It has one owner, who may hand it on.
template <class T>
constexpr bool has_one_owner = !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> &&
                               std::is_nothrow_move_constructible_v<T>;
template <class T>
constexpr bool is_shared =
    std::is_copy_constructible_v<T> && std::is_nothrow_move_constructible_v<T>;

// A task refers to what its caller has.
static_assert(stays<task<>> && stays<task<int>>);
// Who waits in one of them knows its address.
static_assert(stays<mutex> && stays<shared_mutex> && stays<semaphore> && stays<event>);
static_assert(stays<notify> && stays<latch> && stays<barrier> && stays<once>);
static_assert(stays<condition_variable> && stays<rate_limiter> && stays<message_queue<int>>);
static_assert(stays<runtime> && stays<blocking_class> && stays<task_local<int>>);
static_assert(stays<failure_log> && stays<shield_scope>);
// A waiting operation is in a list.
static_assert(stays<decltype(std::declval<mutex&>().lock())>);
static_assert(stays<decltype(std::declval<semaphore&>().acquire())>);
static_assert(stays<decltype(std::declval<event&>().wait())>);
static_assert(stays<decltype(std::declval<receiver<int>&>().recv())>);
static_assert(stays<decltype(std::declval<sender<int>&>().send(1))>);
static_assert(stays<decltype(std::declval<oneshot_receiver<int>&>().recv())>);
static_assert(stays<decltype(std::declval<broadcast_receiver<int>&>().recv())>);
static_assert(stays<decltype(std::declval<watch_receiver<int>&>().changed())>);
static_assert(stays<sleep_operation>);
// A second owner would join, unlock, send or close twice.
static_assert(has_one_owner<join_handle<>> && has_one_owner<join_handle<int>>);
static_assert(has_one_owner<mutex_guard> && has_one_owner<semaphore_guard>);
static_assert(has_one_owner<oneshot_sender<int>> && has_one_owner<oneshot_receiver<int>>);
static_assert(has_one_owner<generator<int>> && has_one_owner<stream<int>>);
static_assert(has_one_owner<net::tcp_stream> && has_one_owner<net::tcp_listener>);
// Handles that count: a copy is for another job.
static_assert(is_shared<sender<int>> && is_shared<receiver<int>>);
static_assert(is_shared<broadcast_sender<int>> && is_shared<broadcast_receiver<int>>);
static_assert(is_shared<watch_sender<int>> && is_shared<watch_receiver<int>>);
static_assert(is_shared<stop_token> && is_shared<stop_source>);
// A channel of what cannot be copied has handles that can.
static_assert(is_shared<sender<std::unique_ptr<int>>> && is_shared<receiver<std::unique_ptr<int>>>);
// A broadcast gives each receiver a copy, and is refused where there can be none.
template <class T>
concept can_be_broadcast = requires { typename std::enable_if_t<std::copy_constructible<T>, T>; };
static_assert(!can_be_broadcast<std::unique_ptr<int>>);

/// No lock of weft belongs to a thread: what is held may be let go wherever it was moved to.
TEST(ownership, guard_may_be_let_go_on_another_thread) {
  mutex m;
  shared_mutex s;
  semaphore p(1);
  auto locked = m.try_lock();
  auto shared = s.try_lock_shared();
  ASSERT_TRUE(locked && shared && p.try_acquire());
  std::optional<semaphore_guard> permit(std::in_place, p);
  std::thread([a = std::move(locked), b = std::move(shared), c = std::move(permit)] {}).join();
  EXPECT_TRUE(m.try_lock());
  EXPECT_TRUE(s.try_lock());
  EXPECT_EQ(p.available(), 1u);
}

}  // namespace
}  // namespace weft
