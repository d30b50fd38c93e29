// file: names that lead out are refused in both ways of opening, and the rest of reading files.
#include "weft/os/file.hpp"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "weft/os/socket.hpp"
#include "weft/os/thread.hpp"

namespace weft::os {
namespace {

namespace files = std::filesystem;

class os_file : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (files::temp_directory_path() / "weft_file_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    files::create_directories(top_ / "root/sub/deep");
    write("secret", "outside");
    write("root/a", "hello");
    write("root/sub/b", "below");
    files::create_symlink("../secret", top_ / "root/out");
    files::create_symlink("..", top_ / "root/sub/up");
    files::create_symlink("../..", top_ / "root/sub/far");
    files::create_symlink("sub/b", top_ / "root/in");
    files::create_symlink("nowhere", top_ / "root/dangling");
    files::create_symlink(top_ / "secret", top_ / "root/absolute");
    auto opened = open_directory((top_ / "root").string());
    ASSERT_TRUE(opened);
    root_ = std::move(*opened);
  }
  void TearDown() override { files::remove_all(top_); }

  void write(const char* name, const std::string& text) { std::ofstream(top_ / name) << text; }
  static std::string content(const fd& file) {
    char buffer[64];
    const auto n = read_at(file.get(), buffer, sizeof buffer, 0);
    return n ? std::string(buffer, *n) : "(" + n.error().message() + ")";
  }

