// How long the server waits for a client, on a clock that only the test moves: not shorter, not longer.
#include "weft/http/server.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "weft/http/client_test_support.hpp"
#include "weft/http/files.hpp"
#include "weft/http/moment.hpp"
#include "weft/http/server_test_support.hpp"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using test::answering;
using test::body_of;
using test::clock_kind;
using test::defaults;
using test::field_of;
using test::get;
using test::raw_client;
using test::status_of;
using test::test_server;

TEST(http_server, a_head_that_trickles_in_gets_408_in_time) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  c.send("G");
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_busy == 1; }));
  for (auto left = defaults.header_time; left != 1s;
       left -= 1s) {  // no pause is long, the whole is
    s.advance(1s);
    EXPECT_TRUE(c.hears_nothing());
    const auto turns = s.rt().metrics().turns;
    c.send("E");
    EXPECT_TRUE(
        net::test::eventually([&] { return s.rt().metrics().turns > turns; }));  // it read it
  }
  s.advance(999ms);
  EXPECT_TRUE(c.hears_nothing());
  s.advance(1ms);
  const std::string got = c.read_until("\r\n\r\n");
  EXPECT_EQ(status_of(got), 408) << got;
  EXPECT_EQ(s.statistics().timed_out, 1u);
}

// What must not be forgotten about it is as much as half a head is.
TEST(http_server, an_empty_line_begins_a_head_which_gets_408_in_time) {
  for (const char* begun : {"\r\n", "\r"}) {
    answering h;
    test_server s(h, defaults, clock_kind::manual);
    raw_client c(s.port());
    c.send(begun);
    EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_busy == 1; }));
    s.advance(defaults.header_time - 1ms);
    EXPECT_TRUE(c.hears_nothing());
    s.advance(1ms);
    s.settle();
    EXPECT_FALSE(c.hears_nothing());
    c.end_writing();
    EXPECT_EQ(status_of(c.read_all()), 408);
    EXPECT_EQ(s.statistics().timed_out, 1u);
  }
}

TEST(http_server, a_body_that_stalls_gets_408) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_busy == 1; }));
  s.advance(defaults.body_stall - 1ms);
  EXPECT_TRUE(c.hears_nothing());
  s.advance(1ms);
  const std::string got = c.read_response();
  EXPECT_EQ(status_of(got), 408);
  EXPECT_EQ(s.statistics().timed_out, 1u);
  EXPECT_EQ(s.statistics().bodies_too_slow, 0u);
}

// --- The rate of a body

/// A second of body_stall, and another one for each 100 bytes.
server_options rated() {
  server_options o;
  o.body_stall = 1000ms;
  o.body_rate_min = 100;
  return o;
}

