// The main of every GoogleTest program: prints the seed, and after each test asks weft's census
// whether anything is still alive. A leak fails the test that made it, and only that one.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

#include "tests/support/handed_on.hpp"
#include "tests/support/seed.hpp"
#include "tests/support/signal_storm.hpp"
#include "weft/base/census.hpp"

namespace {

std::uint64_t the_seed;

/// Most tests share plain variables between the jobs of one worker, which never run at the same time there,
/// unless one of them holds it for long: on a busy machine anybody may. So no worker is taken from a job but
/// in the suites that are about that, or where that is asked for (handed_on.hpp).
class handoff_listener : public ::testing::EmptyTestEventListener {
  void OnTestSuiteStart(const ::testing::TestSuite& suite) override {
    if (weft::test_support::is_handed_on()) return;
    const std::string_view name = suite.name();
    for (const std::string_view about : {"handoff", "preemptible_monitor"}) {
      if (name.find(about) != name.npos) {
        ::unsetenv("WEFT_HANDOFF");
        return;
      }
    }
    ::setenv("WEFT_HANDOFF", "off", 1);
  }
};

class census_listener : public ::testing::EmptyTestEventListener {
  // Appended after the printer and called before it at a test's end, so the failure is still the
  // test's.
  void OnTestEnd(const ::testing::TestInfo& test) override {
    const weft::census now = weft::live_census();
    // A failed assertion leaves the test's body early; what it then leaves alive is no news.
    if (!test.result()->Failed()) {
      report("coroutine frames", now.frames - before_.frames);
      report("spawned jobs", now.jobs - before_.jobs);
      report("file descriptors", now.fds - before_.fds);
      report("timers", now.timers - before_.timers);
      report("threads", now.threads - before_.threads);
    }
    before_ = now;
  }

  static void report(const char* what, long change) {
    if (change != 0) {
      ADD_FAILURE() << "census: " << change << " " << what
                    << " more than before the test are alive at its end (must be 0; "
                       "a negative number was counted out twice)";
    }
  }

  weft::census before_{};  // zero: what a fixture's static objects keep alive is a leak, too
};

}  // namespace

namespace weft::test_support {

std::uint64_t seed() noexcept { return the_seed; }

}  // namespace weft::test_support

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const char* given = std::getenv("WEFT_SEED");
  the_seed = given != nullptr ? std::strtoull(given, nullptr, 0) : std::random_device{}();
  // Not GoogleTest's own seed: that one also shuffles, and only has 17 bits.
  std::printf("seed: WEFT_SEED=%llu repeats this run\n", static_cast<unsigned long long>(the_seed));
  std::fflush(stdout);
  ::testing::UnitTest::GetInstance()->listeners().Append(new census_listener);
  ::testing::UnitTest::GetInstance()->listeners().Append(new handoff_listener);
#if WEFT_CENSUS
  if (weft::test_support::is_handed_on()) {
    ::testing::UnitTest::GetInstance()->listeners().Append(new weft::test_support::handed_on);
  }
#endif
  const auto storm = weft::test_support::signal_storm::if_asked_for();
  return RUN_ALL_TESTS();
}