  files::path top_;
  fd root_;
};

using opener = result<fd> (*)(int, std::string_view) noexcept;
constexpr opener both_ways[] = {&open_beneath, &open_beneath_stepwise};

TEST_F(os_file, opens_what_is_below) {
  for (const opener open : both_ways) {
    for (const char* name : {"a", "./a", ".//a"}) {
      const auto file = open(root_.get(), name);
      ASSERT_TRUE(file) << name << file.error().message();
      EXPECT_EQ(content(*file), "hello");
    }
    EXPECT_EQ(content(*open(root_.get(), "sub/b")), "below");
    for (const char* name : {".", "sub", "sub/", "sub/deep/."}) {
      const auto folder = open(root_.get(), name);
      ASSERT_TRUE(folder) << name << folder.error().message();
      EXPECT_EQ(stat(folder->get())->kind, file_kind::directory);
      EXPECT_TRUE(list_directory(folder->get())) << name;
    }
  }
}

TEST_F(os_file, nothing_leads_out) {
  for (const opener open : both_ways) {
    for (const char* name : {"..", "../secret", "sub/../../secret", "out", "absolute",
                             "/etc/passwd", "/", "sub/far", "sub/far/secret", "sub/up/../secret"}) {
      const auto file = open(root_.get(), name);
      ASSERT_FALSE(file) << name;
      EXPECT_EQ(file.error(), std::errc::permission_denied) << name;
    }
  }
}

TEST_F(os_file, what_is_not_there_or_no_name_is_an_error) {
  for (const opener open : both_ways) {
    EXPECT_EQ(open(root_.get(), "none").error(), std::errc::no_such_file_or_directory);
    EXPECT_EQ(open(root_.get(), "").error(), std::errc::no_such_file_or_directory);
    EXPECT_EQ(open(root_.get(), "a/b").error(), std::errc::not_a_directory);
    EXPECT_EQ(open(root_.get(), "a/").error(), std::errc::not_a_directory);
    EXPECT_EQ(open(root_.get(), std::string(300, 'x')).error(), std::errc::filename_too_long);
    // Were it cut at the zero, "a" would be opened after "a\0.txt" was judged.
    EXPECT_EQ(open(root_.get(), std::string_view("a\0.txt", 6)).error(),
              std::errc::invalid_argument);
    EXPECT_EQ(open(-1, "a").error(), std::errc::bad_file_descriptor);
  }
}

TEST_F(os_file, links_inside_are_followed_by_the_kernel_and_refused_step_by_step) {
  const auto by_kernel = open_beneath(root_.get(), "in");
  if (by_kernel) {  // not on an old one
    EXPECT_EQ(content(*by_kernel), "below");
  }
  EXPECT_EQ(open_beneath_stepwise(root_.get(), "in").error(), std::errc::permission_denied);
  EXPECT_EQ(open_beneath_stepwise(root_.get(), "sub/up/a").error(), std::errc::permission_denied);
}

TEST_F(os_file, stat_and_read_at_say_what_is_there) {
  const auto file = open_beneath(root_.get(), "a");
  const auto info = stat(file->get());
  ASSERT_TRUE(info);
  EXPECT_EQ(info->size, 5u);
  EXPECT_EQ(info->kind, file_kind::regular);
  EXPECT_GT(info->mtime_ns, std::int64_t{1'500'000'000} * 1'000'000'000);
  char buffer[8];
  EXPECT_EQ(read_at(file->get(), buffer, 8, 3).value(), 2u);
  EXPECT_EQ(read_at(file->get(), buffer, 8, 5).value(), 0u);
  EXPECT_EQ(read_at(file->get(), buffer, 8, 1 << 20).value(), 0u);
  EXPECT_FALSE(read_at(-1, buffer, 8, 0));
  EXPECT_FALSE(stat(-1));
}

TEST_F(os_file, listing_is_sorted_and_can_be_repeated) {
  for (int i = 0; i < 2; ++i) {
    const auto entries = list_directory(root_.get());
    ASSERT_TRUE(entries);
    std::string names;
    for (const directory_entry& e : *entries) names += e.name + " ";
    EXPECT_EQ(names, "a absolute in out sub ");  // dangling leads nowhere
    EXPECT_EQ(entries->back().kind, file_kind::directory);
    EXPECT_EQ(entries->front().kind, file_kind::regular);
  }
  EXPECT_FALSE(list_directory(open_beneath(root_.get(), "a")->get()));
}

TEST_F(os_file, file_goes_into_a_socket_and_a_closed_peer_is_no_signal) {
  auto pair = open_pair();
  const auto file = open_beneath(root_.get(), "a");
  EXPECT_EQ(send_file_now(pair->first.get(), file->get(), 1, 100).value(), 4u);
  EXPECT_EQ(send_file_now(pair->first.get(), file->get(), 5, 100).value(), 0u);
  char buffer[8];
  EXPECT_EQ(::recv(pair->second.get(), buffer, sizeof buffer, 0), 4);
  EXPECT_EQ(std::string(buffer, 4), "ello");
  pair->second.close();
  EXPECT_EQ(send_file_now(pair->first.get(), file->get(), 0, 5).error(), std::errc::broken_pipe);
  sigset_t pending, mask;
  ::sigpending(&pending);
  ::pthread_sigmask(SIG_BLOCK, nullptr, &mask);
  EXPECT_FALSE(::sigismember(&pending, SIGPIPE));
  EXPECT_FALSE(::sigismember(&mask, SIGPIPE));
}

int pipe_signals = 0;

// One sendfile() is many writes inside. The peer goes away after some of them: the bytes that left
// are the answer, and the SIGPIPE of the write that failed is still not the program's.
TEST_F(os_file, peer_that_leaves_halfway_is_no_signal) {
  constexpr std::size_t size = std::size_t{64} << 20;  // more than the buffers between them hold
  write("root/big", "");
  files::resize_file(top_ / "root/big", size);
  const auto file = open_beneath(root_.get(), "big");
  auto listener = listen_tcp(make_ipv4({127, 0, 0, 1}, 0));
  ASSERT_TRUE(file && listener);
  struct sigaction counting{}, before{};
  counting.sa_handler = [](int) { ++pipe_signals; };
  ASSERT_EQ(::sigaction(SIGPIPE, &counting, &before), 0);
  for (int round = 0; round < 10; ++round) {
    auto client = open_tcp(address_family::ipv4);
    ASSERT_TRUE(client);
    ASSERT_TRUE(connect_start(client->get(), *local_address(listener->get())));
    pollfd there{listener->get(), POLLIN, 0};
    ASSERT_EQ(::poll(&there, 1, 10'000), 1);
    const fd sender(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));  // one that waits
    ASSERT_TRUE(shutdown(client->get(), shutdown_side::send));
    auto leaver = thread::start(
        "leaver", 0,
        [](void* raw) {
          fd& leaving = *static_cast<fd*>(raw);
          pollfd some{leaving.get(), POLLIN, 0};
          EXPECT_EQ(::poll(&some, 1, 10'000), 1);
          leaving.close();  // with bytes unread: a reset
        },
        &*client);
    ASSERT_TRUE(leaver);
    const auto sent = send_file_now(sender.get(), file->get(), 0, size);
    leaver->join();
    ASSERT_TRUE(sent) << sent.error().message();
    EXPECT_GT(*sent, 0u);
    EXPECT_LT(*sent, size);
  }
  ::sigaction(SIGPIPE, &before, nullptr);
  EXPECT_EQ(pipe_signals, 0);
}

}  // namespace
}  // namespace weft::os
