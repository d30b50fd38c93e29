// Awaits of this layer that have no scenario beside their own tests, stopped at each of their awaits.
#include "weft/testing/cancel_everywhere.hpp"

#include <gtest/gtest.h>

#include "weft/base/config.hpp"

#if WEFT_CENSUS  // the harness needs the hook that only these builds have

#include <chrono>
#include <functional>

#include "weft/runtime/time.hpp"
#include "weft/task/failures.hpp"
#include "weft/together/timeout.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;

/// Two moments that come in time, and one that does not; under a log that stays empty.
task<> three_deadlines(failure_log& log, int& met, int& missed) {
  const auto begin = now();
  for (const auto due : {begin + 5ms, begin + 10ms, begin + 1h}) {
    const auto in_time = co_await log.around(deadline(begin + 20ms, sleep_until(due)));
    ++(in_time ? met : missed);
  }
}

TEST(together_cancel_everywhere, deadlines_moments_and_logs_leave_nothing_when_stopped) {
  int met = 0;
  int missed = 0;
  failure_log log;
  unsigned whole = 0;
  const auto seen = testing::cancel_everywhere(
      [&](testing::virtual_runtime& rt) {
        met = missed = 0;
        return rt.spawn(three_deadlines, std::ref(log), std::ref(met), std::ref(missed));
      },
      [&](bool stopped) {
        EXPECT_LE(met, 2);
        EXPECT_LE(missed, 1);
        EXPECT_TRUE(stopped || (met == 2 && missed == 1));
        whole += met + missed == 3;
        EXPECT_EQ(log.size(), 0u);  // neither a stop nor a time that is over is a failure
      });
  EXPECT_GE(seen.awaits, 3u);
  EXPECT_GT(seen.stopped, 2u);
  EXPECT_GT(whole, 0u);
}

}  // namespace
}  // namespace weft

#endif
