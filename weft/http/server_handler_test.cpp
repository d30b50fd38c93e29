// What a handler may be, and what comes of one that does what it may not.
#include "weft/http/server.hpp"

#include <gtest/gtest.h>

#include <string>

#include "weft/http/client_test_support.hpp"
#include "weft/http/server_test_support.hpp"

namespace weft::http {
namespace {

using test::answering;
using test::body_of;
using test::get;
using test::raw_client;
using test::status_of;
using test::test_server;

TEST(http_server, an_exception_of_the_handler_is_a_500_and_the_end_of_its_connection_only) {
  answering h;
  test_server s(h);
  raw_client other(s.port());
  ::testing::internal::CaptureStderr();
  raw_client c(s.port());
  c.send(get("/throw") + get("/after"));
  const std::string got = c.read_all();
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_EQ(status_of(got), 500);
  EXPECT_EQ(got.find("/after"), std::string::npos);
  EXPECT_EQ(got.find("planned"), std::string::npos);  // not the client's business
  EXPECT_NE(said.find("planned"), std::string::npos);
  const std::string fine = other.ask(get("/fine"));
  EXPECT_EQ(body_of(fine), "/fine|");
  EXPECT_EQ(s.statistics().handler_errors, 1u);
}

TEST(http_server, a_callable_is_a_handler) {
  const std::string greeting = "hello ";
  server s([greeting](const request& asked) -> task<response> {
    co_return response::with_text(status::ok, "", greeting + asked.target);
  });
  EXPECT_EQ(s.statistics().requests, 0u);
}

struct odd final : handler {
  task<response> respond(const request& asked) override {
    response r;
    if (asked.path() == "/100") {
      r.status = status::continue_;
    } else if (asked.path() == "/101") {
      r.status = status::switching_protocols;
    } else if (asked.path() == "/5") {
      r.status = static_cast<status>(5);
    } else if (asked.path() == "/1000") {
      r.status = static_cast<status>(1000);
    } else {
      r = response::with_text(status::ok, "text/plain", "ok");
    }
    co_return r;
  }
};

TEST(http_server, a_status_that_ends_no_request_is_500_and_the_end) {
  odd h;
  test_server s(h);
  for (const char* path : {"/100", "/101", "/5", "/1000"}) {
    raw_client c(s.port());
    c.send(std::string("GET ") + path + " HTTP/1.1\r\nHost: x\r\n\r\n" +
           "GET /next HTTP/1.1\r\nHost: x\r\n\r\n");
    const std::string all = c.read_all();
    EXPECT_EQ(status_of(all), 500) << path << all;
    EXPECT_EQ(all.find("HTTP/1.1 200"), std::string::npos) << path << all;
  }
}

TEST(http_server, what_follows_connect_is_no_request) {
  odd h;
  test_server s(h);
  raw_client c(s.port());
  c.send("CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string all = c.read_all();
  EXPECT_EQ(all.find("HTTP/1.1 200"), 0u) << all;
  EXPECT_EQ(all.find("HTTP/1.1 200", 5), std::string::npos) << all;
}

}  // namespace
}  // namespace weft::http
