// rng, result, spin_lock.
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/result.hpp"
#include "weft/base/rng.hpp"
#include "weft/base/spin_lock.hpp"

namespace weft {
namespace {

TEST(rng, below_keeps_its_bound_and_reaches_all) {
  rng random(test_support::seed());
  for (const std::uint32_t bound : {1u, 2u, 3u, 7u, 64u, 1000u, 0x80000000u, 0xffffffffu}) {
    for (int i = 0; i < 1000; ++i) ASSERT_LT(random.below(bound), bound);
  }
  std::set<std::uint32_t> seen;
  for (int i = 0; i < 10'000; ++i) seen.insert(random.below(10));
  EXPECT_EQ(seen.size(), 10u);
}

TEST(rng, is_even_to_the_eye) {
  rng random(test_support::seed());
  int counts[8] = {};
  for (int i = 0; i < 80'000; ++i) ++counts[random.below(8)];
  // Binomial, sigma 94: seven of them either way.
  for (const int n : counts) EXPECT_NEAR(n, 10'000, 660);
}

TEST(rng, same_seed_same_numbers_and_any_seed_will_do) {
  for (const std::uint64_t seed :
       {std::uint64_t{0}, std::uint64_t{1}, UINT64_MAX, std::uint64_t{0} - 0x9e3779b97f4a7c15u}) {
    rng a(seed), b(seed);
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 100; ++i) {
      const std::uint64_t n = a.next();
      ASSERT_EQ(n, b.next());
      ASSERT_TRUE(seen.insert(n).second);
    }
  }
}

TEST(result, own_codes_have_names_and_say_so) {
  for (const errc e : {errc::timed_out, errc::closed, errc::shutting_down, errc::would_not_end,
                       errc::not_found, errc::too_large, errc::no_runtime}) {
    const std::error_code code = e;
    EXPECT_TRUE(code);
    EXPECT_STREQ(code.category().name(), "weft");
    EXPECT_NE(code.message(), "unknown weft error");
  }
  EXPECT_EQ(std::error_code(12345, weft_category()).message(), "unknown weft error");
  EXPECT_EQ(make_error_code(errc::timed_out), std::errc::timed_out);
  EXPECT_NE(make_error_code(errc::closed), std::errc::timed_out);
}

/// A static that outlives all that is made after it, as a global runtime does.
struct last_of_all {
  std::error_code code;
  ~last_of_all() {
    if (code) std::_Exit(code.message() == "closed" && code != std::errc::timed_out ? 0 : 1);
  }
};

TEST(result_death_test, codes_may_be_used_until_the_process_is_gone) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        static last_of_all user;
        user.code = errc::closed;
        std::exit(2);
      },
      ::testing::ExitedWithCode(0), "");
  GTEST_FLAG_SET(death_test_style, "fast");
}

TEST(result, value_gives_it_or_throws) {
  EXPECT_EQ(value(result<int>(5)), 5);
  value(result<void>());
  try {
    value(result<int>(std::unexpected(make_error_code(errc::closed))));
    FAIL();
  } catch (const error& e) {
    EXPECT_EQ(e.code(), errc::closed);
  }
}

TEST(spin_lock, one_at_a_time) {
  spin_lock lock;
  long plain_count = 0;  // a data race for the sanitizer if the lock lets two in
  constexpr int rounds = 50'000;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < rounds; ++i) {
        spin_guard guard(lock);
        ++plain_count;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(plain_count, 3 * rounds);
  EXPECT_TRUE(lock.try_lock());
  EXPECT_FALSE(lock.try_lock());
  lock.unlock();
}

}  // namespace
}  // namespace weft
