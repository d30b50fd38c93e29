// What the file handler serves and, above all, what it does not, through a real socket. All of it once
// with every file looked at for every request, and once with files kept: there each request is made
// twice, and what is kept must give the same answer.
#include "weft/http/files.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "weft/http/client_test_support.hpp"

namespace weft::http {
namespace {

using test::body_of;
using test::field_of;
using test::raw_client;
using test::status_of;
using test::test_server;

// A folder "root" with files, and a secret beside it.
class http_files : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "weft-files-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    ::chmod(base_.c_str(), 0755);
    std::filesystem::create_directories(base_ / "root/sub/deep");
    std::filesystem::create_directories(base_ / "root/page");
    std::filesystem::create_directories(base_ / "root-secret");
    write("root/a.txt", "0123456789");
    write("root/empty", "");
    write("root/page/index.html", "<p>index</p>");
    write("root/sub/y & z.txt", "y");
    write("root/.hidden", "hidden");
    write("secret", "secret");
    write("root-secret/s", "secret");
    large_.resize(3'000'000);
    for (std::size_t i = 0; i < large_.size(); ++i) large_[i] = static_cast<char>(i * 7 + i / 1000);
    write("root/large.bin", large_);
    auto root = fs::directory::blocking_open((base_ / "root").string());
    ASSERT_TRUE(root.has_value());
    file_options options;
    options.fresh_for = GetParam() ? std::chrono::hours(1) : std::chrono::hours(0);
    files_ = std::make_unique<static_files>(std::move(*root), options);
    server_ = std::make_unique<test_server>(*files_);
  }
  void TearDown() override {
    server_.reset();
    files_.reset();
    std::filesystem::remove_all(base_);
  }
  void write(const std::string& name, std::string_view text) {
    std::ofstream(base_ / name, std::ios::binary) << text;
  }
  std::string ask(std::string_view method, std::string_view path, std::string_view fields = "") {
    const std::string asked = std::string(method) + " " + std::string(path) +
                              " HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n";
    std::string got = ask_once(asked, method == "HEAD");
    if (!GetParam()) return got;
    const std::string again = ask_once(asked, method == "HEAD");
    EXPECT_TRUE(without_date(got) == without_date(again)) << asked << got << again;
    return again;
  }
  std::string ask_once(std::string_view asked, bool head_only) {
    raw_client c(server_->port());
    c.send(asked);
    return c.read_response(head_only);
  }
  static std::string without_date(std::string response) {
    const std::size_t at = response.find("\r\nDate: ");
    if (at != std::string::npos) response.erase(at, response.find("\r\n", at + 2) - at);
    return response;
  }
  std::string get(std::string_view path, std::string_view fields = "") {
    return ask("GET", path, fields);
  }

  std::filesystem::path base_;
  std::string large_;
  std::unique_ptr<static_files> files_;
  std::unique_ptr<test_server> server_;
};

