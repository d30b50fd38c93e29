// What the tests of both modes without a thread share: current_thread and guest.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "weft/base/census.hpp"
#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/time.hpp"
#include "weft/together/fork_join.hpp"

namespace weft::test {

using namespace std::chrono_literals;

/// A promise of another thread's: whoever awaits it goes on when somebody calls happen().
class moment final : public awaitable_operation<moment> {
 public:
  moment() noexcept {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    if (waiter.owner()->arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
    waits.store(true);
    waits.notify_all();
    return std::noop_coroutine();
  }
  void happen() noexcept { finish(false); }
  void withdraw() noexcept override {}
  const char* what() const noexcept override { return "moment"; }
  void await_resume() const noexcept {}
  std::atomic<bool> waits{false};
};

inline task<std::thread::id> wait_for(moment& m) {
  co_await m;
  co_return std::this_thread::get_id();
}

/// Does not hear of a stop.
inline task<> stuck_at(moment& m) {
  this_task::set_name("stuck");
  co_await m;
}

/// Threads of this process, as the system counts them.
inline long threads_alive() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}

inline task<int> give(int x) { co_return x; }
inline task<> fail() {
  co_await yield_now();
  throw std::runtime_error("planned");
}
inline task<> sleep_long() { co_await sleep_for(1h); }
inline task<> turn_for_ever() {
  for (;;) co_await yield_now();
}

inline task<long> spawn_and_join(int n) {
  std::vector<join_handle<int>> handles;
  for (int i = 0; i < n; ++i) handles.push_back(spawn(give, i));
  long sum = 0;
  for (auto& h : handles) {
    const int got = co_await h;
    sum += got;
  }
  co_return sum;
}

inline task<> sleep_and_note(std::chrono::milliseconds d, int id, std::vector<int>& order) {
  co_await sleep_for(d);
  order.push_back(id);
}
/// For one worker: two would note in any order, and both at once.
inline task<std::vector<int>> sleepers() {
  std::vector<int> order;
  auto a = spawn(sleep_and_note, 30ms, 3, std::ref(order));
  auto b = spawn(sleep_and_note, 10ms, 1, std::ref(order));
  auto c = spawn(sleep_and_note, 20ms, 2, std::ref(order));
  co_await a;
  co_await b;
  co_await c;
  co_return order;
}

inline task<int> fib(int n) {
  if (n < 2) co_return n;
  auto [a, b] = co_await fork_join([n] { return fib(n - 1); }, [n] { return fib(n - 2); });
  co_return a + b;
}

inline task<bool> on_the_pool() {
  const auto mine = std::this_thread::get_id();
  const auto other = co_await spawn_blocking([] { return std::this_thread::get_id(); });
  co_return (mine != other && std::this_thread::get_id() == mine);
}

/// A client and a server, each a job: `rounds` times there and back.
inline task<> echo_until_closed(net::tcp_stream stream) {
  std::array<std::byte, 64> buffer;
  for (;;) {
    const auto n = co_await stream.read_some(buffer);
    if (!n || *n == 0) co_return;
    const auto sent = co_await stream.write_all(std::span<const std::byte>(buffer).first(*n));
    if (!sent) co_return;
  }
}
inline task<int> echo(int rounds) {
  auto pair = co_await net::test::connected_pair();
  if (!pair) co_return -1;
  int back = 0;
  {
    auto server = spawn(echo_until_closed, std::move(pair->server));
    std::array<std::byte, 5> got;
    for (int i = 0; i < rounds; ++i) {
      const auto sent = co_await pair->client.write_all(net::test::bytes_of("hello"));
      if (!sent) break;
      const auto n = co_await pair->client.read_exact(got);
      if (!n || net::test::text_of(got) != "hello") break;
      ++back;
    }
    pair->client = net::tcp_stream();
    co_await server;
  }
  co_return back;
}

}  // namespace weft::test
