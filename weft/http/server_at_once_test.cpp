// Answers that are there at once, which need no task, and go into the socket without a wait if it has room.
#include "weft/http/server.hpp"

#include <gtest/gtest.h>

#include <string>

#include "weft/http/client_test_support.hpp"
#include "weft/http/server_test_support.hpp"
#include "weft/net/tcp_test_support.hpp"

namespace weft::http {
namespace {

using test::body_of;
using test::clock_kind;
using test::defaults;
using test::field_of;
using test::get;
using test::prompt;
using test::raw_client;
using test::status_of;
using test::test_server;

// A connection writes in other ways where a driver tries the call and where it hands it over.
class at_once : public net::test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(http_server, at_once, net::test::all_drivers, net::test::driver_name);

TEST_P(at_once, an_answer_that_is_there_at_once_needs_no_task) {
  prompt h;
  test_server s(h, defaults, clock_kind::machine, GetParam());
  raw_client c(s.port());
  EXPECT_EQ(body_of(c.ask(get("/a"))), "/a|");
  EXPECT_EQ(body_of(c.ask("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")),
            "/b|abc");
  EXPECT_EQ(body_of(c.ask(get("/kept"))), prompt::page());
  c.send("HEAD /kept HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(field_of(c.read_response(true), "content-length"),
            std::to_string(prompt::page().size()));
  EXPECT_EQ(h.tasks.value(), 0);
  EXPECT_EQ(body_of(c.ask(get("/late"))), "/late by a task");
  EXPECT_EQ(h.tasks.value(), 1);
  EXPECT_EQ(s.statistics().requests, 5u);
  EXPECT_EQ(s.statistics().responses[1], 5u);
  EXPECT_EQ(s.statistics().body_bytes_sent, 3 + 6 + prompt::page().size() + 15);
  EXPECT_EQ(body_of(c.ask(get("/last", "Connection: close\r\n"))), "/last|");
  EXPECT_EQ(c.read_all(), "");
}

TEST_P(at_once, answers_with_and_without_a_task_keep_the_order_of_the_requests) {
  prompt h;
  test_server s(h, defaults, clock_kind::machine, GetParam());
  raw_client c(s.port());
  std::string all;
  for (int i = 0; i < 100; ++i) {
    all += get("/" + std::to_string(i)) + get("/late") + get("/kept");
  }
  c.send(all);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(body_of(c.read_response()), "/" + std::to_string(i) + "|");
    ASSERT_EQ(body_of(c.read_response()), "/late by a task");
    ASSERT_EQ(body_of(c.read_response()), prompt::page());
  }
  EXPECT_EQ(h.tasks.value(), 100);
}

TEST_P(at_once, what_the_socket_does_not_take_at_once_is_sent_later_and_once) {
  constexpr int pairs = 100;  // 1 MB of answers, and 4 KB of room
  prompt h;
  test_server s(h, defaults, clock_kind::manual, GetParam(), {.send_buffer = 4096});
  raw_client c(s.port());
  std::string all;
  for (int i = 0; i < pairs; ++i) all += get("/kept") + get("/" + std::to_string(i));
  c.send(all);
  s.settle();
  EXPECT_LT(s.statistics().requests, 2u * pairs);  // it waits for room
  for (int i = 0; i < pairs; ++i) {
    ASSERT_EQ(body_of(c.read_response()), prompt::page());
    ASSERT_EQ(body_of(c.read_response()), "/" + std::to_string(i) + "|");
  }
  EXPECT_EQ(s.statistics().requests, 2u * pairs);
}

TEST_P(at_once, who_throws_instead_of_answering_at_once_is_500_and_the_end) {
  prompt h;
  test_server s(h, defaults, clock_kind::machine, GetParam());
  raw_client c(s.port());
  c.send(get("/a") + get("/throw") + get("/b"));
  EXPECT_EQ(body_of(c.read_response()), "/a|");
  const std::string rest = c.read_all();
  EXPECT_EQ(status_of(rest), 500);
  EXPECT_EQ(rest.find("/b|"), std::string::npos);
  EXPECT_EQ(s.statistics().handler_errors, 1u);
}

TEST_P(at_once, a_function_that_gives_the_response_itself_is_a_handler) {
  function_handler h([](const request& asked) {
    return response::with_text(status::ok, "", std::string(asked.path()));
  });
  test_server s(h, defaults, clock_kind::machine, GetParam());
  raw_client c(s.port());
  EXPECT_EQ(body_of(c.ask(get("/x"))), "/x");
}

}  // namespace
}  // namespace weft::http
