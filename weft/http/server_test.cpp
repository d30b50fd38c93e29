// What the server promises to clients that behave, and to itself about clients that do not. Over
// real sockets. Where a time-out matters, or must not, the clock is one that only the test moves:
// an answer that comes while it stands still came at once. The common main adds to each test:
// afterwards no frame, job, descriptor, timer or thread is alive.
#include "weft/http/server.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/http/client_test_support.hpp"
#include "weft/net/manual_time_test_support.hpp"
#include "weft/net/serve.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/task/wait_queue.hpp"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using test::body_of;
using test::clock_kind;
using test::event_counter;
using test::field_of;
using test::raw_client;
using test::status_of;
using test::test_server;

std::string get(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n";
}

/// Jobs wait until it is opened, which any thread may do.
class gate {
 public:
  class pass_operation;
  [[nodiscard("co_await it")]] pass_operation pass() noexcept;
  void open() noexcept {
    open_.store(true, order::seq_cst);
    waiting_.wake_all();
  }

 private:
  atomic<bool> open_{false};
  wait_queue waiting_;
};

class gate::pass_operation final : public awaitable_operation<pass_operation, wait_queue::waiter> {
 public:
  explicit pass_operation(gate& at) noexcept : at_(at) {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    switch (
        at_.waiting_.add_if(*this, waiter, [this] { return !at_.open_.load(order::seq_cst); })) {
      case wait_queue::add_result::waiting:
        return std::noop_coroutine();  // touch nothing more
      case wait_queue::add_result::granted:
        return waiter.handle();
      case wait_queue::add_result::not_needed:
        return ready_at_once(*this, waiter);
      case wait_queue::add_result::stopped:
        break;
    }
    return unwind(waiter);
  }
  const char* what() const noexcept override { return "the test's gate"; }
  void await_resume() const noexcept {}

 private:
  gate& at_;
};

gate::pass_operation gate::pass() noexcept { return pass_operation(*this); }

// "/echo" gives target and body back; "/big" much; "/gated" when the gate is open; "/never" waits
// for its stop; "/throw" throws.
class answering final : public handler {
 public:
  static constexpr std::size_t big = 8 * 1024 * 1024;
  gate way;
  event_counter waiting;  // requests that came as far as the gate, or for ever
  event_counter unwound;

  task<response> respond(const request& asked) override {
    if (asked.path() == "/throw") throw std::runtime_error("planned");
    if (asked.path() == "/big") {
      co_return response::with_text(status::ok, "", std::string(big, 'b'));
    }
    if (asked.path() == "/gated") {
      ++waiting;
      co_await way.pass();
      co_return response::with_text(status::ok, "", "gated");
    }
    if (asked.path() == "/never") {
      const noted at_the_end(unwound);
      ++waiting;
      gate closed;
      co_await closed.pass();
    }
    co_return response::with_text(status::ok, "", asked.target + "|" + asked.body);
  }

 private:
  struct noted {
    event_counter& n;
    explicit noted(event_counter& counter) : n(counter) {}
    noted(const noted&) = delete;
    ~noted() { ++n; }
  };
};

const server_options defaults;  // its time-outs are on the test's clock

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

