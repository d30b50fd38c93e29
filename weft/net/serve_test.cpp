// serve(): what becomes of a connection whose job cannot begin.
#include "weft/net/serve.hpp"

#include <gtest/gtest.h>

#include <array>
#include <new>
#include <stdexcept>
#include <string>

#include "weft/net/tcp_test_support.hpp"

namespace weft::net {
namespace {

using test::all_drivers;
using test::bytes_of;
using test::driver_name;
using test::loopback;

class serve_test : public test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(each, serve_test, all_drivers, driver_name);

task<> greet(tcp_stream stream) {
  const auto sent = co_await stream.write_all(bytes_of("hello"));
  EXPECT_TRUE(sent);
}

/// As a coroutine whose frame finds no memory, for the first so many.
class greet_but_the_first {
 public:
  greet_but_the_first(int& left) noexcept : left_(&left) {}
  task<> operator()(tcp_stream stream) const {
    if (*left_ > 0) {
      --*left_;
      throw std::bad_alloc();
    }
    return greet(std::move(stream));
  }

 private:
  int* left_;  // one worker
};

task<std::size_t> bytes_of_greeting(endpoint where) {
  auto client = co_await tcp_stream::connect(where);
  EXPECT_TRUE(client);
  std::array<std::byte, 8> room;
  const auto n = co_await client->read_exact(room);  // up to the end
  co_return n ? *n : 0;
}

task<> serve_at(tcp_listener& listener, greet_but_the_first handler) {
  const auto ended = co_await serve(listener, handler);
  EXPECT_TRUE(ended);
}

task<> refuse_three() {
  auto listener = tcp_listener::bind(loopback);
  EXPECT_TRUE(listener);
  const endpoint where = *listener->local_endpoint();
  int left = 3;
  const std::uint64_t before = connections_refused();
  auto server = weft::spawn(serve_at, std::ref(*listener), greet_but_the_first(left));
  for (const std::size_t expected : {0u, 0u, 0u, 5u, 5u}) {
    const std::size_t got = co_await bytes_of_greeting(where);
    EXPECT_EQ(got, expected);
  }
  EXPECT_EQ(connections_refused() - before, 3u);
  server.stop();
  const auto end = co_await server.outcome();
  EXPECT_TRUE(end.stopped());
}

// An exception of a detached job ends the program: the policy of this runtime.
TEST_P(serve_test,
       a_connection_without_memory_for_its_job_is_closed_and_counted_and_the_next_served) {
  runtime rt({.workers = 1, .io = GetParam(), .on_panic = panic_policy::abort});
  rt.block_on(rt.spawn(refuse_three));
}

task<> throws_otherwise(tcp_stream) {
  throw std::runtime_error("not about memory");
  co_return;
}
task<> serve_one(tcp_listener& listener) {
  const auto ended = co_await serve(listener, throws_otherwise);
  static_cast<void>(ended);
}
task<> one_panics() {
  auto listener = tcp_listener::bind(loopback);
  EXPECT_TRUE(listener);
  const std::uint64_t before = connections_refused();
  auto server = weft::spawn(serve_one, std::ref(*listener));
  const std::size_t got = co_await bytes_of_greeting(*listener->local_endpoint());
  EXPECT_EQ(got, 0u);
  EXPECT_EQ(connections_refused(), before);
  server.stop();
  const auto end = co_await server.outcome();
  EXPECT_TRUE(end.stopped());
}
TEST_P(serve_test, another_exception_is_told_as_before) {
  ::testing::internal::CaptureStderr();
  {
    runtime rt({.workers = 1, .io = GetParam(), .on_panic = panic_policy::log});
    rt.block_on(rt.spawn(one_panics));
  }
  EXPECT_NE(::testing::internal::GetCapturedStderr().find("not about memory"), std::string::npos);
}

}  // namespace
}  // namespace weft::net
