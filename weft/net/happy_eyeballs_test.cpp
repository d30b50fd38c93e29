// Attempts in virtual time, with exact numbers; and connections to names for real.
#include "weft/net/happy_eyeballs.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "weft/net/resolve.hpp"
#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/os/socket_options.hpp"
#include "weft/runtime/time.hpp"
#include "weft/testing/virtual_time.hpp"

namespace weft::net {
namespace {

using namespace std::chrono_literals;
using testing::virtual_runtime;

endpoint four(unsigned char n) { return endpoint{address::v4(192, 0, 2, n), 80}; }
endpoint six(unsigned char n) {
  const unsigned char bytes[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n};
  return endpoint{address::v6(bytes), 80};
}

TEST(interleave, takes_the_families_in_turn_beginning_with_the_first) {
  using list = std::vector<endpoint>;
  EXPECT_EQ(interleave_families({six(1), six(2), six(3), four(1), four(2)}),
            (list{six(1), four(1), six(2), four(2), six(3)}));
  EXPECT_EQ(interleave_families({four(1), four(2), six(1)}), (list{four(1), six(1), four(2)}));
  EXPECT_EQ(interleave_families({four(1), four(2)}), (list{four(1), four(2)}));
  EXPECT_EQ(interleave_families({}), list{});
}

TEST(most_telling, prefers_what_the_other_side_said) {
  const auto refused = std::make_error_code(std::errc::connection_refused);
  const auto reset = std::make_error_code(std::errc::connection_reset);
  const auto no_way = std::make_error_code(std::errc::network_unreachable);
  EXPECT_EQ(most_telling({{six(1), no_way}, {four(1), refused}}), refused);
  EXPECT_EQ(most_telling({{four(1), refused}, {six(1), no_way}}), refused);
  EXPECT_EQ(most_telling({{four(1), refused}, {four(2), reset}}), reset);
  EXPECT_EQ(most_telling({{six(1), no_way}}), no_way);
}

/// What a made connection is here: it is counted while it lives.
class line {
 public:
  line(int number, int& alive) noexcept : number_(number), alive_(&alive) { ++alive; }
  line(line&& other) noexcept
      : number_(other.number_), alive_(std::exchange(other.alive_, nullptr)) {}
  ~line() {
    if (alive_ != nullptr) --*alive_;
  }
  int number() const noexcept { return number_; }

 private:
  int number_;
  int* alive_;
};

/// A network: after how long an address answers, and what. All else is silent.
class network {
 public:
  struct answer {
    std::chrono::nanoseconds after;
    std::error_code error;
  };
  using answers = std::vector<std::pair<endpoint, answer>>;
  explicit network(answers given = {}) : answers_(std::move(given)) {}
  std::vector<endpoint> begun;
  int running = 0;
  int alive = 0;

  task<result<line>> connect(endpoint to) {
    begun.push_back(to);
    const counted here(running);
    for (const auto& [where, how] : answers_) {
      if (where != to) continue;
      if (how.after > 0ns) co_await sleep_for(how.after);
      if (how.error) co_return std::unexpected(how.error);
      co_return line(static_cast<int>(to.address.bytes()[to.address.is_v6() ? 15 : 3]), alive);
    }
    co_await sleep_for(24h);
    co_return std::unexpected(std::make_error_code(std::errc::timed_out));
  }

 private:
  class counted {
   public:
    explicit counted(int& n) noexcept : n_(n) { ++n_; }
    ~counted() { --n_; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;

   private:
    int& n_;
  };
  answers answers_;
};

class through {
 public:
  explicit through(network& n) noexcept : network_(&n) {}
  task<result<line>> operator()(endpoint to) const { return network_->connect(to); }

