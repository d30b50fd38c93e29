// Who has many requests does not keep those from their turn who have one.
#include "weft/http/server.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <string>

#include "weft/http/client_test_support.hpp"
#include "weft/http/server_test_support.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/sync/event.hpp"
#include "weft/task/ok.hpp"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using test::get;
using test::raw_client;

constexpr std::size_t requests_of_many = 1000;

/// Writes down who asked, and says when all have.
class in_order final : public handler {
 public:
  explicit in_order(bool by_tasks) : by_tasks_(by_tasks) {}
  std::string seen;
  event all;

  bool try_respond(const request& asked, response& answer) override {
    if (by_tasks_) return false;
    answer = note(asked);
    return true;
  }
  task<response> respond(const request& asked) override { co_return note(asked); }

 private:
  response note(const request& asked) {
    seen += asked.path()[1];
    if (seen.size() == requests_of_many + 1) all.set();
    return response::with_status(status::no_content);
  }
  const bool by_tasks_;
};

task<> serve_until_all(net::tcp_listener& at, in_order& h) {
  server_options options;
  options.drain = 0ms;
  server site(h, options);
  const auto serving = [](server& of, net::tcp_listener& there) -> task<> {
    const auto ended = co_await of.serve(there);
    static_cast<void>(ended);
  };
  auto job = spawn(serving, std::ref(site), std::ref(at));
  co_await h.all.wait();
  job.stop();
  const auto end = co_await job.outcome();
  static_cast<void>(end);
}

class turns : public net::test::on_each_driver {
 protected:
  /// All has come before anything of it is looked at, and one thread does everything: nothing is left to
  /// chance.
  /// `path` decides how long a request is: some end where a read does, and others do not.
  static std::string order_of_requests(bool by_tasks, const char* path) {
    runtime rt({.mode = scheduling::current_thread, .io = GetParam()});
    in_order h(by_tasks);
    const auto asked_by_two = [](in_order& answers, const char* of_many) -> task<> {
      auto listener = co_await ok(net::tcp_listener::bind(net::test::loopback));
      const auto bound = co_await ok(listener.local_endpoint());
      raw_client many(bound.port), one(bound.port);
      std::string all;
      for (std::size_t i = 0; i < requests_of_many; ++i) all += get(of_many);
      many.send(all);
      one.send(get("/1"));
      co_await serve_until_all(listener, answers);
    };
    rt.block_on(asked_by_two(h, path));
    return h.seen;
  }
};
INSTANTIATE_TEST_SUITE_P(http_server, turns, net::test::all_drivers, net::test::driver_name);

constexpr const char* paths[] = {"/m", "/mmmmm"};  // 28 bytes, and 32, of which 16 fill a read

TEST_P(turns, a_connection_with_one_request_waits_for_32_of_another_at_most) {
  for (const char* const path : paths) {
    const std::string seen = order_of_requests(false, path);
    EXPECT_EQ(seen.size(), requests_of_many + 1);
    EXPECT_LE(seen.find('1'), 32u) << path;
  }
}

// A task that ends without a wait gives nobody else a turn either.
TEST_P(turns, the_same_where_tasks_answer) {
  for (const char* const path : paths) {
    const std::string seen = order_of_requests(true, path);
    EXPECT_EQ(seen.size(), requests_of_many + 1);
    EXPECT_LE(seen.find('1'), 32u) << path;
  }
}

}  // namespace
}  // namespace weft::http
