#include "weft/os/poll_set.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <cstdint>

#include "weft/os/clock.hpp"

namespace weft::os {
namespace {

constexpr int patience_ms = 20'000;  // a bound for a test that has failed

bool readable(const poll_set& set, int timeout_ms = 0) {
  pollfd p{.fd = set.get(), .events = POLLIN, .revents = 0};
  return ::poll(&p, 1, timeout_ms) == 1;
}

TEST(poll_set, is_readable_while_a_member_is) {
  auto set = poll_set::make();
  ASSERT_TRUE(set.has_value());
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  fd out(ends[0]), in(ends[1]);
  ASSERT_TRUE(set->add(out.get()).has_value());
  EXPECT_FALSE(readable(*set));
  ASSERT_EQ(::write(in.get(), "x", 1), 1);
  EXPECT_TRUE(readable(*set));
  EXPECT_TRUE(readable(*set));
  char c;
  ASSERT_EQ(::read(out.get(), &c, 1), 1);
  EXPECT_FALSE(readable(*set));
}

TEST(poll_set, is_readable_from_its_moment_on_until_there_is_another_one) {
  auto set = poll_set::make();
  ASSERT_TRUE(set.has_value());
  EXPECT_FALSE(readable(*set));
  set->due_at(0);
  EXPECT_TRUE(readable(*set));
  set->due_at(0);
  EXPECT_TRUE(readable(*set));
  set->due_at(monotonic_ns() + 3'600'000'000'000);
  EXPECT_FALSE(readable(*set));
  const std::int64_t soon = monotonic_ns() + 1'000'000;
  set->due_at(soon);
  EXPECT_TRUE(readable(*set, patience_ms));
  EXPECT_GE(monotonic_ns(), soon);
  set->due_at(never_ns);
  EXPECT_FALSE(readable(*set));
}

TEST(poll_set, what_is_no_descriptor_is_refused) {
  auto set = poll_set::make();
  ASSERT_TRUE(set.has_value());
  EXPECT_FALSE(set->add(-1).has_value());
}

}  // namespace
}  // namespace weft::os
