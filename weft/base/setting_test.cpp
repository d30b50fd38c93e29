#include "weft/base/setting.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace weft::detail {
namespace {

constexpr const char* variable = "WEFT_TEST_OF_SETTINGS";

std::string said(const char* value, bool& is_set) {
  if (value != nullptr) {
    setenv(variable, value, 1);
  } else {
    unsetenv(variable);
  }
  ::testing::internal::CaptureStderr();
  is_set = is_set_to(variable, "off", "on");
  unsetenv(variable);
  return ::testing::internal::GetCapturedStderr();
}

TEST(setting, known_value_is_taken_without_a_word) {
  bool is_set = false;
  EXPECT_EQ(said("off", is_set), "");
  EXPECT_TRUE(is_set);
  for (const char* value : {static_cast<const char*>(nullptr), "", "on"}) {
    EXPECT_EQ(said(value, is_set), "");
    EXPECT_FALSE(is_set);
  }
}

TEST(setting, misspelt_value_is_said_with_those_there_are) {
  for (const char* value : {"OFF", "0", "off "}) {
    bool is_set = true;
    EXPECT_EQ(said(value, is_set),
              std::string("weft: ") + variable + "=" + value +
                  " is not known; it may be off or on. It is taken as not set\n");
    EXPECT_FALSE(is_set);
  }
}

}  // namespace
}  // namespace weft::detail
