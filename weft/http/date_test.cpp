#include <weft/http/date.hpp>

#include <gtest/gtest.h>

#include <string>

namespace weft::http {
namespace {

std::string text_of(std::int64_t seconds) {
  std::array<char, date_bytes> out;
  format_date(seconds, out);
  return {out.data(), out.size()};
}

TEST(http_date, known_dates_are_written) {
  EXPECT_EQ(text_of(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  EXPECT_EQ(text_of(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(text_of(951782400), "Tue, 29 Feb 2000 00:00:00 GMT");
  EXPECT_EQ(text_of(-1), "Wed, 31 Dec 1969 23:59:59 GMT");
  EXPECT_EQ(text_of(4107542400), "Mon, 01 Mar 2100 00:00:00 GMT");
  EXPECT_EQ(text_of(INT64_MIN), "Mon, 01 Jan 0001 00:00:00 GMT");
  EXPECT_EQ(text_of(INT64_MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
}

TEST(http_date, all_three_forms_are_read) {
  EXPECT_EQ(parse_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_date("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
  EXPECT_EQ(parse_date("Sun Nov  6 08:49:37 1994"), 784111777);
  EXPECT_EQ(parse_date("Wed Nov 16 08:49:37 1994"), 784111777 + 864000);
  EXPECT_EQ(parse_date("Thursday, 01-Jan-70 00:00:00 GMT"), 0);
  EXPECT_EQ(parse_date("Tuesday, 31-Dec-69 00:00:00 GMT"), 3155673600);
}

TEST(http_date, what_is_written_is_read_back_for_four_hundred_years) {
  // A prime number of seconds, so that every hour, day of the week and leap case is met.
  for (std::int64_t t = -6'000'000'000; t < 7'000'000'000; t += 1'000'003)
    ASSERT_EQ(parse_date(text_of(t)), t);
  for (std::int64_t day = -25'000; day < 125'000; ++day)
    ASSERT_EQ(parse_date(text_of(day * 86400)), day * 86400);
}

TEST(http_date, anything_else_is_refused) {
  for (const char* text : {"",
                           "0",
                           "now",
                           "Sun",
                           "Sun, 06 Nov 1994 08:49:37",
                           "Sun, 06 Nov 1994 08:49:37 UTC",
                           "Sun, 06 Nov 1994 08:49:37 GMT ",
                           " Sun, 06 Nov 1994 08:49:37 GMT",
                           "Sun, 6 Nov 1994 08:49:37 GMT",
                           "Sun, 06 nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 94 08:49:37 GMT",
                           "Sun, 31 Feb 1994 08:49:37 GMT",
                           "Sun, 29 Feb 1900 08:49:37 GMT",
                           "Sun, 00 Nov 1994 08:49:37 GMT",
                           "Sun, 06 Nov 0000 08:49:37 GMT",
                           "Sun, 06 Nov 1994 24:49:37 GMT",
                           "Sun, 06 Nov 1994 08:60:37 GMT",
                           "Sun, 06 Nov 1994 08:49:61 GMT",
                           "Sun, +6 Nov 1994 08:49:37 GMT",
                           "Sun Nov 6 08:49:37 1994",
                           "Sun Nov  6 08:49:37 1994 GMT",
                           "1994-11-06"}) {
    EXPECT_FALSE(parse_date(text)) << text;
  }
}

TEST(http_date, the_cache_gives_the_second_it_was_asked_for) {
  date_cache cache;
  EXPECT_EQ(cache.at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
  const char* first = cache.at(784111777).data();
  EXPECT_EQ(cache.at(784111777), "Sun, 06 Nov 1994 08:49:37 GMT");
  EXPECT_EQ(cache.at(784111777).data(), first);
  EXPECT_EQ(cache.at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
}

}  // namespace
}  // namespace weft::http
