#include <weft/http/listing.hpp>
#include <weft/http/mime.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weft::http {
namespace {

using namespace std::string_literals;

TEST(http_listing, names_cannot_become_markup_or_another_link) {
  const std::vector<listing_entry> entries = {
      {"<script>alert(1)</script>", false, 1, 0},
      {"\" onclick=\"x", false, 1, 0},
      {"javascript:alert(1)", false, 1, 0},
      {"a&b'c", true, 0, 0},
      {"new\nline\xff", false, 1, 0},
  };
  const std::string page = directory_page("/<b>/", entries);
  EXPECT_EQ(page.find("<script>"), std::string::npos);
  EXPECT_EQ(page.find("<b>"), std::string::npos);
  EXPECT_EQ(page.find("\" onclick"), std::string::npos);
  EXPECT_EQ(page.find("href=\"javascript"), std::string::npos);
  EXPECT_NE(page.find("href=\"./javascript%3Aalert%281%29\""), std::string::npos);
  EXPECT_NE(page.find("<a href=\"./a%26b%27c/\">a&amp;b&#39;c/</a>"), std::string::npos);
  EXPECT_NE(page.find("./new%0Aline%FF"), std::string::npos);
  EXPECT_EQ(page.find('\xff'), std::string::npos);
  EXPECT_NE(page.find("href=\"../\""), std::string::npos);
}

TEST(http_listing, the_root_has_no_parent_and_a_file_has_size_and_date) {
  const std::vector<listing_entry> entries = {{"f", false, 1234, 784111777}};
  const std::string page = directory_page("/", entries);
  EXPECT_EQ(page.find("../"), std::string::npos);
  EXPECT_NE(page.find("<td>1234</td><td>06 Nov 1994 08:49</td>"), std::string::npos);
}

TEST(http_listing, characters_outside_ascii_stay) {
  std::string out;
  append_html_escaped(out, "\xc3\xa9\xf0\x9f\x98\x80\0\xc3"s);
  EXPECT_EQ(out, "\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(http_mime, the_last_extension_decides_in_any_case) {
  EXPECT_EQ(media_type("a/index.HTML"), "text/html; charset=utf-8");
  EXPECT_EQ(media_type("x.tar.gz"), "application/gzip");
  EXPECT_EQ(media_type("app.webmanifest"), "application/manifest+json");
  EXPECT_EQ(media_type("m.mjs"), "text/javascript; charset=utf-8");
  EXPECT_EQ(media_type("m.wasm"), "application/wasm");
}

TEST(http_mime, what_is_unknown_is_bytes) {
  for (const char* name :
       {"", "a", "a.", ".html", "a.b/c", "a.unknown", "a.averyveryverylongextension", "a.html/x"}) {
    EXPECT_EQ(media_type(name), "application/octet-stream") << name;
  }
}

}  // namespace
}  // namespace weft::http
