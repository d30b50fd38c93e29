#include <weft/http/path.hpp>

#include <gtest/gtest.h>

#include <iterator>
#include <string>

namespace weft::http {
namespace {

struct path_case {
  const char* url;
  const char* file;  // nullptr: refused, for this reason
  path_errc error{};
  bool directory = false;
};

constexpr path_case table[] = {
    // Two dots, plain, in every place
    {"/..", nullptr, path_errc::refused},
    {"/../", nullptr, path_errc::refused},
    {"/../etc/passwd", nullptr, path_errc::refused},
    {"/a/..", nullptr, path_errc::refused},
    {"/a/../", nullptr, path_errc::refused},
    {"/a/../b", nullptr, path_errc::refused},
    {"/a/b/../../..", nullptr, path_errc::refused},
    {"/../../../../../../etc/passwd", nullptr, path_errc::refused},
    {"//..", nullptr, path_errc::refused},
    {"//../etc/passwd", nullptr, path_errc::refused},
    {"/./..", nullptr, path_errc::refused},
    {"/a/./../b", nullptr, path_errc::refused},
    {"/a//../b", nullptr, path_errc::refused},
    {"/../a", nullptr, path_errc::refused},
    {"/..//etc/passwd", nullptr, path_errc::refused},
    {"/.../", nullptr, path_errc::refused},
    {"/...", nullptr, path_errc::refused},
    {"/....", nullptr, path_errc::refused},
    {"/a/.../b", nullptr, path_errc::refused},
    {"/a/..../b", nullptr, path_errc::refused},
    {"/..../..../etc/passwd", nullptr, path_errc::refused},
    // Two dots, encoded once, in all mixtures
    {"/%2e%2e", nullptr, path_errc::refused},
    {"/%2e%2e/etc/passwd", nullptr, path_errc::refused},
    {"/a/%2e%2e/b", nullptr, path_errc::refused},
    {"/a/%2e%2e", nullptr, path_errc::refused},
    {"/%2e%2e/%2e%2e/%2e%2e/etc/passwd", nullptr, path_errc::refused},
    {"//%2e%2e/", nullptr, path_errc::refused},
    {"/./%2e%2e", nullptr, path_errc::refused},
    {"/%2E%2E", nullptr, path_errc::refused},
    {"/%2E%2E/etc/passwd", nullptr, path_errc::refused},
    {"/a/%2E%2E/b", nullptr, path_errc::refused},
    {"/a/%2E%2E", nullptr, path_errc::refused},
    {"/%2E%2E/%2E%2E/%2E%2E/etc/passwd", nullptr, path_errc::refused},
    {"//%2E%2E/", nullptr, path_errc::refused},
    {"/./%2E%2E", nullptr, path_errc::refused},
    {"/%2e%2E", nullptr, path_errc::refused},
    {"/%2e%2E/etc/passwd", nullptr, path_errc::refused},
    {"/a/%2e%2E/b", nullptr, path_errc::refused},
    {"/a/%2e%2E", nullptr, path_errc::refused},
    {"/%2e%2E/%2e%2E/%2e%2E/etc/passwd", nullptr, path_errc::refused},
    {"//%2e%2E/", nullptr, path_errc::refused},
    {"/./%2e%2E", nullptr, path_errc::refused},
    {"/.%2e", nullptr, path_errc::refused},
    {"/.%2e/etc/passwd", nullptr, path_errc::refused},
    {"/a/.%2e/b", nullptr, path_errc::refused},
    {"/a/.%2e", nullptr, path_errc::refused},
    {"/.%2e/.%2e/.%2e/etc/passwd", nullptr, path_errc::refused},
    {"//.%2e/", nullptr, path_errc::refused},
    {"/./.%2e", nullptr, path_errc::refused},
    {"/.%2E", nullptr, path_errc::refused},
    {"/.%2E/etc/passwd", nullptr, path_errc::refused},
    {"/a/.%2E/b", nullptr, path_errc::refused},
    {"/a/.%2E", nullptr, path_errc::refused},
    {"/.%2E/.%2E/.%2E/etc/passwd", nullptr, path_errc::refused},
    {"//.%2E/", nullptr, path_errc::refused},
    {"/./.%2E", nullptr, path_errc::refused},
    {"/%2e.", nullptr, path_errc::refused},
    {"/%2e./etc/passwd", nullptr, path_errc::refused},
    {"/a/%2e./b", nullptr, path_errc::refused},
    {"/a/%2e.", nullptr, path_errc::refused},
    {"/%2e./%2e./%2e./etc/passwd", nullptr, path_errc::refused},
    {"//%2e./", nullptr, path_errc::refused},
    {"/./%2e.", nullptr, path_errc::refused},
    {"/%2E.", nullptr, path_errc::refused},
    {"/%2E./etc/passwd", nullptr, path_errc::refused},
    {"/a/%2E./b", nullptr, path_errc::refused},
    {"/a/%2E.", nullptr, path_errc::refused},
    {"/%2E./%2E./%2E./etc/passwd", nullptr, path_errc::refused},
    {"//%2E./", nullptr, path_errc::refused},
    {"/./%2E.", nullptr, path_errc::refused},
    // An encoded slash, alone and with dots
    {"/%2f", nullptr, path_errc::refused},
    {"/%2F", nullptr, path_errc::refused},
    {"/a%2fb", nullptr, path_errc::refused},
    {"/a%2Fb", nullptr, path_errc::refused},
    {"/..%2f", nullptr, path_errc::refused},
    {"/..%2fetc%2fpasswd", nullptr, path_errc::refused},
    {"/..%2F..%2Fetc%2Fpasswd", nullptr, path_errc::refused},
    {"/%2e%2e%2f", nullptr, path_errc::refused},
    {"/%2e%2e%2fetc/passwd", nullptr, path_errc::refused},
    {"/%2E%2E%2Fetc/passwd", nullptr, path_errc::refused},
    {"/a/..%2f..%2fb", nullptr, path_errc::refused},
    {"/%2fetc%2fpasswd", nullptr, path_errc::refused},
    {"/a%2f..%2fb", nullptr, path_errc::refused},
    {"/a/%2e%2e%2f%2e%2e%2fb", nullptr, path_errc::refused},
    {"/%2f%2fetc/passwd", nullptr, path_errc::refused},
    {"/.%2f", nullptr, path_errc::refused},
    {"/a%2f", nullptr, path_errc::refused},
    // Backslashes, plain and encoded: a separator on Windows
    {"/..\\", nullptr, path_errc::malformed},
    {"/..\\..\\etc", nullptr, path_errc::malformed},
    {"/a\\b", nullptr, path_errc::malformed},
    {"/\\", nullptr, path_errc::malformed},
    {"/\\\\server\\share", nullptr, path_errc::malformed},
    {"/..%5c", nullptr, path_errc::malformed},
    {"/..%5C", nullptr, path_errc::malformed},
    {"/..%5cetc%5cpasswd", nullptr, path_errc::malformed},
    {"/%2e%2e%5c", nullptr, path_errc::malformed},
    {"/%2e%2e%5cwindows", nullptr, path_errc::malformed},
    {"/a%5cb", nullptr, path_errc::malformed},
    {"/%5c", nullptr, path_errc::malformed},
    {"/%5c%5cserver", nullptr, path_errc::malformed},
    {"/a/..\\b", nullptr, path_errc::malformed},
    {"/..%5c..%5c..%5cwindows%5cwin.ini", nullptr, path_errc::malformed},
    {"/c:%5cwindows", nullptr, path_errc::malformed},
    {"/..\\/", nullptr, path_errc::malformed},
    {"/../%5c..", nullptr, path_errc::malformed},
    // Encoded twice: decoded once, so it is only a strange name
    {"/%252e%252e", "%2e%2e", {}, false},
    {"/%252e%252e/etc/passwd", "%2e%2e/etc/passwd", {}, false},
    {"/%252E%252E%252Fetc", "%2E%2E%2Fetc", {}, false},
    {"/..%252fetc", nullptr, path_errc::refused},
    {"/a%252fb", "a%2fb", {}, false},
    {"/%255c", "%5c", {}, false},
    {"/%25", "%", {}, false},
    {"/%2500", "%00", {}, false},
    {"/%25252e", "%252e", {}, false},
    {"/a/%252e%252e/b", "a/%2e%2e/b", {}, false},
    // Overlong and broken UTF-8: a dot or a slash to a careless decoder
    {"/%c0%ae%c0%ae/", nullptr, path_errc::malformed},
    {"/%c0%ae%c0%ae/etc/passwd", nullptr, path_errc::malformed},
    {"/%c0%2e%c0%2e/", nullptr, path_errc::malformed},
    {"/%c0%af", nullptr, path_errc::malformed},
    {"/..%c0%af", nullptr, path_errc::malformed},
    {"/..%c0%afetc/passwd", nullptr, path_errc::malformed},
    {"/%c1%9c", nullptr, path_errc::malformed},
    {"/..%c1%9c", nullptr, path_errc::malformed},
    {"/%e0%80%ae%e0%80%ae/", nullptr, path_errc::malformed},
    {"/%e0%80%af", nullptr, path_errc::malformed},
    {"/%f0%80%80%ae/", nullptr, path_errc::malformed},
    {"/%f0%80%80%af", nullptr, path_errc::malformed},
    {"/%f8%80%80%80%ae", nullptr, path_errc::malformed},
    {"/%fc%80%80%80%80%ae", nullptr, path_errc::malformed},
    {"/%c0", nullptr, path_errc::malformed},
    {"/%80", nullptr, path_errc::malformed},
    {"/%bf", nullptr, path_errc::malformed},
    {"/%e2%82", nullptr, path_errc::malformed},
    {"/%ff", nullptr, path_errc::malformed},
    {"/%fe", nullptr, path_errc::malformed},
    {"/a%ffb", nullptr, path_errc::malformed},
    {"/%ed%a0%80", nullptr, path_errc::malformed},
    {"/%ed%bf%bf", nullptr, path_errc::malformed},
    {"/%f4%90%80%80", nullptr, path_errc::malformed},
    {"/%f5%80%80%80", nullptr, path_errc::malformed},
    {"/%c3%28", nullptr, path_errc::malformed},
    {"/%c0%80", nullptr, path_errc::malformed},
    {"/a/%c0%ae%c0%ae/b", nullptr, path_errc::malformed},
    // Other alphabets: dots and slashes that are none
    {"/%ef%bc%8e%ef%bc%8e/x", "\xef\xbc\x8e\xef\xbc\x8e/x", {}, false},
    {"/%e2%80%a5/x", "\xe2\x80\xa5/x", {}, false},
    {"/%e2%88%95etc",
     "\xe2\x88\x95"
     "etc",
     {},
     false},
    {"/%ef%bc%8fetc",
     "\xef\xbc\x8f"
     "etc",
     {},
     false},
    {"/%c3%a9", "\xc3\xa9", {}, false},
    {"/%f0%9f%98%80", "\xf0\x9f\x98\x80", {}, false},
    {"/%u002e%u002e/", nullptr, path_errc::malformed},
    {"/%u2215etc", nullptr, path_errc::malformed},
    {"/..%u2215etc", nullptr, path_errc::malformed},
    // NUL and control characters
    {"/%00", nullptr, path_errc::malformed},
    {"/a%00", nullptr, path_errc::malformed},
    {"/a%00.html", nullptr, path_errc::malformed},
    {"/../%00", nullptr, path_errc::malformed},
    {"/a.html%00.jpg", nullptr, path_errc::malformed},
    {"/%00/etc", nullptr, path_errc::malformed},
    {"/a%01", nullptr, path_errc::malformed},
    {"/a%0a", nullptr, path_errc::malformed},
    {"/a%0d", nullptr, path_errc::malformed},
    {"/a%0d%0aX:%20y", nullptr, path_errc::malformed},
    {"/a%09b", nullptr, path_errc::malformed},
    {"/a%1b[0m", nullptr, path_errc::malformed},
    {"/a%7f", nullptr, path_errc::malformed},
    {"/a%1f", nullptr, path_errc::malformed},
    {"/%08", nullptr, path_errc::malformed},
    // Percent signs that encode nothing
    {"/%", nullptr, path_errc::malformed},
    {"/%2", nullptr, path_errc::malformed},
    {"/%g0", nullptr, path_errc::malformed},
    {"/%2g", nullptr, path_errc::malformed},
    {"/%%", nullptr, path_errc::malformed},
    {"/%%32e", nullptr, path_errc::malformed},
    {"/%2%65", nullptr, path_errc::malformed},
    {"/a%", nullptr, path_errc::malformed},
    {"/a/%2", nullptr, path_errc::malformed},
    {"/%-1", nullptr, path_errc::malformed},
    {"/% 2e", nullptr, path_errc::malformed},
    {"/%+2e", nullptr, path_errc::malformed},
    {"/%0x2e", nullptr, path_errc::malformed},
    {"/%2e%", nullptr, path_errc::malformed},
    {"/%%2e%%2e/", nullptr, path_errc::malformed},
    {"/.%%32%65/", nullptr, path_errc::malformed},
    // Not a path
    {"", nullptr, path_errc::malformed},
    {"a", nullptr, path_errc::malformed},
    {"../a", nullptr, path_errc::malformed},
    {"*", nullptr, path_errc::malformed},
    {"http://a/b", nullptr, path_errc::malformed},
    {"\\", nullptr, path_errc::malformed},
    {"?", nullptr, path_errc::malformed},
    {".", nullptr, path_errc::malformed},
    {"..", nullptr, path_errc::malformed},
    {"%2fa", nullptr, path_errc::malformed},
    // Hidden names
    {"/.git", nullptr, path_errc::refused},
    {"/.git/config", nullptr, path_errc::refused},
    {"/.env", nullptr, path_errc::refused},
    {"/.htaccess", nullptr, path_errc::refused},
    {"/a/.git/config", nullptr, path_errc::refused},
    {"/%2egit/config", nullptr, path_errc::refused},
    {"/%2Eenv", nullptr, path_errc::refused},
    {"/.ssh/id_rsa", nullptr, path_errc::refused},
    {"/a/.b/c", nullptr, path_errc::refused},
    {"/.DS_Store", nullptr, path_errc::refused},
    {"/.well-known2/x", nullptr, path_errc::refused},
    {"/a/.well-known/x", nullptr, path_errc::refused},
    {"/./.hidden", nullptr, path_errc::refused},
    {"/.well-known/acme-challenge/x", ".well-known/acme-challenge/x", {}, false},
    {"/%2ewell-known/x", ".well-known/x", {}, false},
    // Names that Windows reads otherwise
    {"/con", nullptr, path_errc::refused},
    {"/CON", nullptr, path_errc::refused},
    {"/Con.txt", nullptr, path_errc::refused},
    {"/aux.h", nullptr, path_errc::refused},
    {"/nul", nullptr, path_errc::refused},
    {"/NUL.tar.gz", nullptr, path_errc::refused},
    {"/prn", nullptr, path_errc::refused},
    {"/com1", nullptr, path_errc::refused},
    {"/COM9.log", nullptr, path_errc::refused},
    {"/lpt1", nullptr, path_errc::refused},
    {"/lpt5.x", nullptr, path_errc::refused},
    {"/a/con/b", nullptr, path_errc::refused},
    {"/conin$", nullptr, path_errc::refused},
    {"/CONOUT$", nullptr, path_errc::refused},
    {"/com%c2%b9", nullptr, path_errc::refused},
    {"/lpt%c2%b3.txt", nullptr, path_errc::refused},
    {"/c:", nullptr, path_errc::refused},
    {"/c:/windows", nullptr, path_errc::refused},
    {"/C:", nullptr, path_errc::refused},
    {"/a:b", nullptr, path_errc::refused},
    {"/file.txt::$DATA", nullptr, path_errc::refused},
    {"/file.txt:stream", nullptr, path_errc::refused},
    {"/index.html%3a%3a$DATA", nullptr, path_errc::refused},
    {"/a.", nullptr, path_errc::refused},
    {"/a..", nullptr, path_errc::refused},
    {"/a./b", nullptr, path_errc::refused},
    {"/a%2e", nullptr, path_errc::refused},
    {"/a%20", nullptr, path_errc::refused},
    {"/a%20/b", nullptr, path_errc::refused},
    {"/con%20.txt", nullptr, path_errc::refused},
    {"/index.html.", nullptr, path_errc::refused},
    {"/a.%20", nullptr, path_errc::refused},
    // What is served
    {"/", ".", {}, true},
    {"//", ".", {}, true},
    {"/.", ".", {}, true},
    {"/./", ".", {}, true},
    {"/%2e", ".", {}, true},
    {"/%2e/", ".", {}, true},
    {"/a", "a", {}, false},
    {"/a/", "a", {}, true},
    {"/a/b", "a/b", {}, false},
    {"/a//b", "a/b", {}, false},
    {"//a", "a", {}, false},
    {"/a/./b", "a/b", {}, false},
    {"/./a", "a", {}, false},
    {"/a/.", "a", {}, true},
    {"/a/./", "a", {}, true},
    {"/a.b", "a.b", {}, false},
    {"/a..b", "a..b", {}, false},
    {"/a..b/c", "a..b/c", {}, false},
    {"/a...b", "a...b", {}, false},
    {"/index.html", "index.html", {}, false},
    {"/a%20b", "a b", {}, false},
    {"/a+b", "a+b", {}, false},
    {"/a%2bb", "a+b", {}, false},
    {"/~user", "~user", {}, false},
    {"/%7euser", "~user", {}, false},
    {"/a%3fb", "a?b", {}, false},
    {"/a%23b", "a#b", {}, false},
    {"/a;b=c", "a;b=c", {}, false},
    {"/a&b", "a&b", {}, false},
    {"/a%26b", "a&b", {}, false},
    {"/it's", "it's", {}, false},
    {"/%3cscript%3e", "<script>", {}, false},
    {"/a%22b", "a\"b", {}, false},
    {"/console", "console", {}, false},
    {"/com", "com", {}, false},
    {"/com10", "com10", {}, false},
    {"/context.txt", "context.txt", {}, false},
    {"/auxiliary", "auxiliary", {}, false},
    {"/nulls.txt", "nulls.txt", {}, false},
    {"/-rf", "-rf", {}, false},
    {"/etc/passwd", "etc/passwd", {}, false},
    {"/*", "*", {}, false},
    {"/a$b", "a$b", {}, false},
    {"/%41", "A", {}, false},
};
static_assert(std::size(table) >= 200);

TEST(http_path, every_row_of_the_table_resolves_as_written) {
  for (const path_case& c : table) {
    const auto path = resolve_path(c.url);
    if (c.file == nullptr) {
      ASSERT_FALSE(path) << c.url << " gave " << path->relative;
      EXPECT_EQ(path.error(), c.error) << c.url;
    } else {
      ASSERT_TRUE(path) << c.url;
      EXPECT_EQ(path->relative, c.file) << c.url;
      EXPECT_EQ(path->directory, c.directory) << c.url;
    }
  }
}

TEST(http_path, refusals_answer_400_or_404_and_never_say_whether_something_is_there) {
  EXPECT_EQ(answer(path_errc::malformed), status::bad_request);
  EXPECT_EQ(answer(path_errc::refused), status::not_found);
}

TEST(http_path, hidden_and_windows_names_can_be_allowed_but_two_dots_cannot) {
  const path_options all{.hidden = true, .windows_names = true};
  EXPECT_EQ(resolve_path("/.git/config", all)->relative, ".git/config");
  EXPECT_EQ(resolve_path("/a:b/con", all)->relative, "a:b/con");
  for (const char* url :
       {"/..", "/a/..", "/%2e%2e/a", "/...", "/..%2f", "/..%5c", "/%c0%ae%c0%ae"}) {
    EXPECT_FALSE(resolve_path(url, all)) << url;
  }
}

TEST(http_path, lengths_are_bounded) {
  EXPECT_TRUE(resolve_path("/" + std::string(255, 'a')));
  EXPECT_FALSE(resolve_path("/" + std::string(256, 'a')));
  std::string deep;
  while (deep.size() < path_bytes_max) deep += "/a";
  EXPECT_TRUE(resolve_path(deep));
  EXPECT_FALSE(resolve_path(deep + "/a"));
}

TEST(http_path, encoding_then_decoding_gives_every_byte_back) {
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  std::string encoded, decoded;
  append_percent_encoded(encoded, all);
  EXPECT_EQ(encoded.find('/'), std::string::npos);
  EXPECT_EQ(encoded.find('"'), std::string::npos);
  ASSERT_TRUE(append_percent_decoded(decoded, encoded));
  EXPECT_EQ(decoded, all);
}

}  // namespace
}  // namespace weft::http