TEST(http_server, a_megabyte_of_request_line_is_refused_at_once_and_the_client_learns_why) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  // All of it is taken: no reset comes, which could overtake the answer.
  EXPECT_TRUE(c.send("GET /" + std::string(1 << 20, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n"));
  const std::string got = c.read_response();
  EXPECT_EQ(status_of(got), 414);
  EXPECT_EQ(field_of(got, "connection"), "close");
  EXPECT_EQ(s.statistics().refused, 1u);
  EXPECT_EQ(s.statistics().requests, 0u);
}

// A close with unread bytes would be a reset, which can take the answer away from a client that still
// writes.
TEST(http_server, a_refused_client_may_finish_writing) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  c.send("GET /" + std::string(20'000, 'a'));
  const std::string got = c.read_response();
  EXPECT_EQ(status_of(got), 414);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(c.send(std::string(100'000, 'a')));
    s.settle();  // a close, if it does that, is done before the next piece
  }
  EXPECT_EQ(s.statistics().connections_open, 1u);
  c.end_writing();
  EXPECT_TRUE(s.eventually([](const auto& n) { return n.connections_open == 0; }));
}

TEST(http_server, what_is_over_a_limit_or_malformed_is_refused_by_its_status) {
  answering h;
  test_server s(h);
  std::string many = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int i = 0; i < 101; ++i) many += "X-" + std::to_string(i) + ": 1\r\n";
  const std::pair<std::string, int> cases[] = {
      {many + "\r\n", 431},
      {get("/", "X: " + std::string(70'000, 'x') + "\r\n"), 431},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413},
      {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
       400},
      {"GET / HTTP/1.1\r\n\r\n", 400},
      {"GET / HTTP/1.1\nHost: x\n\n", 400},
      {"\x16\x03\x01\r\n\r\n", 400},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
  };
  for (const auto& [request, expected] : cases) {
    raw_client c(s.port());
    c.send(request);
    const std::string got = c.read_all();
    EXPECT_EQ(status_of(got), expected) << request.substr(0, 60) << "\n" << got;
  }
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

TEST(http_server, empty_lines_that_come_one_by_one_are_counted) {
  answering h;
  test_server s(h, defaults, clock_kind::manual);
  raw_client c(s.port());
  for (int i = 0; i < 4; ++i) c.send("\r\n");
  EXPECT_EQ(body_of(c.ask(get("/fine"))), "/fine|");
  // Each is read by itself: nothing is left to be done before the next one comes.
  for (std::size_t i = 0; i <= leading_blank_lines_max; ++i) {
    c.send("\r\n");
    s.advance(0ns);
  }
  EXPECT_EQ(status_of(c.read_all()), 400);
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

TEST(http_server, a_large_body_arrives_whole) {
  answering h;
  test_server s(h);
  raw_client c(s.port());
  const std::string got = c.ask(get("/big"));
  EXPECT_EQ(body_of(got), std::string(answering::big, 'b'));
  const std::string next = c.ask(get("/next"));
  EXPECT_EQ(body_of(next), "/next|");
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

TEST(http_server, above_the_limit_a_connection_waits_until_another_ends) {
  answering h;
  server_options o;
  o.connections_max = 2;
  test_server s(h, o, clock_kind::manual);
  auto a = std::make_unique<raw_client>(s.port());
  raw_client b(s.port());
  const std::string first = a->ask(get("/a"));
  const std::string second = b.ask(get("/b"));
  EXPECT_EQ(status_of(first), 200);
  EXPECT_EQ(status_of(second), 200);
  raw_client c(s.port());  // in the kernel's queue
  c.send(get("/c"));
  s.settle();
  EXPECT_EQ(s.statistics().connections_accepted, 2u);
  a.reset();
  const std::string third = c.read_response();
  EXPECT_EQ(body_of(third), "/c|");
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

TEST(http_server, a_callable_is_a_handler) {
  const std::string greeting = "hello ";
  server s([greeting](const request& asked) -> task<response> {
    co_return response::with_text(status::ok, "", greeting + asked.target);
  });
  EXPECT_EQ(s.statistics().requests, 0u);
}

// The server is alone in a process that may have 48 descriptors; 90 clients come. It must neither
// die nor spin, and serve them all when descriptors come back. Time passes as the child says.
int serve_with_few_descriptors(int tell, int end) {
  const rlimit few{48, 48};
  if (::setrlimit(RLIMIT_NOFILE, &few) != 0) return 2;
  answering h;
  server_options o;
  o.idle_time = o.header_time = 1000h;
  test_server s(h, o, clock_kind::manual);
  const std::uint16_t port = s.port();
  if (::write(tell, &port, sizeof port) != sizeof port) return 3;
  if (!s.eventually([](const auto& n) { return n.accept_errors != 0; })) return 4;
  const auto accepted = s.statistics().connections_accepted;
  s.settle();
  if (s.statistics().accept_errors != 1) return 5;  // it spun
  s.advance(net::accept_pause_min);
  s.advance(2 * net::accept_pause_min - 1ms);
  if (s.statistics().accept_errors != 2) return 6;
  s.advance(1ms);
  if (s.statistics().accept_errors != 3) return 7;
  if (s.statistics().connections_accepted != accepted) return 8;
  char byte = 'x';
  if (::write(tell, &byte, 1) != 1) return 9;  // now the clients may go
  if (!s.eventually([&s](const auto& n) {
        s.advance(net::accept_pause_max);
        return n.connections_accepted == 90;
      })) {
    return 10;
  }
  return ::read(end, &byte, 1) == 0 ? 0 : 11;
}

TEST(http_server, out_of_descriptors_it_waits_and_recovers) {
  std::array<int, 2> told{}, end{};
  ASSERT_EQ(::pipe(told.data()), 0);
  ASSERT_EQ(::pipe(end.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(told[0]);
    ::close(end[1]);
    ::_exit(serve_with_few_descriptors(told[1], end[0]));
  }
  ::close(told[1]);  // so that a child that ends early is an end here, too
  ::close(end[0]);
  std::uint16_t port = 0;
  ASSERT_EQ(::read(told[0], &port, sizeof port), static_cast<ssize_t>(sizeof port));
  {
    std::deque<raw_client> clients;
    for (int i = 0; i < 90; ++i) clients.emplace_back(port).send(get("/x"));
    char byte;
    EXPECT_EQ(::read(told[0], &byte, 1), 1);
    while (!clients.empty()) {  // each end makes room for one that waits
      const std::string got = clients.front().read_response();
      EXPECT_EQ(body_of(got), "/x|") << clients.size();
      clients.pop_front();
    }
  }
  ::close(end[1]);
  int how = 0;
  ASSERT_EQ(::waitpid(child, &how, 0), child);
  EXPECT_TRUE(WIFEXITED(how)) << how;
  EXPECT_EQ(WEXITSTATUS(how), 0);
  ::close(told[0]);
}

// --- What a handler may not do

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

// "/kept" is 10 KiB that others send, too; "/late" is answered by a task; "/throw" throws.
class prompt final : public handler {
 public:
  event_counter tasks;

  static std::string page() {
    std::string text;
    for (int i = 0; text.size() < 10 * 1024; ++i) text += std::to_string(i) + ' ';
    return text;
  }
  bool try_respond(const request& asked, response& answer) override {
    if (asked.path() == "/throw") throw std::runtime_error("planned");
    if (asked.path() == "/late") return false;
    if (asked.path() == "/kept") {
      answer.kind = body_kind::kept;
      answer.kept = page_;
      answer.file_bytes = page_->size();
    } else {
      answer = response::with_text(status::ok, "text/plain", asked.target + "|" + asked.body);
    }
    return true;
  }
  task<response> respond(const request& asked) override {
    ++tasks;
    co_return response::with_text(status::ok, "text/plain", asked.target + " by a task");
  }

 private:
  const std::shared_ptr<const std::string> page_ = std::make_shared<const std::string>(page());
};

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
