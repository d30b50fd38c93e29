// What is left of a bind that failed: nothing. The call that fails does so in a child process, by a filter.
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>

#include "weft/net/unix.hpp"

namespace weft::net {
namespace {

/// From now on `call` answers `error`.
bool deny(unsigned call, unsigned error) {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof rules / sizeof rules[0], rules};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
constexpr int cannot_filter = 77;

TEST(unix_bind_test, that_cannot_listen_leaves_no_file_whoever_was_to_remove_it) {
  std::string folder = ::testing::TempDir() + "weft_unix_XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/s";
  for (const bool remove_file : {true, false}) {
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      if (!deny(SYS_listen, EADDRINUSE)) ::_exit(cannot_filter);
      unix_bind_options how;
      how.remove_file = remove_file;
      const auto bound = unix_listener::bind(path, how);  // needs no runtime to come so far
      ::_exit(!bound && bound.error() == std::errc::address_in_use ? 0 : 1);
    }
    int status = -1;
    ::waitpid(child, &status, 0);
    struct stat s;
    const bool is_there = ::lstat(path.c_str(), &s) == 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == cannot_filter) {
      std::filesystem::remove_all(folder);
      GTEST_SKIP() << "seccomp filters are refused here";
    }
    EXPECT_EQ(status, 0);
    EXPECT_FALSE(is_there) << "remove_file " << remove_file;
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace weft::net
