// Files and folders as a server sees them.
#include "weft/fs/file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>

namespace weft::fs {
namespace {

namespace files = std::filesystem;

class fs_file : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (files::temp_directory_path() / "weft_fs_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    top_ = pattern;
    files::create_directories(top_ / "root/sub");
    std::ofstream(top_ / "secret") << "outside";
    std::ofstream(top_ / "root/a") << "hello";
    files::create_symlink("../secret", top_ / "root/out");
    auto opened = directory::blocking_open((top_ / "root").string());
    ASSERT_TRUE(opened);
    root_ = std::move(*opened);
  }
  void TearDown() override { files::remove_all(top_); }

  result<std::vector<directory_entry>> list() {
    const auto folder = root_.blocking_open_beneath(".");
    EXPECT_TRUE(folder);
    return directory::blocking_list(*folder);
  }

  files::path top_;
  directory root_;
};

TEST_F(fs_file, an_open_file_says_what_it_is_and_is_read_from_anywhere) {
  const auto opened = root_.blocking_open_beneath("a");
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->info().kind, file_kind::regular);
  EXPECT_EQ(opened->info().size, 5u);
  std::string text(8, '-');
  const auto n = opened->blocking_read_at(std::as_writable_bytes(std::span(text)), 3);
  ASSERT_TRUE(n);
  EXPECT_EQ(*n, 2u);
  EXPECT_EQ(text, "lo------");
}

TEST_F(fs_file, nothing_leads_out_of_the_folder) {
  for (const char* name : {"..", "../secret", "/etc/passwd", "out", "sub/../../secret"}) {
    EXPECT_EQ(root_.blocking_open_beneath(name).error(), std::errc::permission_denied) << name;
  }
  EXPECT_EQ(directory::blocking_open((top_ / "none").string()).error(),
            std::errc::no_such_file_or_directory);
  EXPECT_EQ(directory::blocking_open((top_ / "secret").string()).error(),
            std::errc::not_a_directory);
}

TEST_F(fs_file, a_list_has_sizes_but_not_those_of_what_lies_outside) {
  const auto found = list();
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 3u);
  EXPECT_EQ((*found)[0].name, "a");
  EXPECT_EQ((*found)[0].info.size, 5u);
  EXPECT_GT((*found)[0].info.modified_ns, 0);
  EXPECT_EQ((*found)[1].name, "out");
  EXPECT_EQ((*found)[1].info.size, 0u);
  EXPECT_EQ((*found)[1].info.modified_ns, 0);
  EXPECT_EQ((*found)[2].info.kind, file_kind::directory);
}

// An open for reading, even a short one, is what a pipe's writer waits for.
TEST_F(fs_file, a_list_does_not_open_pipes) {
  const std::string pipe = (top_ / "root/pipe").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  const auto found = list();
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 4u);
  EXPECT_EQ((*found)[2].name, "pipe");
  EXPECT_EQ((*found)[2].info.kind, file_kind::other);
  EXPECT_EQ((*found)[2].info.modified_ns, 0) << "it was opened to be looked at";
}

}  // namespace
}  // namespace weft::fs
