// What the server promises to clients that behave. Over real sockets; where it says that something comes
// at once, on a clock that only the test moves: an answer that comes while it stands still came at once.
// The common main adds to each test of a server: afterwards no frame, job, descriptor, timer or thread is
// alive.
#include "weft/http/server.hpp"

#include <gtest/gtest.h>

#include <string>

#include "weft/http/client_test_support.hpp"
#include "weft/http/server_test_support.hpp"

namespace weft::http {
namespace {

using test::answering;
using test::body_of;
using test::clock_kind;
using test::defaults;
using test::field_of;
using test::get;
using test::raw_client;
using test::status_of;
using test::test_server;

TEST(http_server, a_connection_serves_many_requests) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  for (int i = 0; i < 100; ++i) {
    const std::string path = "/" + std::to_string(i);
    const std::string got = c.ask(get(path));
    ASSERT_EQ(status_of(got), 200) << got;
    ASSERT_EQ(body_of(got), path + "|");
  }
  EXPECT_EQ(s.statistics().connections_accepted, 1u);
  EXPECT_EQ(s.statistics().requests, 100u);
  EXPECT_EQ(s.statistics().responses[1], 100u);
}

TEST(http_server, pipelined_requests_are_answered_in_order) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  std::string all;
  for (int i = 0; i < 500; ++i) all += get("/" + std::to_string(i));  // more than one buffer
  c.send(all);
  for (int i = 0; i < 500; ++i) {
    const std::string got = c.read_response();
    ASSERT_EQ(body_of(got), "/" + std::to_string(i) + "|");
  }
}

TEST(http_server, a_request_in_single_bytes_is_a_request) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  const std::string request = "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
  for (const char byte : request) c.send(std::string_view(&byte, 1));
  const std::string got = c.read_response();
  EXPECT_EQ(body_of(got), "/x|abc");
}

TEST(http_server, a_chunked_body_is_joined_and_the_next_request_is_found) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  c.send(
      "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n" +
      get("/y"));
  const std::string first = c.read_response(), second = c.read_response();
  EXPECT_EQ(body_of(first), "/x|abcde");
  EXPECT_EQ(body_of(second), "/y|");
}

TEST(http_server, close_and_1_0_end_the_connection) {
  answering h;
  test_server s(h);
  {
    raw_client c(s.port());
    c.send(get("/", "Connection: close\r\n") + get("/second"));
    const std::string all = c.read_all();
    EXPECT_EQ(field_of(all, "connection"), "close");
    EXPECT_EQ(all.find("/second"), std::string::npos);
  }
  {
    raw_client c(s.port());
    c.send("GET / HTTP/1.0\r\n\r\n");
    const std::string all = c.read_all();
    EXPECT_EQ(status_of(all), 200);
  }
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_open == 0; }));
}

TEST(http_server, head_has_the_length_but_no_body) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  c.send("HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string head = c.read_response(true);
  EXPECT_EQ(field_of(head, "content-length"), std::to_string(answering::big));
  const std::string next = c.ask(get("/next"));
  EXPECT_EQ(body_of(next), "/next|");
}

TEST(http_server, the_body_is_asked_for_once_and_not_if_it_is_too_large) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  c.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(c.read_until("\r\n\r\n"), continue_head);
  c.send("a");
  c.send("bc");
  const std::string got = c.read_response();
  EXPECT_EQ(body_of(got), "/x|abc");

  // Sent along: there is nothing to ask for.
  c.send("POST /y HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\ndef");
  const std::string along = c.read_response();
  EXPECT_EQ(body_of(along), "/y|def");

  raw_client large(s.port());
  large.send(
      "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
      "Expect: 100-continue\r\n\r\n");
  const std::string refused = large.read_all();
  EXPECT_EQ(status_of(refused), 413);
}

TEST(http_server, answers_that_are_ready_are_not_held_back_while_a_body_is_awaited) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  c.send(get("/first") + "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
  const std::string first = c.read_response();
  EXPECT_EQ(body_of(first), "/first|");
  c.send("bc");
  const std::string second = c.read_response();
  EXPECT_EQ(body_of(second), "/x|abc");
}

TEST(http_server, a_head_of_any_length_is_the_same_request) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  // Around what an idle connection reads at once, and around its buffer.
  for (const std::size_t around : {512u, 8192u, 8192u + 512u}) {
    for (std::size_t size = around - 3; size <= around + 3; ++size) {
      const std::string frame = get("/long", "X: \r\n");
      const std::string got =
          c.ask(get("/long", "X: " + std::string(size - frame.size(), 'x') + "\r\n"));
      ASSERT_EQ(body_of(got), "/long|") << size;
    }
  }
}

TEST(http_server, a_large_body_arrives_whole) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  const std::string got = c.ask(get("/big"));
  EXPECT_EQ(body_of(got), std::string(answering::big, 'b'));
  const std::string next = c.ask(get("/next"));
  EXPECT_EQ(body_of(next), "/next|");
}

TEST(http_server, many_requests_in_one_piece_are_all_answered) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);  // one worker
  std::string many;
  constexpr int requests = 300;
  for (int i = 0; i < requests; ++i) many += get("/fine");
  raw_client c(s.port());
  c.send(many);
  for (int i = 0; i < requests; ++i) EXPECT_EQ(body_of(c.read_response()), "/fine|") << i;
}

}  // namespace
}  // namespace weft::http
