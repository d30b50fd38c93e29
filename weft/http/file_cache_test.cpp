// That files are kept, and for how long: on a clock that only the test moves. The answers themselves are
// compared with those of files that are not kept in files_test.cpp.
#include "weft/http/file_cache.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "weft/http/client_test_support.hpp"
#include "weft/http/files.hpp"

namespace weft::http {
namespace {

using namespace std::chrono_literals;
using detail::file_cache;
using detail::file_snapshot;
using test::body_of;
using test::clock_kind;
using test::field_of;
using test::raw_client;
using test::status_of;
using test::test_server;
using moment = file_cache::moment;

// --- The bounds

const moment start{};

file_cache::snapshot file_of(std::string text) {
  auto made = std::make_shared<file_snapshot>();
  made->text = std::make_shared<const std::string>(std::move(text));
  return made;
}

TEST(http_file_cache, a_file_is_known_until_it_is_too_old_and_may_then_be_confirmed) {
  file_cache c({10, 1 << 20});
  const auto file = file_of("a");
  c.put("/a", file, start + 5s);
  EXPECT_EQ(c.find("/a", start + 4s), file);
  EXPECT_EQ(c.find("/a", start + 5s), nullptr);
  EXPECT_EQ(c.find_stale("/a"), file);
  c.put("/a", file, start + 7s);
  EXPECT_EQ(c.find("/a", start + 6s), file);
  EXPECT_EQ(c.used().entries, 1u);
  EXPECT_EQ(c.find("/b", start), nullptr);
}

TEST(http_file_cache, over_its_number_those_go_that_nobody_asked_for) {
  file_cache c({3, 1 << 20});
  for (const char* path : {"/a", "/b", "/c"}) c.put(path, file_of(path), start + 1s);
  EXPECT_NE(c.find("/a", start), nullptr);
  c.put("/d", file_of("d"), start + 1s);
  EXPECT_NE(c.find("/a", start), nullptr);
  EXPECT_EQ(c.find("/b", start), nullptr);
  // All were asked for: one goes all the same.
  for (const char* path : {"/a", "/c", "/d"}) EXPECT_NE(c.find(path, start), nullptr) << path;
  c.put("/e", file_of("e"), start + 1s);
  EXPECT_EQ(c.used().entries, 3u);
}

TEST(http_file_cache, over_its_bytes_too_and_what_is_too_large_alone_is_not_kept) {
  file_cache c({100, 10'000});
  for (int i = 0; i < 20; ++i) {
    c.put("/" + std::to_string(i), file_of(std::string(2'000, 'x')), start + 1s);
    EXPECT_LE(c.used().bytes, 10'000u);
  }
  EXPECT_GE(c.used().entries, 3u);
  EXPECT_NE(c.find("/19", start), nullptr);
  const std::size_t entries = c.used().entries;
  c.put("/19", file_of(std::string(20'000, 'x')), start + 2s);  // it has grown
  EXPECT_EQ(c.find_stale("/19"), nullptr);
  EXPECT_EQ(c.used().entries, entries - 1);
}

TEST(http_file_cache, the_bytes_are_those_of_what_is_there) {
  file_cache c({100, 1 << 20});
  c.put("/a", file_of("1"), start);
  const std::size_t one = c.used().bytes;
  c.put("/a", file_of("12345"), start);
  EXPECT_EQ(c.used().bytes, one + 4);
  c.put("/a", file_of("1"), start);
  EXPECT_EQ(c.used().bytes, one);
  c.put("/b", file_of("1"), start);
  EXPECT_EQ(c.used().bytes, 2 * one);
  c.drop("/a");
  c.drop("/a");
  c.drop("/b");
  EXPECT_EQ(c.used().bytes, 0u);
  EXPECT_EQ(c.used().entries, 0u);
}

TEST(http_file_cache, what_is_in_use_outlives_its_place) {
  file_cache c({1, 1 << 20});
  c.put("/a", file_of("alive"), start + 1s);
  const auto used = c.find("/a", start);
  c.put("/b", file_of("b"), start + 1s);
  EXPECT_EQ(c.find_stale("/a"), nullptr);
  EXPECT_EQ(*used->text, "alive");
  EXPECT_EQ(used.use_count(), 1);
}

TEST(http_file_cache, of_no_size_it_keeps_nothing) {
  file_cache c({0, 0});
  c.put("/a", file_of("a"), start + 1s);
  EXPECT_EQ(c.find_stale("/a"), nullptr);
}

file_cache::snapshot opened_file() {
  auto made = std::make_shared<file_snapshot>();
  made->opened = std::make_shared<const fs::file>();
  return made;
}

TEST(http_file_cache, descriptors_that_are_too_old_go_a_few_at_each_call) {
  file_cache c({100, 1 << 20});
  c.put("/text", file_of("text"), start + 1s);
  for (int i = 0; i < 10; ++i) c.put("/" + std::to_string(i), opened_file(), start + 1s);
  c.put("/new", opened_file(), start + 2s);
  EXPECT_NE(c.find("/new", start + 1s), nullptr);
  EXPECT_EQ(c.used().descriptors, 11u);  // a lookup with a result has something better to do
  EXPECT_EQ(c.find("/none", start + 1s), nullptr);
  EXPECT_EQ(c.used().descriptors, 7u);
  c.drop("/none");
  EXPECT_EQ(c.used().descriptors, 3u);
  c.put("/other", file_of("other"), start + 2s);
  EXPECT_EQ(c.used().descriptors, 1u);
  EXPECT_NE(c.find("/new", start + 1s), nullptr);
  EXPECT_NE(c.find_stale("/text"), nullptr);  // it may still be right
  EXPECT_EQ(c.used().entries, 3u);
}

TEST(http_file_cache, descriptors_have_a_bound_of_their_own_and_go_when_they_are_needed) {
  file_cache c({100, 1 << 20, 3});
  c.put("/text", file_of("text"), start + 1s);
  for (int i = 0; i < 10; ++i) {
    c.put("/" + std::to_string(i), opened_file(), start + 1s);
    EXPECT_LE(c.used().descriptors, 3u);
  }
  EXPECT_NE(c.find("/9", start), nullptr);
  EXPECT_NE(c.find("/7", start), nullptr);
  EXPECT_EQ(c.find("/6", start), nullptr);
  c.put("/9", file_of("shorter"), start + 1s);
  EXPECT_EQ(c.used().descriptors, 2u);
  c.drop_opened();
  EXPECT_EQ(c.used().descriptors, 0u);
  EXPECT_EQ(c.used().entries, 2u);
  file_cache none({100, 1 << 20, 0});
  none.put("/a", opened_file(), start + 1s);
  EXPECT_EQ(none.used().entries, 0u);
}

TEST(http_file_cache, what_was_seen_later_stays) {
  file_cache c({10, 1 << 20});
  const auto later = file_of("later");
  c.put("/a", later, start + 2s);
  c.put("/a", file_of("earlier"), start + 1s);
  EXPECT_EQ(c.find("/a", start), later);
  EXPECT_EQ(c.used().entries, 1u);
}

// --- What a client sees

class http_kept_files : public ::testing::Test {
 protected:
  static constexpr auto fresh_for = file_options().fresh_for;

  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "weft-kept-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    base_ = pattern;
    ::chmod(base_.c_str(), 0755);
    std::filesystem::create_directories(base_ / "root/page");
    write("root/a.txt", "first");
    write("root/page/index.html", "first");
    write("root/large.bin", std::string(large, 'x'));
    write("secret", "secret");
  }
  void TearDown() override {
    server_.reset();
    files_.reset();
    std::filesystem::remove_all(base_);
  }
  void serve(file_options options = {}) {
    auto root = fs::directory::blocking_open((base_ / "root").string());
    ASSERT_TRUE(root.has_value());
    files_ = std::make_unique<static_files>(std::move(*root), options);
    server_ = std::make_unique<test_server>(*files_, server_options(), clock_kind::manual);
  }
  void write(const std::string& name, std::string_view text) {
    std::ofstream(base_ / name, std::ios::binary) << text;
  }
  /// Until the clock of the file system has moved on: before that no look can tell.
  void change(
      const std::string& name, std::string_view text, const std::function<void()>& also = [] {}) {
    const auto changed = [&] {
      struct stat s{};
      EXPECT_EQ(::stat((base_ / name).c_str(), &s), 0);
      return std::pair(s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
    };
    for (const auto before = changed(); changed() == before;) {
      write(name, text);
      also();
    }
  }
  std::string get(std::string_view path, std::string_view fields = "") {
    raw_client c(server_->port());
    c.send("GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" +
           std::string(fields) + "\r\n");
    return c.read_all();
  }
  /// Keeps /a.txt and the index, makes a change, and sees it exactly when it must be seen.
  void after_change(const std::function<void()>& change, const std::function<void()>& expected) {
    serve();
    EXPECT_EQ(body_of(get("/a.txt")), "first");
    EXPECT_EQ(body_of(get("/page/")), "first");
    change();
    server_->advance(fresh_for - 1ms);
    EXPECT_EQ(body_of(get("/a.txt")), "first");  // kept, or this test would show nothing
    EXPECT_EQ(body_of(get("/page/")), "first");
    server_->advance(1ms);
    expected();
    expected();  // from what was kept anew
  }

  static constexpr std::size_t large = 16 * 1024 * 1024;
  std::filesystem::path base_;
  std::unique_ptr<static_files> files_;
  std::unique_ptr<test_server> server_;
};

TEST_F(http_kept_files, a_change_of_the_contents_is_seen_in_time) {
  after_change(
      [&] {
        write("root/a.txt", "other");  // of the same length, and maybe within the same tick
        write("root/page/index.html", "longer than the first");
      },
      [&] {
        EXPECT_EQ(body_of(get("/a.txt")), "other");
        EXPECT_EQ(body_of(get("/page/")), "longer than the first");
      });
}

TEST_F(http_kept_files, a_change_is_seen_also_if_the_file_had_been_kept_again_unchanged) {
  serve();
  const auto old = std::filesystem::file_time_type::clock::now() - 1h;
  std::filesystem::last_write_time(base_ / "root/a.txt", old);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(body_of(get("/a.txt")), "first");
    server_->advance(fresh_for);
  }
  write("root/a.txt", "other");
  EXPECT_EQ(body_of(get("/a.txt")), "other");
}

TEST_F(http_kept_files, a_file_put_in_its_place_is_seen_in_time) {
  after_change(
      [&] {
        write("root/new", "other");
        std::filesystem::rename(base_ / "root/new", base_ / "root/a.txt");
        write("root/new", "OTHER");
        std::filesystem::rename(base_ / "root/new", base_ / "root/page/index.html");
      },
      [&] {
        EXPECT_EQ(body_of(get("/a.txt")), "other");
        EXPECT_EQ(body_of(get("/page/")), "OTHER");
      });
}

TEST_F(http_kept_files, a_file_that_is_gone_is_not_found_in_time) {
  after_change(
      [&] {
        std::filesystem::remove(base_ / "root/a.txt");
        std::filesystem::remove(base_ / "root/page/index.html");
      },
      [&] {
        EXPECT_EQ(status_of(get("/a.txt")), 404);
        EXPECT_NE(get("/page/").find("<table>"), std::string::npos);  // the listing
      });
}

TEST_F(http_kept_files, a_link_that_leads_out_is_refused_in_time) {
  after_change(
      [&] {
        std::filesystem::remove(base_ / "root/a.txt");
        std::filesystem::create_symlink("../secret", base_ / "root/a.txt");
      },
      [&] { EXPECT_EQ(status_of(get("/a.txt")), 403); });
}

TEST_F(http_kept_files, one_that_takes_no_time_looks_each_time) {
  file_options each_time;
  each_time.fresh_for = 0ms;
  serve(each_time);
  EXPECT_EQ(body_of(get("/a.txt")), "first");
  write("root/a.txt", "other");
  EXPECT_EQ(body_of(get("/a.txt")), "other");
}

TEST_F(http_kept_files, names_written_in_another_way_are_not_kept) {
  serve();
  for (const char* path : {"/./a.txt", "//a.txt", "/%61.txt"}) {
    write("root/a.txt", "first");
    EXPECT_EQ(body_of(get(path)), "first") << path;
    write("root/a.txt", "other");
    EXPECT_EQ(body_of(get(path)), "other") << path;
  }
}

TEST_F(http_kept_files, the_same_size_and_time_do_not_hide_a_change) {
  serve();
  const auto old = std::filesystem::file_time_type::clock::now() - 1h;
  const auto path = base_ / "root/a.txt";
  std::filesystem::last_write_time(path, old);
  const std::string first = get("/a.txt");
  EXPECT_EQ(body_of(first), "first");
  change("root/a.txt", "other", [&] { std::filesystem::last_write_time(path, old); });
  server_->advance(fresh_for);
  const std::string second = get("/a.txt");
  EXPECT_EQ(body_of(second), "other");
  EXPECT_EQ(field_of(second, "last-modified"), field_of(first, "last-modified"));
  EXPECT_NE(field_of(second, "etag"), field_of(first, "etag"));
}

// Only the descriptor is kept: what is sent is what is there now, and the tag must be that one's.
TEST_F(http_kept_files, a_kept_large_file_that_is_overwritten_is_another_at_once) {
  serve();
  const std::string tag = field_of(get("/large.bin"), "etag");
  const std::string range = "Range: bytes=0-9\r\nIf-Range: " + tag + "\r\n";
  EXPECT_EQ(status_of(get("/large.bin", range)), 206);
  change("root/large.bin", std::string(large, 'y'));
  const std::string part = get("/large.bin", range);
  EXPECT_EQ(status_of(part), 200);
  EXPECT_EQ(body_of(part), std::string(large, 'y'));
  EXPECT_NE(field_of(part, "etag"), tag);
}

TEST_F(http_kept_files, a_kept_large_file_that_became_shorter_has_its_new_length_at_once) {
  serve();
  EXPECT_EQ(body_of(get("/large.bin")).size(), large);
  std::filesystem::resize_file(base_ / "root/large.bin", large / 2);
  const std::string got = get("/large.bin");
  EXPECT_EQ(field_of(got, "content-length"), std::to_string(large / 2));
  EXPECT_EQ(body_of(got).size(), large / 2);
}

// Two are left: for the client and for its connection. The file's own is one of those that were kept.
TEST_F(http_kept_files, without_a_descriptor_those_that_are_kept_are_given_up) {
  if (WEFT_ASAN) {
    GTEST_SKIP()
        << "the sanitizer looks at memory by a pipe, and takes a wrong type for what it cannot see";
  }
  serve();
  for (int i = 0; i < 10; ++i) {
    const std::string name = std::to_string(i);
    write("root/" + name, std::string(100'000, 'x'));
    EXPECT_EQ(status_of(get("/" + name)), 200);
  }
  ASSERT_TRUE(server_->eventually([](const auto& n) { return n.connections_open == 0; }));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  // All numbers below the limit are taken but two: one that is kept must not stand above it, behind a gap,
  // for it would free none that may be used.
  int highest = 0;
  for (int fd = 0; fd < 1024; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) highest = fd;
  }
  std::vector<int> taken;
  do {
    taken.push_back(::dup(STDERR_FILENO));
    ASSERT_GE(taken.back(), 0);
  } while (taken.back() < highest + 2);
  rlimit few = before;
  few.rlim_cur = static_cast<rlim_t>(taken.back()) + 1;
  for (int i = 0; i < 2; ++i, taken.pop_back()) ::close(taken.back());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const std::string got = get("/a.txt");
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  for (const int fd : taken) ::close(fd);
  EXPECT_EQ(status_of(got), 200);
  EXPECT_EQ(body_of(got), "first");
}

// In a child, because the tests may run as root, who can read everything.
TEST_F(http_kept_files, a_permission_that_is_taken_away_is_gone_in_time) {
  const pid_t child = ::fork();
  if (child == 0) {
    serve();
    const int before = status_of(get("/a.txt"));
    ::chmod((base_ / "root/a.txt").c_str(), 0);
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(2);
    const int kept = status_of(get("/a.txt"));
    server_->advance(fresh_for);
    const int after = status_of(get("/a.txt"));
    server_.reset();
    ::_exit(before == 200 && kept == 200 && after == 403 ? 0 : 1);
  }
  int how = 0;
  ASSERT_EQ(::waitpid(child, &how, 0), child);
  EXPECT_TRUE(WIFEXITED(how));
  EXPECT_EQ(WEXITSTATUS(how), 0);
}

}  // namespace
}  // namespace weft::http