 private:
  network* network_;
};

struct seen {
  int winner = 0;  // 0: none
  std::error_code error;
  connect_report report;
};

task<> look(network& net, std::vector<endpoint> to, seen& what) {
  {
    const through by(net);
    auto got = co_await connect_to_first<line>(std::move(to), 250ms, by, &what.report);
    if (got) {
      what.winner = got->number();
      EXPECT_EQ(net.alive, 1);  // of several that were made, one is left
    } else {
      what.error = got.error();
    }
  }
  EXPECT_EQ(net.running, 0);  // the losers have ended
  EXPECT_EQ(net.alive, 0);
}
seen in(network& net, std::vector<endpoint> to, std::chrono::nanoseconds takes) {
  seen what;
  virtual_runtime rt;
  rt.block_on(look(net, std::move(to), what));
  EXPECT_EQ(rt.elapsed(), takes);
  return what;
}

const auto refused = std::make_error_code(std::errc::connection_refused);

TEST(happy_eyeballs, the_first_that_answers_soon_is_alone) {
  network net({{six(1), {249ms, {}}}, {four(2), {1ms, {}}}});
  const seen what = in(net, {six(1), four(2)}, 249ms);
  EXPECT_EQ(what.winner, 1);
  EXPECT_EQ(what.report.begun, 1u);
}
TEST(happy_eyeballs, a_silent_one_gets_company_after_the_delay) {
  network net({{four(2), {10ms, {}}}});
  const seen what = in(net, {six(1), four(2), six(3)}, 260ms);
  EXPECT_EQ(what.winner, 2);
  EXPECT_EQ(what.report.begun, 2u);
  EXPECT_TRUE(what.report.failures.empty());  // the loser was stopped
}
TEST(happy_eyeballs, a_slow_one_may_still_win) {
  network net({{six(1), {300ms, {}}}, {four(2), {100ms, {}}}});
  EXPECT_EQ(in(net, {six(1), four(2)}, 300ms).winner, 1);
}
TEST(happy_eyeballs, a_failure_brings_the_next_one_at_once_and_the_delay_anew) {
  network net({{six(1), {100ms, refused}}, {four(4), {5ms, {}}}});
  // 1 fails at 100 ms, 2 begins then and is silent, so 4 begins at 350 ms.
  const seen what = in(net, {six(1), four(2), six(3), four(4)}, 100ms + 250ms + 250ms + 5ms);
  EXPECT_EQ(what.winner, 4);
  EXPECT_EQ(what.report.begun, 4u);
  ASSERT_EQ(what.report.failures.size(), 1u);
  EXPECT_EQ(what.report.failures[0].to, six(1));
}
TEST(happy_eyeballs, two_that_answer_in_the_same_moment_leave_one) {
  network net({{six(1), {260ms, {}}}, {four(2), {10ms, {}}}});
  const seen what = in(net, {six(1), four(2)}, 260ms);
  EXPECT_NE(what.winner, 0);
}
TEST(happy_eyeballs, if_all_fail_the_most_telling_error_is_told_and_all_are_reported) {
  const auto no_way = std::make_error_code(std::errc::network_unreachable);
  network net({{six(1), {0ns, no_way}}, {four(2), {400ms, refused}}, {six(3), {10ms, no_way}}});
  const seen what = in(net, {six(1), four(2), six(3)}, 400ms);
  EXPECT_EQ(what.error, refused);
  ASSERT_EQ(what.report.failures.size(), 3u);
  EXPECT_EQ(what.report.failures[0].to, six(1));
  EXPECT_EQ(what.report.failures[1].to, six(3));
  EXPECT_EQ(what.report.failures[2].to, four(2));
  EXPECT_EQ(what.report.begun, 3u);
}
TEST(happy_eyeballs, without_an_address_it_is_an_error) {
  network net;
  EXPECT_TRUE(in(net, {}, 0ns).error == std::errc::invalid_argument);
}

task<> stopped_midway(network& net, bool& ended) {
  seen what;
  const std::vector<endpoint> to = {six(1), four(2), six(3), four(4)};
  const auto in_time = co_await timeout(600ms, look(net, to, what));
  EXPECT_TRUE(in_time.error() == std::errc::timed_out);
  EXPECT_EQ(net.begun.size(), 3u);
  EXPECT_EQ(net.running, 0);
  ended = true;
}
TEST(happy_eyeballs, a_stop_ends_all_attempts) {
  network net;
  bool ended = false;
  virtual_runtime rt;
  rt.block_on(stopped_midway(net, ended));
  EXPECT_TRUE(ended);
  EXPECT_EQ(rt.elapsed(), 600ms);
}

class connect_test : public test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(each, connect_test, test::all_drivers, test::driver_name);

task<> by_name() {
  auto listener = tcp_listener::bind(test::loopback);
  const auto port = listener->local_endpoint()->port;
  table_resolver names;
  names.add("app.test", address::v4(127, 0, 0, 2)).add("app.test", address::loopback_v4());
  names.add("dead.test", address::v4(127, 0, 0, 2)).add("dead.test", address::v4(127, 0, 0, 3));
  connect_report report;
  connect_options options;
  options.names = &names;
  options.report = &report;
  auto client = co_await tcp_stream::connect("app.test", port, options);
  EXPECT_TRUE(client) << client.error().message();
  auto server = co_await listener->accept();
  EXPECT_EQ(client->peer_endpoint(), listener->local_endpoint());
  EXPECT_EQ(report.begun, 2u);  // nobody listens at the first address
  EXPECT_EQ(report.failures.size(), 1u);
  auto literal = co_await tcp_stream::connect("127.0.0.1", port);
  EXPECT_TRUE(literal);
  auto own = co_await tcp_stream::connect("localhost", port);
  EXPECT_TRUE(own);
  const auto dead = co_await tcp_stream::connect("dead.test", port, options);
  EXPECT_TRUE(dead.error() == std::errc::connection_refused);
  EXPECT_EQ(report.failures.size(), 2u);
  const auto unknown = co_await tcp_stream::connect("who.test", port, options);
  EXPECT_TRUE(unknown.error() == make_error_code(lookup_errc::host_not_found));
  // Of this connect, not of the one before.
  EXPECT_TRUE(report.failures.empty());
  EXPECT_EQ(report.begun, 0u);
}
TEST_P(connect_test, by_name_passes_over_addresses_that_refuse) {
  test::run_on(GetParam(), by_name);
}

task<> reports_one() {
  auto listener = tcp_listener::bind(test::loopback);
  const auto port = listener->local_endpoint()->port;
  connect_report report;
  connect_options options;
  options.report = &report;
  const endpoint nobody{address::v4(127, 0, 0, 2), port};
  for (int i = 0; i < 2; ++i) {
    const auto dead = co_await tcp_stream::connect(nobody, options);
    EXPECT_TRUE(dead.error() == std::errc::connection_refused);
    EXPECT_EQ(report.begun, 1u);
    EXPECT_EQ(report.failures.size(), 1u);
    if (!report.failures.empty()) {
      EXPECT_EQ(report.failures[0].to, nobody);
      EXPECT_TRUE(report.failures[0].error == std::errc::connection_refused);
    }
  }
  auto made = co_await tcp_stream::connect(*listener->local_endpoint(), options);
  EXPECT_TRUE(made);
  EXPECT_EQ(report.begun, 1u);
  EXPECT_TRUE(report.failures.empty());
}
TEST_P(connect_test, to_one_address_reports_it_too) { test::run_on(GetParam(), reports_one); }

task<> fast_to_several() {
  auto listener = tcp_listener::bind(test::loopback);
  const auto port = listener->local_endpoint()->port;
  table_resolver names;
  names.add("one.test", address::loopback_v4());
  names.add("two.test", address::v4(127, 0, 0, 2)).add("two.test", address::loopback_v4());
  connect_options options;
  options.names = &names;
  options.fast_open = true;
  const auto fast = os::socket_option::fast_open_connect;
  auto one = co_await tcp_stream::connect("one.test", port, options);
  EXPECT_TRUE(one);
  if (!one || os::get_option(one->native(), fast).value_or(0) == 0) co_return;  // none here
  auto two = co_await tcp_stream::connect("two.test", port, options);
  EXPECT_TRUE(two);
  if (!two) co_return;
  EXPECT_EQ(two->peer_endpoint(), listener->local_endpoint());
  EXPECT_EQ(os::get_option(two->native(), fast).value(), 0);
}
TEST_P(connect_test, with_several_addresses_none_succeeds_before_it_has_answered) {
  test::run_on(GetParam(), fast_to_several);
}

}  // namespace
}  // namespace weft::net
