#include <weft/http/conditional.hpp>

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <utility>

namespace weft::http {
namespace {

constexpr std::int64_t modified = 784111777;  // Sun, 06 Nov 1994 08:49:37 GMT
constexpr const char* same = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* before = "Sun, 06 Nov 1994 08:49:36 GMT";
constexpr const char* after = "Sun, 06 Nov 1994 08:49:38 GMT";

headers with(std::initializer_list<std::pair<const char*, const char*>> list) {
  headers fields;
  for (const auto& [name, value] : list) fields.add(name, value);
  return fields;
}

precondition of(std::initializer_list<std::pair<const char*, const char*>> list,
                method m = method::get) {
  return evaluate(m, with(list), "\"a,b\"", modified);
}

TEST(http_conditional, the_tag_changes_with_times_size_inode_and_device) {
  const std::string tag = entity_tag({1, 2, 3, 4, 5});
  EXPECT_EQ(tag, "\"1-2-3-4-5\"");
  EXPECT_NE(entity_tag({2, 2, 3, 4, 5}), tag);
  EXPECT_NE(entity_tag({1, 3, 3, 4, 5}), tag);
  EXPECT_NE(entity_tag({1, 2, 4, 4, 5}), tag);
  EXPECT_NE(entity_tag({1, 2, 3, 5, 5}), tag);
  EXPECT_NE(entity_tag({1, 2, 3, 4, 6}), tag);
  EXPECT_EQ(entity_tag({-1, 0, 0, -1, 0}), "\"ffffffffffffffff-0-0-ffffffffffffffff-0\"");
}

TEST(http_conditional, last_modified_rounds_down_also_before_1970) {
  EXPECT_EQ(modified_seconds({1'999'999'999, 0, 0, 0, 0}), 1);
  EXPECT_EQ(modified_seconds({-1, 0, 0, 0, 0}), -1);
  EXPECT_EQ(modified_seconds({-1'000'000'000, 0, 0, 0, 0}), -1);
}

TEST(http_conditional, a_matching_tag_is_not_modified_for_readers_and_failed_for_writers) {
  EXPECT_EQ(of({}), precondition::pass);
  EXPECT_EQ(of({{"If-None-Match", "\"a,b\""}}), precondition::not_modified);
  EXPECT_EQ(of({{"If-None-Match", "W/\"a,b\""}}), precondition::not_modified);
  EXPECT_EQ(of({{"If-None-Match", "\"x\", W/\"y\",\"a,b\""}}), precondition::not_modified);
  EXPECT_EQ(of({{"If-None-Match", "\"x\""}, {"If-None-Match", "\"a,b\""}}),
            precondition::not_modified);
  EXPECT_EQ(of({{"If-None-Match", "*"}}), precondition::not_modified);
  EXPECT_EQ(of({{"If-None-Match", "*"}}, method::put), precondition::failed);
  EXPECT_EQ(of({{"If-None-Match", "\"a\""}}), precondition::pass);
  EXPECT_EQ(of({{"If-None-Match", "a,b"}}), precondition::pass);
  EXPECT_EQ(of({{"If-None-Match", "\"a,b"}}), precondition::pass);
}

TEST(http_conditional, a_tag_makes_the_date_unimportant) {
  EXPECT_EQ(of({{"If-None-Match", "\"x\""}, {"If-Modified-Since", same}}), precondition::pass);
  EXPECT_EQ(of({{"If-Match", "\"a,b\""}, {"If-Unmodified-Since", before}}), precondition::pass);
}

TEST(http_conditional, dates_decide_for_readers) {
  EXPECT_EQ(of({{"If-Modified-Since", same}}), precondition::not_modified);
  EXPECT_EQ(of({{"If-Modified-Since", after}}), precondition::not_modified);
  EXPECT_EQ(of({{"If-Modified-Since", before}}), precondition::pass);
  EXPECT_EQ(of({{"If-Modified-Since", "yesterday"}}), precondition::pass);
  EXPECT_EQ(of({{"If-Modified-Since", same}}, method::post), precondition::pass);
  EXPECT_EQ(of({{"If-Unmodified-Since", before}}), precondition::failed);
  EXPECT_EQ(of({{"If-Unmodified-Since", same}}), precondition::pass);
}

TEST(http_conditional, if_match_compares_strongly) {
  EXPECT_EQ(of({{"If-Match", "\"a,b\""}}), precondition::pass);
  EXPECT_EQ(of({{"If-Match", "*"}}), precondition::pass);
  EXPECT_EQ(of({{"If-Match", "W/\"a,b\""}}), precondition::failed);
  EXPECT_EQ(of({{"If-Match", "\"x\""}}), precondition::failed);
}

TEST(http_conditional, if_range_wants_exactly_this_version) {
  const auto applies = [](std::initializer_list<std::pair<const char*, const char*>> list) {
    return range_applies(with(list), "\"a,b\"", modified);
  };
  EXPECT_TRUE(applies({}));
  EXPECT_TRUE(applies({{"If-Range", "\"a,b\""}}));
  EXPECT_TRUE(applies({{"If-Range", same}}));
  EXPECT_FALSE(applies({{"If-Range", "\"x\""}}));
  EXPECT_FALSE(applies({{"If-Range", "W/\"a,b\""}}));
  EXPECT_FALSE(applies({{"If-Range", after}}));
  EXPECT_FALSE(applies({{"If-Range", ""}}));
}

}  // namespace
}  // namespace weft::http
