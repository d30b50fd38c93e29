// Accounts of frames as they are when nobody switched them on. On: tests/frame_accounts.
#include "weft/task/frame_account.hpp"

#include <gtest/gtest.h>

#include "weft/task/frame_pool.hpp"

namespace weft {
namespace {

class frame_accounts_off : public ::testing::Test {
 protected:
  void SetUp() override {
    if (frame_accounts_on()) GTEST_SKIP() << "they are on, by WEFT_FRAME_ACCOUNTS";
  }
};

TEST_F(frame_accounts_off, cannot_be_switched_on_after_the_first_frame) {
  free_frame(allocate_frame(100), 100);
  EXPECT_FALSE(frame_accounts_on());
  EXPECT_DEATH(switch_frame_accounts_on(),
               "was called after the first frame or job was made.*first in main");
}

TEST_F(frame_accounts_off, accounts_count_and_refuse_nothing) {
  const frame_account account({.bytes_limit = 1});
  void* frame = nullptr;
  {
    const detail::next_block_account paid_by(&account);
    frame = allocate_frame(100);
  }
  EXPECT_EQ(account.bytes(), 0u);
  EXPECT_EQ(account.most_bytes(), 0u);
  EXPECT_FALSE(account.is_current());
  free_frame(frame, 100);
}

}  // namespace
}  // namespace weft
