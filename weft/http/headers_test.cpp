#include <weft/http/headers.hpp>
#include <weft/http/syntax.hpp>

#include <gtest/gtest.h>

#include <string>

namespace weft::http {
namespace {

using namespace std::string_literals;

TEST(http_headers, names_are_found_in_any_case_and_kept_as_given) {
  headers fields;
  EXPECT_TRUE(fields.add("Content-Type", "text/html"));
  EXPECT_EQ(fields.find("content-TYPE"), "text/html");
  EXPECT_EQ(fields[0].name, "Content-Type");
  EXPECT_FALSE(fields.find("content-typ"));
}

TEST(http_headers, what_could_end_a_field_early_is_never_stored) {
  headers fields;
  for (const std::string& bad :
       {"a\r"s, "a\n"s, "a\r\nSet-Cookie: x"s, "a\0b"s, "\x01"s, "\x7f"s, "\x0b"s}) {
    EXPECT_FALSE(fields.add("X", bad));
    EXPECT_FALSE(fields.set("X", bad));
  }
  for (const std::string& bad :
       {""s, "a b"s, "a:"s, "a\r\n"s, "\0"s, "a\xc3\xa9"s, " a"s, "a(b"s}) {
    EXPECT_FALSE(fields.add(bad, "x"));
    EXPECT_FALSE(fields.set(bad, "x"));
  }
  EXPECT_TRUE(fields.empty());
}

TEST(http_headers, a_refused_set_leaves_the_old_value) {
  headers fields;
  fields.set("A", "1");
  EXPECT_FALSE(fields.set("A", "2\n"));
  EXPECT_EQ(fields.find("a"), "1");
}

TEST(http_headers, set_leaves_one_and_add_keeps_all_in_order) {
  headers fields;
  fields.add("A", "1");
  fields.add("B", "2");
  fields.add("a", "3");
  EXPECT_EQ(fields.count("A"), 2u);
  EXPECT_EQ(fields[2].value, "3");
  fields.set("A", "4");
  EXPECT_EQ(fields.count("A"), 1u);
  EXPECT_EQ(fields.find("A"), "4");
  EXPECT_EQ(fields.remove("B"), 1u);
  EXPECT_EQ(fields.size(), 1u);
}

TEST(http_headers, a_value_may_be_a_view_into_the_same_object) {
  headers fields;
  fields.add("A", std::string(100, 'x'));
  for (int i = 0; i < 20; ++i) fields.add(fields[0].name, *fields.find("A"));
  EXPECT_EQ(fields.count("A"), 21u);
  EXPECT_EQ(fields[20].value, std::string(100, 'x'));
  fields.set(fields[0].name, fields[3].value);
  EXPECT_EQ(fields.find("A"), std::string(100, 'x'));
}

TEST(http_headers, values_are_trimmed_and_tokens_found_in_lists) {
  headers fields;
  fields.add("Connection", " \tUpgrade , close\t ");
  fields.add("connection", "x");
  EXPECT_EQ(fields.find("connection"), "Upgrade , close");
  EXPECT_TRUE(fields.has_token("connection", "upgrade"));
  EXPECT_TRUE(fields.has_token("connection", "CLOSE"));
  EXPECT_TRUE(fields.has_token("connection", "x"));
  EXPECT_FALSE(fields.has_token("connection", "clos"));
}

TEST(http_headers, lines_are_the_fields_as_they_are_sent_or_nothing_after_a_removal) {
  headers fields;
  EXPECT_EQ(fields.lines(), "");
  fields.add("A", " 1 ");
  fields.add("B", "");
  for (int i = 0; i < 20; ++i) fields.add("C", std::string(50, 'c'));  // beyond what is inside
  std::string sent = "A: 1\r\nB: \r\n";
  for (int i = 0; i < 20; ++i) sent += "C: " + std::string(50, 'c') + "\r\n";
  EXPECT_EQ(fields.lines(), sent);
  EXPECT_EQ(fields.remove("D"), 0u);
  EXPECT_EQ(fields.lines(), sent);
  const headers copy = fields;
  EXPECT_EQ(fields.remove("b"), 1u);
  EXPECT_EQ(fields.lines(), std::nullopt);
  EXPECT_EQ(copy.lines(), sent);
  fields.clear();
  EXPECT_EQ(fields.lines(), "");
}

TEST(http_headers, an_assignment_gives_what_the_other_has_and_nothing_else) {
  const int sizes[] = {0, 1, 6, 7, 40};
  for (const int from : sizes) {
    for (const int to : sizes) {
      headers source, target;
      for (int i = 0; i < from; ++i) source.add("S" + std::to_string(i), std::string(30, 's'));
      for (int i = 0; i < to; ++i) target.add("T" + std::to_string(i), std::string(30, 't'));
      target.add("Gone", "x");
      target.remove("Gone");
      target = source;
      EXPECT_EQ(target.lines(), source.lines()) << from << ' ' << to;
      EXPECT_EQ(target.size(), static_cast<std::size_t>(from));
      source.remove("S0");
      target = source;
      EXPECT_EQ(target.lines(), source.lines());
      const headers& itself = target;
      target = itself;
      EXPECT_EQ(target.size(), source.size());
      EXPECT_EQ(target.contains("S5"), from > 5);
    }
  }
}

// The check looks at eight bytes at a time.
TEST(http_headers, a_control_character_is_found_wherever_it_stands) {
  for (std::size_t size = 1; size <= 40; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int c = 0; c < 256; ++c) {
        std::string value(size, 'x');
        value[at] = static_cast<char>(c);
        const bool control = (c < 0x20 && c != '\t') || c == 0x7f;
        ASSERT_EQ(is_field_value(value), !control) << size << ' ' << at << ' ' << c;
        value[size - 1 - at] = '\t';
        if (size - 1 - at == at) continue;
        ASSERT_EQ(is_field_value(value), !control) << size << ' ' << at << ' ' << c;
      }
    }
  }
}

}  // namespace
}  // namespace weft::http
