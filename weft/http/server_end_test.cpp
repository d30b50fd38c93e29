// How connections end: by their clients, and by the server's stop.
#include "weft/http/server.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/http/client_test_support.hpp"
#include "weft/http/server_test_support.hpp"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using test::answering;
using test::body_of;
using test::clock_kind;
using test::defaults;
using test::event_counter;
using test::field_of;
using test::get;
using test::raw_client;
using test::status_of;
using test::test_server;

TEST(http_server, clients_that_disappear_leave_nothing_behind) {
  struct visit {
    std::string request;
    // What shows that the server is busy with it.
    bool (*begun)(const server_statistics&);
  };
  const auto accepted = [](const server_statistics& n) { return n.connections_open == 1; };
  const auto busy = [](const server_statistics& n) { return n.connections_busy == 1; };
  const auto asked = [](const server_statistics& n) { return n.requests == 1; };
  const visit visits[] = {{"", accepted},
                          {"GE", busy},
                          {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", busy},
                          {get("/big"), asked},
                          {get("/gated"), asked}};
  for (const visit& v : visits) {
    for (const bool noticed : {false, true}) {
      for (const bool reset : {false, true}) {
        answering h;
        test_server s(h, defaults, clock_kind::manual);  // no time-out finds it
        {
          raw_client c(s.port());
          c.send(v.request);
          EXPECT_TRUE(!noticed || s.eventually(v.begun)) << v.request;
          if (reset) c.reset();
        }
        h.way.open();
        EXPECT_TRUE(s.eventually([](const auto& n) {
          return n.connections_accepted == 1 && n.connections_open == 0;
        })) << v.request;
      }
    }
  }
}

TEST(http_server, a_client_that_only_stops_writing_gets_its_answer) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  c.send(get("/half"));
  c.end_writing();
  const std::string got = c.read_all();
  EXPECT_EQ(body_of(got), "/half|");
}

TEST(http_server, a_stop_ends_idle_connections_at_once_and_lets_a_response_finish) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client idle(s.port()), used(s.port());
  auto busy = std::make_unique<raw_client>(s.port());
  const std::string before = used.ask(get("/used"));
  EXPECT_EQ(status_of(before), 200);
  busy->send(get("/gated"));
  EXPECT_TRUE(h.waiting.reaches(1));
  s.stop_later();
  EXPECT_EQ(idle.read_all(), "");
  EXPECT_EQ(used.read_all(), "");
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_open == 1; }));
  EXPECT_TRUE(busy->hears_nothing());
  h.way.open();
  const std::string got = busy->read_all();
  EXPECT_EQ(body_of(got), "gated");
  EXPECT_EQ(field_of(got, "connection"), "close");
  busy.reset();
  s.stop();  // no limit has to end anything
}

// It was told that it may ask again, and does. A close with that unread would be a reset, which takes away what
// the kernel still has of the answer.
TEST(http_server, a_stop_takes_nothing_of_an_answer_from_a_client_that_asks_again) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  c.shrink_receive_buffer(64 * 1024);
  c.send(get("/big"));
  const std::string head = c.read_until("\r\n\r\n");
  EXPECT_EQ(field_of(head, "connection"), "");
  s.stop_later();
  s.settle();
  c.send(get("/again"));
  std::size_t got = 0;
  while (s.statistics().connections_busy != 0 && got < answering::big) {
    got += c.drop(32 * 1024);
    s.settle();
  }
  EXPECT_LT(got, answering::big);  // the rest is the kernel's by now
  got += c.drop(answering::big - got);
  EXPECT_EQ(got, answering::big);
  EXPECT_FALSE(c.ends_by_reset());
  c.reset();
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_open == 0; }));
}

TEST(http_server, a_stop_ends_what_takes_longer_than_the_drain_innermost_frame_included) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client a(s.port()), b(s.port());
  a.send(get("/never"));
  b.send(get("/never"));
  EXPECT_TRUE(h.waiting.reaches(2));
  s.stop_later();
  s.advance(defaults.drain - 1ms);
  EXPECT_EQ(h.unwound.value(), 0);
  s.advance(1ms);
  s.stop();
  EXPECT_EQ(h.unwound.value(), 2);  // stop() waited for it: the handler may now be destroyed
  EXPECT_EQ(a.read_all(), "");
  EXPECT_EQ(s.statistics().connections_open, 0u);
}

TEST(http_server, the_runtimes_shutdown_waits_for_every_connection) {
  answering h;
  auto s = std::make_unique<test_server>(h, defaults, clock_kind::manual);
  raw_client a(s->port()), b(s->port());
  a.send(get("/never"));
  EXPECT_TRUE(h.waiting.reaches(1));
  EXPECT_TRUE(s->rt().shutdown(net::test::patience).has_value());  // and not for the drain
  EXPECT_EQ(h.unwound.value(), 1);
}

TEST(http_server, stopped_under_load_it_leaves_nothing) {
  for (int round = 0; round < 5; ++round) {
    answering h;
    server_options o;
    o.drain = 1h;  // nothing needs to be ended by it
    test_server s(h, o);
    event_counter answered;
    std::vector<std::thread> clients;
    for (int i = 0; i < 8; ++i) {
      clients.emplace_back([&] {
        try {
          raw_client c(s.port());
          while (status_of(c.ask(get("/load") + get("/load"))) == 200) {
            ++answered;
            if (status_of(c.read_response()) != 200) break;
          }
        } catch (const std::runtime_error&) {
        }
      });
    }
    EXPECT_TRUE(answered.reaches(200));
    s.stop();
    for (auto& c : clients) c.join();
    EXPECT_EQ(s.statistics().connections_open, 0u);
    EXPECT_EQ(s.statistics().connections_busy, 0u);
  }
}

TEST(http_server, what_is_under_way_is_counted_until_it_has_ended) {
  answering h;
  test_server s(h);
  {
    raw_client gated(s.port()), quick(s.port());
    gated.send(get("/gated"));
    ASSERT_TRUE(h.waiting.reaches(1));
    for (int i = 0; i < 20; ++i) quick.ask(get("/"));
    EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_busy == 1; }));
    h.way.open();
    EXPECT_EQ(body_of(gated.read_response()), "gated");
    EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_busy == 0; }));
  }
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_open == 0; }));
  EXPECT_EQ(s.statistics().requests, 21u);
}

}  // namespace
}  // namespace weft::http