TEST_P(http_files, a_file_comes_with_type_length_and_validators) {
  const std::string got = get("/a.txt");
  EXPECT_EQ(status_of(got), 200);
  EXPECT_EQ(body_of(got), "0123456789");
  EXPECT_EQ(field_of(got, "content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(field_of(got, "accept-ranges"), "bytes");
  EXPECT_EQ(field_of(got, "x-content-type-options"), "nosniff");
  EXPECT_NE(field_of(got, "etag"), "");
  EXPECT_NE(field_of(got, "last-modified"), "");
  const std::string empty = get("/empty");
  EXPECT_EQ(status_of(empty), 200);
  EXPECT_EQ(field_of(empty, "content-length"), "0");
}

TEST_P(http_files, a_large_file_arrives_whole_and_the_connection_goes_on) {
  raw_client c(server_->port());
  for (int i = 0; i < 3; ++i) {
    const std::string got = c.ask("GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(body_of(got), large_);
  }
  // The client may have the last bytes before the server has counted them.
  EXPECT_TRUE(server_->eventually(
      [this](const auto& n) { return n.body_bytes_sent == 3 * large_.size(); }));
}

TEST_P(http_files, head_is_as_get_without_the_body) {
  for (const char* path : {"/a.txt", "/large.bin", "/page/", "/sub/", "/missing"}) {
    const std::string head = ask("HEAD", path), whole = get(path);
    EXPECT_EQ(body_of(head), "");
    for (const char* name : {"content-length", "content-type", "etag", "last-modified"}) {
      EXPECT_EQ(field_of(head, name), field_of(whole, name)) << path << " " << name;
    }
    EXPECT_EQ(status_of(head), status_of(whole));
  }
}

TEST_P(http_files, a_range_is_a_part) {
  const std::string part = get("/a.txt", "Range: bytes=2-4\r\n");
  EXPECT_EQ(status_of(part), 206);
  EXPECT_EQ(body_of(part), "234");
  EXPECT_EQ(field_of(part, "content-range"), "bytes 2-4/10");
  const std::string tail = get("/large.bin", "Range: bytes=-200000\r\n");  // by send_file
  EXPECT_EQ(status_of(tail), 206);
  EXPECT_EQ(body_of(tail), large_.substr(large_.size() - 200000));
  const std::string outside = get("/a.txt", "Range: bytes=10-\r\n");
  EXPECT_EQ(status_of(outside), 416);
  EXPECT_EQ(field_of(outside, "content-range"), "bytes */10");
  const std::string several = get("/a.txt", "Range: bytes=0-1,3-4\r\n");
  EXPECT_EQ(status_of(several), 200);
}

TEST_P(http_files, conditions_are_judged_by_the_validators) {
  const std::string first = get("/a.txt");
  const std::string etag = field_of(first, "etag"), date = field_of(first, "last-modified");
  const std::string same = get("/a.txt", "If-None-Match: " + etag + "\r\n");
  EXPECT_EQ(status_of(same), 304);
  EXPECT_EQ(field_of(same, "etag"), etag);
  EXPECT_EQ(body_of(same), "");
  EXPECT_EQ(status_of(get("/a.txt", "If-Modified-Since: " + date + "\r\n")), 304);
  EXPECT_EQ(status_of(get("/a.txt", "If-None-Match: \"other\"\r\n")), 200);
  EXPECT_EQ(status_of(get("/a.txt", "If-Match: \"other\"\r\n")), 412);
  EXPECT_EQ(status_of(get("/a.txt", "If-Match: " + etag + "\r\n")), 200);
  const std::string range = "Range: bytes=0-0\r\nIf-Range: ";
  EXPECT_EQ(status_of(get("/a.txt", range + etag + "\r\n")), 206);
  EXPECT_EQ(status_of(get("/a.txt", range + "\"other\"\r\n")), 200);
}

TEST_P(http_files, a_folder_is_its_index_page_or_a_listing_at_its_own_url) {
  const std::string index = get("/page/");
  EXPECT_EQ(body_of(index), "<p>index</p>");
  EXPECT_EQ(field_of(index, "content-type"), "text/html; charset=utf-8");
  const std::string listing = get("/sub/");
  EXPECT_EQ(status_of(listing), 200);
  EXPECT_NE(listing.find("./y%20%26%20z.txt"), std::string::npos) << listing;
  EXPECT_NE(listing.find("y &amp; z.txt"), std::string::npos) << listing;
  const std::string root = get("/");
  EXPECT_EQ(root.find("hidden"), std::string::npos);
  EXPECT_NE(root.find("./sub/"), std::string::npos);
  EXPECT_EQ(status_of(get("/a.txt/")), 404);
  EXPECT_EQ(status_of(get("/.hidden")), 404);
}

TEST_P(http_files, a_redirect_stays_on_this_host) {
  EXPECT_EQ(field_of(get("/sub"), "location"), "/sub/");
  EXPECT_EQ(field_of(get("//sub/deep?a=b"), "location"), "/sub/deep/?a=b");
  EXPECT_EQ(field_of(get("/./sub"), "location"), "/sub/");
  std::filesystem::create_directories(base_ / "root/evil.example");
  EXPECT_EQ(field_of(get("//evil.example"), "location"), "/evil.example/");
  EXPECT_EQ(field_of(get("///evil.example"), "location"), "/evil.example/");
  std::filesystem::create_directories(base_ / "root/a b?");
  EXPECT_EQ(field_of(get("/a%20b%3f"), "location"), "/a%20b%3F/");
  EXPECT_EQ(field_of(get("/%2fevil.example"), "location"), "");
  EXPECT_EQ(field_of(get("/\\evil.example"), "location"), "");
  EXPECT_EQ(field_of(get("/%5cevil.example"), "location"), "");
}

TEST_P(http_files, no_way_leads_out) {
  std::filesystem::create_symlink("../secret", base_ / "root/link");
  std::filesystem::create_symlink("/etc", base_ / "root/etc");
  std::filesystem::create_symlink((base_ / "secret").string(), base_ / "root/absolute");
  const char* const paths[] = {"/../secret",
                               "/sub/../../secret",
                               "/..%2fsecret",
                               "/%2e%2e/secret",
                               "/%2E%2E%2Fsecret",
                               "/.%2e/secret",
                               "/%2e./secret",
                               "/..%5csecret",
                               "/..\\secret",
                               "/%252e%252e/secret",
                               "/..%c0%afsecret",
                               "/%c0%ae%c0%ae/secret",
                               "/%e0%80%ae%e0%80%ae/secret",
                               "/..;/secret",
                               "/..%00/secret",
                               "/a.txt%00.png",
                               "//../secret",
                               "/sub/..//..//secret",
                               "/./../secret",
                               "/../root-secret/s",
                               "/..%2froot-secret/s",
                               "/link",
                               "/etc/passwd",
                               "/etc/",
                               "/absolute",
                               "/link/",
                               "/%uff0e%uff0e/secret",
                               "/..%u2215secret",
                               "/....//secret",
                               "/..."};
  for (const char* path : paths) {
    const std::string got = get(path);
    EXPECT_GE(status_of(got), 400) << path;
    EXPECT_LT(status_of(got), 500) << path;
    EXPECT_EQ(got.find("secret\r\n"), std::string::npos) << path;
    EXPECT_NE(body_of(got), "secret") << path;
    EXPECT_EQ(got.find("root:"), std::string::npos) << path;
  }
}

TEST_P(http_files, a_link_that_stays_inside_is_followed_or_refused_never_an_error) {
  std::filesystem::create_symlink("../a.txt", base_ / "root/sub/inside");
  const std::string got = get("/sub/inside");
  EXPECT_TRUE(status_of(got) == 200 || status_of(got) == 403) << got;
}

TEST_P(http_files, what_is_no_file_is_not_found_and_does_not_block) {
  ASSERT_EQ(::mkfifo((base_ / "root/fifo").c_str(), 0644), 0);
  EXPECT_EQ(status_of(get("/fifo")), 404);
  EXPECT_EQ(status_of(get("/missing")), 404);
  EXPECT_EQ(status_of(get("/a.txt/below")), 404);
  EXPECT_EQ(status_of(get("/" + std::string(300, 'n'))), 404);
}

TEST_P(http_files, other_methods_are_told_what_there_is) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "BREW"}) {
    const std::string got = ask(method, "/a.txt", "Content-Length: 0\r\n");
    if (std::string_view(method) == "BREW") {
      EXPECT_GE(status_of(got), 400) << method;
      continue;
    }
    EXPECT_EQ(status_of(got), 405) << method;
    EXPECT_EQ(field_of(got, "allow"), "GET, HEAD");
  }
}

