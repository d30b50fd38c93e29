// A listener on each worker: who serves what, and how it ends.
#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "weft/net/serve.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/runtime/runtime.hpp"

namespace weft::net {
namespace {

using test::all_drivers;
using test::driver_name;
using test::loopback;

class per_worker : public test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(each, per_worker, all_drivers, driver_name);

/// Tells for each byte which worker it was read on; moves if it can.
task<> tell_worker(tcp_stream stream) {
  for (;;) {
    std::byte buffer[1];
    const auto n = co_await stream.read_some(buffer);
    if (!n || *n == 0) co_return;
    co_await yield_now();
    buffer[0] = static_cast<std::byte>(this_task::worker());
    const auto sent = co_await stream.write_all(buffer);
    if (!sent) co_return;
  }
}
/// The worker that serves a connection, or any_worker if there are several.
task<unsigned> ask(endpoint where) {
  auto stream = co_await tcp_stream::connect(where);
  EXPECT_TRUE(stream);
  unsigned by = any_worker;
  for (int i = 0; i < 20; ++i) {
    std::byte buffer[1] = {};
    const auto sent = co_await stream->write_all(buffer);
    EXPECT_TRUE(sent);
    const auto n = co_await stream->read_exact(buffer);
    EXPECT_EQ(n.value(), 1u);
    const auto answer = static_cast<unsigned>(buffer[0]);
    if (i > 0 && answer != by) co_return any_worker;
    by = answer;
  }
  co_return by;
}
task<> serve_and_ask(unsigned workers) {
  auto listeners = bind_per_worker(loopback);
  EXPECT_TRUE(listeners);
  EXPECT_EQ(listeners->size(), workers);
  const endpoint where = *listeners->front().local_endpoint();
  for (auto& one : *listeners) EXPECT_EQ(*one.local_endpoint(), where);
  using handler = task<> (*)(tcp_stream);
  auto server = weft::spawn(serve_per_worker<handler>, std::ref(*listeners), &tell_worker);
  // The kernel spreads connections by a hash of their ports: with as many as these it would be one in
  // 2^59 that a worker of two had none.
  std::set<unsigned> seen;
  for (int i = 0; i < 60; ++i) {
    const unsigned by = co_await ask(where);
    EXPECT_LT(by, workers) << "a connection was served on several workers";
    seen.insert(by);
  }
  EXPECT_EQ(seen.size(), workers);
  server.stop();
  const auto how = co_await server.outcome();
  EXPECT_TRUE(how.stopped());
  listeners->clear();  // all loops have ended
  const auto late = co_await tcp_stream::connect(where);
  EXPECT_FALSE(late);
}

TEST_P(per_worker, a_connection_stays_on_the_worker_that_accepted_it) {
  for (const auto mode : {scheduling::work_stealing, scheduling::per_core}) {
    runtime rt({.workers = 2, .mode = mode, .io = GetParam()});
    rt.block_on(serve_and_ask(2));
  }
}

task<> one_fails() {
  auto listeners = bind_per_worker(loopback);
  EXPECT_TRUE(listeners);
  listeners->back().close();
  using handler = task<> (*)(tcp_stream);
  const auto ended = co_await serve_per_worker<handler>(*listeners, &tell_worker);
  EXPECT_FALSE(ended);
}

TEST_P(per_worker, an_error_of_one_listener_ends_them_all) {
  runtime rt({.workers = 2, .io = GetParam()});
  rt.block_on(one_fails());
}

TEST_P(per_worker, a_taken_port_is_an_error) {
  runtime rt({.workers = 2, .io = GetParam()});
  const auto taken = []() -> task<> {
    auto first = tcp_listener::bind(loopback);
    EXPECT_TRUE(first);
    const auto second = bind_per_worker(*first->local_endpoint());
    EXPECT_FALSE(second);
    co_return;
  };
  rt.block_on(taken());
}

}  // namespace
}  // namespace weft::net
