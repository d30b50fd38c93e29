#include "weft/net/address.hpp"

#include <gtest/gtest.h>

namespace weft::net {
namespace {

TEST(address_test, reads_and_writes_the_same_address) {
  const struct {
    const char* text;
    const char* written;
  } cases[] = {
      {"0.0.0.0", "0.0.0.0"},
      {"255.254.253.252", "255.254.253.252"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8::0:1", "2001:db8::1"},
      {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},  // the first of two equal runs
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},        // the longer one
      {"1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"},         // one zero is no run
      {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
      {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},
      {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
      {"1:2:3:4:5:6:7.8.9.10", "1:2:3:4:5:6:708:90a"},
      {"fe80::1%3", "fe80::1%3"},
      {"00ff:000f::", "ff:f::"},
  };
  for (const auto& c : cases) {
    const auto a = address::parse(c.text);
    ASSERT_TRUE(a) << c.text;
    EXPECT_EQ(a->to_string(), c.written);
    EXPECT_EQ(address::parse(c.written), *a);
  }
}

TEST(address_test, refuses_what_is_no_address) {
  for (const char* text : {"",
                           "1",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.256",
                           "1.2.3.",
                           ".1.2.3",
                           "1..2.3",
                           "01.2.3.4",
                           "1.2.3.4 ",
                           "a.b.c.d",
                           ":",
                           ":::",
                           "1:",
                           ":1",
                           "1::2::3",
                           "1:2:3:4:5:6:7",
                           "1:2:3:4:5:6:7:8:9",
                           "1:2:3:4:5:6:7:8::",
                           "::1:2:3:4:5:6:7:8",
                           "12345::",
                           "g::",
                           "::1%",
                           "::1%eth0",
                           "1.2.3.4%1",
                           "::1.2.3",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "::1.2.3.4:5",
                           "[::1]",
                           "-1.2.3.4"}) {
    EXPECT_FALSE(address::parse(text)) << text;
  }
}

TEST(address_test, endpoints_have_a_port_and_v6_has_brackets) {
  EXPECT_EQ(endpoint::parse("127.0.0.1:8080"), (endpoint{address::loopback_v4(), 8080}));
  EXPECT_EQ(endpoint::parse("[::1]:80"), (endpoint{address::loopback_v6(), 80}));
  EXPECT_EQ((endpoint{address::loopback_v6(), 80}).to_string(), "[::1]:80");
  EXPECT_EQ((endpoint{address::any_v4(), 0}).to_string(), "0.0.0.0:0");
  for (const char* text :
       {"", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:1x", "::1:80",
        "[::1]", "[::1]80", "[127.0.0.1]:80", "localhost:80", ":80"}) {
    EXPECT_FALSE(endpoint::parse(text)) << text;
  }
}

TEST(address_test, goes_through_the_systems_form_unchanged) {
  for (const char* text : {"192.0.2.7:1", "[fe80::1%7]:65535", "[::ffff:1.2.3.4]:9"}) {
    const auto e = endpoint::parse(text);
    ASSERT_TRUE(e);
    EXPECT_EQ(from_system(to_system(*e)), *e);
  }
}

TEST(address_test, knows_loopback) {
  EXPECT_TRUE(address::v4(127, 1, 2, 3).is_loopback());
  EXPECT_TRUE(address::loopback_v6().is_loopback());
  EXPECT_FALSE(address::any_v4().is_loopback());
}

}  // namespace
}  // namespace weft::net
