#include <weft/http/range.hpp>

#include <gtest/gtest.h>

namespace weft::http {
namespace {

struct range_case {
  const char* value;
  std::uint64_t size;
  range_kind kind;
  std::uint64_t first = 0, count = 0;
};

TEST(http_range, every_row_of_the_table_is_read_as_written) {
  constexpr range_kind whole = range_kind::whole, part = range_kind::part,
                       none = range_kind::unsatisfiable;
  constexpr range_case table[] = {
      {"bytes=0-0", 10, part, 0, 1},
      {"bytes=0-9", 10, part, 0, 10},
      {"bytes=0-", 10, part, 0, 10},
      {"bytes=9-", 10, part, 9, 1},
      {"bytes=3-5", 10, part, 3, 3},
      {"bytes=3-500", 10, part, 3, 7},
      {"bytes=-1", 10, part, 9, 1},
      {"bytes=-10", 10, part, 0, 10},
      {"bytes=-11", 10, part, 0, 10},
      {"BYTES=0-1", 10, part, 0, 2},
      {"bytes= 0-1 ", 10, part, 0, 2},
      {"bytes=00-01", 10, part, 0, 2},
      {"bytes=0-18446744073709551615", 10, part, 0, 10},
      {"bytes=0-99999999999999999999999", 10, part, 0, 10},
      {"bytes=-99999999999999999999999", 10, part, 0, 10},
      {"bytes=0-", UINT64_MAX, part, 0, UINT64_MAX},
      {"bytes=10-", 10, none},
      {"bytes=10-11", 10, none},
      {"bytes=99999999999999999999999-", 10, none},
      {"bytes=-0", 10, none},
      {"bytes=0-", 0, none},
      {"bytes=-1", 0, none},
      {"", 10, whole},
      {"bytes", 10, whole},
      {"bytes=", 10, whole},
      {"bytes=-", 10, whole},
      {"bytes=a-b", 10, whole},
      {"bytes=1", 10, whole},
      {"bytes=5-3", 10, whole},
      {"bytes=1-2-3", 10, whole},
      {"bytes=--1", 10, whole},
      {"bytes=+1-2", 10, whole},
      {"bytes=1 - 2", 10, whole},
      {"bytes=0x1-2", 10, whole},
      {"bytes 0-1", 10, whole},
      {"bytes =0-1", 10, whole},
      {"lines=0-1", 10, whole},
      {"bytes=0-1,3-4", 10, whole},
      {"bytes=0-1,", 10, whole},
      {"bytes=0-0,0-0,0-0,0-0,0-0,0-0", 10, whole},
  };
  for (const range_case& c : table) {
    const byte_range range = parse_range(c.value, c.size);
    EXPECT_EQ(range.kind, c.kind) << c.value;
    if (c.kind != part) continue;
    EXPECT_EQ(range.first, c.first) << c.value;
    EXPECT_EQ(range.count, c.count) << c.value;
  }
}

TEST(http_range, content_range_says_what_is_sent) {
  EXPECT_EQ(content_range({range_kind::part, 3, 4}, 10), "bytes 3-6/10");
  EXPECT_EQ(content_range({range_kind::unsatisfiable, 0, 0}, 10), "bytes */10");
}

}  // namespace
}  // namespace weft::http
