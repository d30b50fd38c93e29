// What the tests of files share: a folder of one's own, and each test once for each driver.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>

#include "weft/runtime/environment.hpp"
#include "weft/runtime/options.hpp"
#include "weft/runtime/runtime.hpp"

namespace weft::fs::test {

/// ASSERT_TRUE for coroutines.
#define WEFT_REQUIRE(condition)                \
  if (!(condition)) {                          \
    ADD_FAILURE() << "not so: " << #condition; \
    co_return;                                 \
  }

namespace files = std::filesystem;

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

/// A folder that goes with this.
class folder {
 public:
  explicit folder(const files::path& in = files::temp_directory_path()) {
    std::string pattern = (in / "weft_fs_XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~folder() {
    std::error_code ignored;
    files::remove_all(path_, ignored);
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;

  std::string at(std::string_view name) const { return (path_ / name).string(); }
  std::string path() const { return path_.string(); }
  void put(std::string_view name, std::string_view text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  std::string get(std::string_view name) const {
    std::ifstream in(path_ / name, std::ios::binary);
    std::string text(in ? static_cast<std::size_t>(files::file_size(path_ / name)) : 0, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    return text;
  }
  bool has(std::string_view name) const {
    return files::exists(files::symlink_status(path_ / name));
  }
  /// How many names there are.
  std::size_t count() const {
    return static_cast<std::size_t>(
        std::distance(files::directory_iterator(path_), files::directory_iterator()));
  }

 private:
  files::path path_;
};

/// Runs `body` in a process of a user that may nothing, which only root can do. Where there is a runtime,
/// or another thread, the child must not need what they hold.
/// Result: what `body` gave, or -1.
template <class Body>
int as_nobody(const Body& body) {
  constexpr unsigned nobody = 54321;
  const pid_t child = ::fork();
  if (child == 0) {
    const bool changed = ::setgid(nobody) == 0 && ::setuid(nobody) == 0;
    ::_exit(changed ? body() : 99);
  }
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

/// Once for each driver that works here.
class on_each_driver : public ::testing::TestWithParam<driver> {
 protected:
  void SetUp() override {
    std::string_view why;
    auto made = weft::detail::real_environment().make_driver(GetParam(), &why);
    if (!made) GTEST_SKIP() << why;
  }
  /// Runs a coroutine lambda to its end.
  template <class Body>
  void run(const Body& body) {
    runtime rt({.workers = 2, .io = GetParam()});
    rt.block_on(body());
  }
  folder here_;
};
/// automatic: epoll, with a ring beside it where io_uring works.
inline const auto all_drivers =
    ::testing::Values(driver::epoll, driver::io_uring, driver::poll, driver::automatic);
inline std::string driver_name(const ::testing::TestParamInfo<driver>& of) {
  switch (of.param) {
    case driver::automatic:
      return "automatic";
    case driver::io_uring:
      return "io_uring";
    case driver::epoll:
      return "epoll";
    case driver::poll:
      return "poll";
    case driver::kqueue:  // not here
    case driver::iocp:
      break;
  }
  __builtin_unreachable();
}

}  // namespace weft::fs::test