// Far more than fits between the two, so that most of it is not sent when it is cut.
TEST_P(http_files, a_file_that_becomes_shorter_ends_the_connection_before_its_length) {
  constexpr std::size_t bytes = 256 * 1024 * 1024;
  write("root/sparse.bin", "");
  std::filesystem::resize_file(base_ / "root/sparse.bin", bytes);
  raw_client c(server_->port());
  c.send("GET /sparse.bin HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string head = c.read_until("\r\n\r\n");
  EXPECT_EQ(field_of(head, "content-length"), std::to_string(bytes));
  std::filesystem::resize_file(base_ / "root/sparse.bin", 10);
  const std::string body = c.read_all();
  EXPECT_LT(body.size(), bytes);
  EXPECT_TRUE(server_->eventually([](const auto& n) { return n.connections_open == 0; }));
}

// In a child, because the tests may run as root, who can read everything.
TEST_P(http_files, an_unreadable_file_is_forbidden) {
  write("root/locked", "locked");
  ::chmod((base_ / "root/locked").c_str(), 0);
  std::filesystem::create_directories(base_ / "root/locked-page");
  write("root/locked-page/index.html", "locked");
  ::chmod((base_ / "root/locked-page/index.html").c_str(), 0);
  server_.reset();  // its threads would not be in the child
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(2);
    server_ = std::make_unique<test_server>(*files_);
    const int file = status_of(get("/locked")), page = status_of(get("/locked-page/"));
    const int fine = status_of(get("/a.txt"));
    server_.reset();
    ::_exit(file == 403 && page == 403 && fine == 200 ? 0 : 1);
  }
  int how = 0;
  ASSERT_EQ(::waitpid(child, &how, 0), child);
  EXPECT_TRUE(WIFEXITED(how));
  EXPECT_EQ(WEXITSTATUS(how), 0);
}

INSTANTIATE_TEST_SUITE_P(files, http_files, ::testing::Bool(), [](const auto& of) {
  return std::string(of.param ? "kept" : "looked_at_each_time");
});

}  // namespace
}  // namespace weft::http