TEST(http_server, a_body_that_trickles_gets_408_when_it_is_behind_its_rate) {
  answering h;
  test_server s(h, rated(), clock_kind::manual);
  raw_client c(s.port());
  ASSERT_TRUE(s.read_from(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"));
  for (int i = 0; i < 2; ++i) {  // no pause is long
    s.advance(500ms);
    EXPECT_TRUE(c.hears_nothing());
    ASSERT_TRUE(s.read_from(c, "0123456789"));
  }
  s.advance(199ms);
  EXPECT_TRUE(c.hears_nothing());
  s.advance(1ms);
  s.settle();
  EXPECT_FALSE(c.hears_nothing());
  c.end_writing();
  EXPECT_EQ(status_of(c.read_all()), 408);
  EXPECT_EQ(s.statistics().timed_out, 1u);
  EXPECT_EQ(s.statistics().bodies_too_slow, 1u);
  EXPECT_EQ(s.statistics().requests, 0u);
}

TEST(http_server, a_body_that_keeps_its_rate_may_take_long) {
  answering h;
  test_server s(h, rated(), clock_kind::manual);
  raw_client c(s.port());
  for (int request = 0; request < 2;
       ++request) {  // what the first one took is not the second one's
    ASSERT_TRUE(s.read_from(c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n"));
    for (int i = 0; i < 40; ++i) {
      s.advance(500ms);
      EXPECT_TRUE(c.hears_nothing()) << i;
      ASSERT_TRUE(s.read_from(c, std::string(50, 'b')));
    }
    EXPECT_EQ(body_of(c.read_response()), "/x|" + std::string(2000, 'b'));
  }
  EXPECT_EQ(s.statistics().timed_out, 0u);
}

// The time that the head took is not the body's.
TEST(http_server, a_body_has_its_time_from_its_own_beginning) {
  answering h;
  server_options o = rated();
  o.header_time = 900ms;
  test_server s(h, o, clock_kind::manual);
  raw_client c(s.port());
  ASSERT_TRUE(s.read_from(c, "POST /x HTTP/1.1\r\nHost: x\r\n"));
  s.advance(899ms);
  ASSERT_TRUE(s.read_from(c, "Content-Length: 3\r\n\r\n"));
  s.advance(999ms);
  EXPECT_TRUE(c.hears_nothing());
  ASSERT_TRUE(s.read_from(c, "a"));
  s.advance(10ms);
  EXPECT_TRUE(c.hears_nothing());
  s.advance(1ms);  // 1000 ms, and 10 for its one byte
  s.settle();
  EXPECT_FALSE(c.hears_nothing());
  c.end_writing();
  EXPECT_EQ(status_of(c.read_all()), 408);
}

// Nor is what an earlier request has left of its time the next one's.
TEST(http_server, a_head_has_its_time_from_its_own_beginning) {
  answering h;
  test_server s(h, rated(), clock_kind::manual);
  raw_client c(s.port());
  ASSERT_TRUE(s.read_from(c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na"));
  ASSERT_TRUE(s.read_from(c, "bc"));
  EXPECT_EQ(body_of(c.read_response()), "/x|abc");
  s.advance(defaults.idle_time - 1ms);
  ASSERT_TRUE(s.read_from(c, "GET /y HTTP/1.1\r\n"));
  s.advance(defaults.header_time - 1ms);
  EXPECT_TRUE(c.hears_nothing());
  ASSERT_TRUE(s.read_from(c, "Host: x\r\n\r\n"));
  EXPECT_EQ(body_of(c.read_response()), "/y|");
  EXPECT_EQ(s.statistics().timed_out, 0u);
}

TEST(http_server, what_chunks_are_wrapped_in_earns_a_body_no_time) {
  const std::string wrappings[] = {"1;", "5\r\nabcde\r\n0\r\nX: "};  // an extension, and a trailer
  for (const std::string& wrapping : wrappings) {
    answering h;
    test_server s(h, rated(), clock_kind::manual);
    raw_client c(s.port());
    ASSERT_TRUE(s.read_from(
        c, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + wrapping));
    s.advance(500ms);
    ASSERT_TRUE(s.read_from(c, std::string(500, 'x')));
    s.advance(499ms);
    EXPECT_TRUE(c.hears_nothing());
    ASSERT_TRUE(s.read_from(c, std::string(500, 'x')));
    s.advance(51ms);  // 50 of them for five bytes
    s.settle();
    EXPECT_FALSE(c.hears_nothing()) << wrapping;
    c.end_writing();
    EXPECT_EQ(status_of(c.read_all()), 408) << wrapping;
    EXPECT_EQ(s.statistics().bodies_too_slow, 1u);
  }
}

TEST(http_server, without_a_rate_a_body_may_trickle_and_still_not_stall) {
  answering h;
  server_options o = rated();
  o.body_rate_min = 0;
  test_server s(h, o, clock_kind::manual);
  raw_client c(s.port());
  ASSERT_TRUE(s.read_from(c, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"));
  for (int i = 0; i < 20; ++i) {
    s.advance(999ms);
    EXPECT_TRUE(c.hears_nothing()) << i;
    ASSERT_TRUE(s.read_from(c, "b"));
  }
  s.advance(1000ms);
  EXPECT_EQ(status_of(c.read_response()), 408);
  EXPECT_EQ(s.statistics().timed_out, 1u);
  EXPECT_EQ(s.statistics().bodies_too_slow, 0u);
}

TEST(http_server, a_rate_of_any_size_is_a_rate) {
  using detail::time_of;
  EXPECT_EQ(time_of(0, 500), 0ms);
  EXPECT_EQ(time_of(1, 500), 2ms);
  EXPECT_EQ(time_of(500, 500), 1000ms);
  EXPECT_EQ(time_of(UINT64_MAX, UINT64_MAX), 1000ms);
  EXPECT_EQ(time_of(10'000'000'000, 1), 9'223'372'036'854ms);  // 292 years, which is for ever
  EXPECT_EQ(time_of(UINT64_MAX, 1), 9'223'372'036'854ms);
}

TEST(http_server, an_idle_connection_is_closed_without_a_word) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client silent(s.port());
  raw_client c(s.port());
  const std::string got = c.ask(get("/"));
  EXPECT_EQ(status_of(got), 200);
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_accepted == 2; }));
  s.advance(defaults.idle_time - 1ms);
  EXPECT_TRUE(c.hears_nothing());
  EXPECT_TRUE(silent.hears_nothing());
  s.advance(1ms);
  EXPECT_EQ(c.read_all(), "");
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_open == 0; }));
  EXPECT_EQ(s.statistics().timed_out, 0u);
}

TEST(http_server, each_request_gives_an_idle_connection_its_whole_time_again) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  for (int i = 0; i < 5; ++i) {  // the timer, armed for an earlier moment, fires in between
    const std::string got = c.ask(get("/again"));
    EXPECT_EQ(body_of(got), "/again|");
    s.advance(defaults.idle_time - 1ms);
    EXPECT_TRUE(c.hears_nothing());
  }
  s.advance(1ms);
  EXPECT_EQ(c.read_all(), "");
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_open == 0; }));
  EXPECT_EQ(s.statistics().timed_out, 0u);
}

