// Names: what is answered here, what a resolver is asked, and what cannot be one.
#include "weft/net/resolve.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/os/thread.hpp"

namespace weft::net {
namespace {

using test::run_on;

class resolve_test : public test::on_each_driver {};
INSTANTIATE_TEST_SUITE_P(each, resolve_test, test::all_drivers, test::driver_name);

using endpoints = std::vector<endpoint>;

const address both[] = {address::loopback_v6(), address::loopback_v4()};

task<> known_here() {
  table_resolver nobody;
  const auto four = co_await resolve("192.0.2.1", "80", nobody);
  EXPECT_EQ(four.value(), endpoints{*endpoint::parse("192.0.2.1:80")});
  for (const char* text : {"2001:db8::1", "[2001:db8::1]"}) {
    const auto six = co_await resolve(text, 81, nobody);
    EXPECT_EQ(six.value(), endpoints{*endpoint::parse("[2001:db8::1]:81")});
  }
  for (const char* name :
       {"localhost", "LocalHost", "localhost.", "a.b.localhost", "x.LOCALHOST."}) {
    const auto own = co_await resolve(name, 82, nobody);
    EXPECT_EQ(own.value(), (endpoints{{both[0], 82}, {both[1], 82}})) << name;
  }
  EXPECT_EQ(nobody.asked(), 0u);
  for (const char* name : {"notlocalhost", "localhost.example", "[192.0.2.1]", "1.2.3"}) {
    const auto other = co_await resolve(name, 83, nobody);
    EXPECT_TRUE(other.error() == make_error_code(lookup_errc::host_not_found)) << name;
  }
  EXPECT_EQ(nobody.asked(), 4u);
}
TEST_P(resolve_test, addresses_and_localhost_are_answered_here) { run_on(GetParam(), known_here); }

task<> no_names() {
  table_resolver nobody;
  const std::string longest(253, 'a');
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a\0b", 3),
                                  std::string("a\n"), longest + "a"}) {
    const auto refused = co_await resolve(name, 80, nobody);
    EXPECT_TRUE(refused.error() == std::errc::invalid_argument) << name;
  }
  EXPECT_EQ(nobody.asked(), 0u);
  const auto asked = co_await resolve(longest + ".", 80, nobody);
  EXPECT_TRUE(asked.error() == make_error_code(lookup_errc::host_not_found));
  const auto none = co_await resolve("127.0.0.1", "", nobody);
  EXPECT_TRUE(none.error() == std::errc::invalid_argument);
}
TEST_P(resolve_test, what_is_no_name_is_refused) { run_on(GetParam(), no_names); }

task<> by_table() {
  table_resolver table;
  table.add("db.test", address::v4(10, 0, 0, 1)).add("db.test", address::v4(10, 0, 0, 2));
  const auto found = co_await resolve("DB.test.", "5432", table);
  EXPECT_EQ(found.value(),
            (endpoints{*endpoint::parse("10.0.0.1:5432"), *endpoint::parse("10.0.0.2:5432")}));
  EXPECT_EQ(lookup_errc::host_not_found, lookup_errc::host_not_found);
  EXPECT_EQ(make_error_code(lookup_errc::host_not_found).message(), "host not found");
}
TEST_P(resolve_test, a_table_answers_in_its_order) { run_on(GetParam(), by_table); }

task<> by_the_system() {
  const auto found = co_await system_resolver().addresses("localhost");  // out of its hosts file
  EXPECT_TRUE(found) << found.error().message();
  if (found) {
    for (const address& a : *found) EXPECT_TRUE(a.is_loopback());
  }
  const auto none = co_await resolve("127.0.0.1", "no-such-service-at-all");
  EXPECT_TRUE(none.error() == make_error_code(lookup_errc::service_not_found));
}
TEST_P(resolve_test, the_system_is_asked_on_the_blocking_pool) {
  run_on(GetParam(), by_the_system);
}

task<> no_ports() {
  table_resolver nobody;
  for (const std::string& text :
       {std::string("65536"), std::string("65616"), std::string("4294967376"), std::string("+80"),
        std::string("-80"), std::string(" 80"), std::string("\t80"), std::string("\x01") + "80",
        std::string("80 ")}) {
    const auto refused = co_await resolve("127.0.0.1", text, nobody);
    EXPECT_FALSE(refused) << text;
    if (!refused) {
      EXPECT_TRUE(refused.error() == make_error_code(lookup_errc::service_not_found)) << text;
    }
  }
  const auto largest = co_await resolve("127.0.0.1", "0065535", nobody);
  EXPECT_EQ(largest.value(), endpoints{*endpoint::parse("127.0.0.1:65535")});
}
TEST_P(resolve_test, a_number_that_is_no_port_is_never_cut_to_one) { run_on(GetParam(), no_ports); }

#if WEFT_CENSUS  // only these builds can be told to refuse
class refusing_threads {
 public:
  refusing_threads() { os::refuse_thread_starts(0, 1'000'000); }
  ~refusing_threads() { os::refuse_thread_starts(0, 0); }
  refusing_threads(const refusing_threads&) = delete;
  refusing_threads& operator=(const refusing_threads&) = delete;
};
task<> without_threads() {
  // Nobody is asked: there is no thread to ask with.
  const refusing_threads none;
  const auto by_service = co_await resolve("127.0.0.1", "no-such-service-at-all");
  EXPECT_FALSE(by_service);
  EXPECT_TRUE(by_service.error() == std::errc::resource_unavailable_try_again);
  const auto by_host = co_await resolve("no-such-host.invalid", 80);
  EXPECT_FALSE(by_host);
  EXPECT_TRUE(by_host.error() == std::errc::resource_unavailable_try_again);
  const auto connected = co_await tcp_stream::connect("no-such-host.invalid", 80);
  EXPECT_FALSE(connected);
  EXPECT_TRUE(connected.error() == std::errc::resource_unavailable_try_again);
}
TEST_P(resolve_test, that_there_is_no_thread_to_ask_with_is_a_value) {
  run_on(GetParam(), without_threads);
}
#endif

}  // namespace
}  // namespace weft::net