TEST(http_server, a_handler_may_take_longer_than_any_wait_for_the_client) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  const std::string before = c.ask(get("/before"));
  EXPECT_EQ(body_of(before), "/before|");
  c.send(get("/gated"));
  EXPECT_TRUE(h.waiting.reaches(1));
  for (int i = 0; i < 3; ++i) s.advance(defaults.idle_time + defaults.write_stall);
  EXPECT_TRUE(c.hears_nothing());
  h.way.open();
  const std::string got = c.read_response();
  EXPECT_EQ(body_of(got), "gated");
  const std::string after = c.ask(get("/after"));
  EXPECT_EQ(body_of(after), "/after|");
}

TEST(http_server, the_longest_times_are_for_ever) {
  answering h;
  server_options o;
  o.header_time = o.body_stall = o.write_stall = o.idle_time = o.linger =
      std::chrono::milliseconds::max();
  test_server s(h, o, clock_kind::manual);
  raw_client c(s.port());
  c.send("G");
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_busy == 1; }));
  s.advance(1h);
  c.send("ET /big HTTP/1.1\r\nHost: x\r\n\r\n");  // more than fits between the two
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.requests == 1; }));
  s.advance(1h);
  EXPECT_EQ(s.statistics().timed_out, 0u);
  EXPECT_EQ(body_of(c.read_response()).size(), answering::big);
  s.advance(1h);
  c.send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na");
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_busy == 1; }));
  s.advance(1h);
  c.send("bc");
  EXPECT_EQ(body_of(c.read_response()), "/x|abc");
  c.send(get("/last", "Connection: close\r\n"));
  EXPECT_EQ(body_of(c.read_all()), "/last|");
}

TEST(http_server, a_client_that_does_not_read_is_given_up_and_hinders_nobody) {
  answering h;
  server_options o;
  // On the machine's clock: when the kernel takes its last byte is not the test's to say.
  o.write_stall = 100ms;
  test_server s(h, o);
  raw_client lazy(s.port());
  lazy.shrink_receive_buffer();
  lazy.send(get("/big"));
  raw_client c(s.port());
  const std::string got = c.ask(get("/fine"));
  EXPECT_EQ(body_of(got), "/fine|");
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.timed_out == 1; }));
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_busy == 0; }));
  EXPECT_TRUE(lazy.ends_by_reset());  // what it does not read is not kept for it by the kernel
}

// The write side has its least rate, too: a slice within write_stall, and not only a byte.
TEST(http_server, a_client_that_takes_a_little_now_and_then_is_given_up) {
  class large final : public handler {
   public:
    explicit large(fs::directory root) : files_(std::move(root)) {}
    task<response> respond(const request& asked) override {
      if (asked.path() == "/file") return files_.respond(asked);
      return text(asked.path() == "/kept");
    }

   private:
    task<response> text(bool kept) {
      response r;
      r.kind = kept ? body_kind::kept : body_kind::text;
      r.kept = text_;
      r.file_bytes = text_->size();
      if (!kept) r.text = *text_;
      co_return r;
    }
    const std::shared_ptr<const std::string> text_ =
        std::make_shared<const std::string>(answering::big, 't');
    static_files files_;
  };
  std::string folder = (std::filesystem::temp_directory_path() / "weft-slow-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  std::ofstream(folder + "/file") << std::string(answering::big, 'f');
  for (const char* path : {"/text", "/kept", "/file"}) {
    auto root = fs::directory::blocking_open(folder);
    ASSERT_TRUE(root.has_value());
    large h(*std::move(root));
    test_server s(h, defaults, clock_kind::manual, driver::automatic, {.send_buffer = 4096});
    raw_client c(s.port());
    c.shrink_receive_buffer();
    c.send(get(path));
    EXPECT_FALSE(c.read_until("\r\n\r\n").empty());
    int steps = 0;
    for (; steps < 40 && s.statistics().timed_out == 0; ++steps) {
      EXPECT_EQ(c.drop(1024), 1024u) << path;
      s.advance(2s);
    }
    EXPECT_GE(steps, 14) << path;  // 30 s are not over before
    EXPECT_LE(steps, 20) << path;  // the first slice may have left in between
    if (HasFailure()) break;
    EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_open == 0; })) << path;
    EXPECT_TRUE(c.ends_by_reset()) << path;
    EXPECT_EQ(s.statistics().timed_out, 1u);
  }
  std::filesystem::remove_all(folder);
}

// 64 KiB in write_stall are enough, also where the kernel would take megabytes and tell of room once a third
// of them has gone. A step of the client is more than the two kernels keep between them, so when it is
// done the server has written since the one before.
TEST(http_server, a_client_that_reads_slowly_gets_all) {
  answering h;
  server_options o;
  o.write_stall = 1000ms;
  test_server s(h, o, clock_kind::manual);
  raw_client slow(s.port());
  slow.shrink_receive_buffer(64 * 1024);
  slow.send(get("/big"));
  const std::string head = slow.read_until("\r\n\r\n");
  EXPECT_EQ(field_of(head, "content-length"), std::to_string(answering::big));
  constexpr std::size_t step = 512 * 1024;
  for (std::size_t got = 0; got < answering::big; got += step) {
    ASSERT_EQ(slow.drop(step), step) << "after " << got;
    s.advance(600ms);
  }
  EXPECT_EQ(s.statistics().timed_out, 0u);
}

}  // namespace
}  // namespace weft::http
