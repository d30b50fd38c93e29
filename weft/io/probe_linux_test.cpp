// What `automatic` does where a policy denies io_uring: each case in a child process of its own
// under a seccomp filter, as a container's runtime would install it.
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "weft/io/driver.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/file_call.hpp"

namespace weft::io {
namespace {

/// From now on `call` answers `error`; everything else is allowed, but for what was denied before.
bool deny(unsigned call, unsigned error) {
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof rules / sizeof rules[0], rules};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/// Runs `check` in a child. Result: its exit code.
template <class F>
int in_child(F check) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) _exit(check());
  int status = -1;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

constexpr int cannot_filter = 77;

int picks(std::string_view driver_name, std::string_view reason_part) {
  std::string_view why;
  auto made = make_driver(driver_kind::automatic, &why);
  if (!made) return 2;
  std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>((*made)->name().size()),
               (*made)->name().data(), static_cast<int>(why.size()), why.data());
  if ((*made)->name() != driver_name) return 3;
  if (why.find(reason_part) == std::string_view::npos) return 4;
  (*made)->wake();
  return (*made)->wait(INT64_MAX) == 0 ? 0 : 5;  // and it works
}

class probe_test : public ::testing::Test {
 protected:
  void SetUp() override { unsetenv("WEFT_DRIVER"); }

  static void expect_epoll(unsigned call, unsigned error, std::string_view reason_part) {
    const int code = in_child([=] {
      if (!deny(call, error)) return cannot_filter;
      return picks("epoll", reason_part);
    });
    if (code == cannot_filter) GTEST_SKIP() << "seccomp filters are refused here";
    EXPECT_EQ(code, 0);
  }
};

TEST_F(probe_test, epoll_is_chosen_with_a_ring_for_files_beside_it) {
  std::string_view why;
  if (auto made = make_driver(driver_kind::io_uring, &why); !made) GTEST_SKIP() << why;
  EXPECT_EQ(picks("epoll", "with io_uring for files"), 0);
  auto made = make_driver(driver_kind::automatic);
  ASSERT_TRUE(made);
  EXPECT_TRUE((*made)->does_file(os::file_code::read));
  auto plain = make_driver(driver_kind::epoll);
  ASSERT_TRUE(plain);
  EXPECT_FALSE((*plain)->does_file(os::file_code::read));
}

TEST_F(probe_test, epoll_denied_means_io_uring) {
  std::string_view why;
  if (auto made = make_driver(driver_kind::io_uring, &why); !made) GTEST_SKIP() << why;
  for (const unsigned call : {__NR_epoll_create1, __NR_epoll_ctl}) {
    const int code = in_child([call] {
      return deny(call, EPERM) ? picks("io_uring", "epoll was refused") : cannot_filter;
    });
    if (code == cannot_filter) GTEST_SKIP() << "seccomp filters are refused here";
    EXPECT_EQ(code, 0);
  }
}

TEST_F(probe_test, setup_denied_means_epoll) { expect_epoll(__NR_io_uring_setup, EPERM, "EPERM"); }

TEST_F(probe_test, no_io_uring_means_epoll) { expect_epoll(__NR_io_uring_setup, ENOSYS, "ENOSYS"); }

// The last resort: what is forbidden, and what the metrics say of it.
TEST_F(probe_test, epoll_denied_as_well_means_poll) {
  for (const unsigned call : {__NR_epoll_create1, __NR_epoll_ctl, __NR_epoll_wait}) {
    for (const unsigned error : {EPERM, ENOSYS}) {
      const int code = in_child([=] {
        if (!deny(__NR_io_uring_setup, error) || !deny(call, error)) return cannot_filter;
        return picks("poll", error == EPERM ? "EPERM" : "ENOSYS");
      });
      if (code == cannot_filter) GTEST_SKIP() << "seccomp filters are refused here";
      EXPECT_EQ(code, 0) << "call " << call << ", errno " << error;
    }
  }
}

TEST_F(probe_test, epoll_asked_for_and_denied_is_an_error) {
  const int code = in_child([] {
    if (!deny(__NR_epoll_create1, EPERM)) return cannot_filter;
    auto made = make_driver(driver_kind::epoll);
    return !made && made.error() == std::errc::operation_not_permitted ? 0 : 2;
  });
  if (code == cannot_filter) GTEST_SKIP() << "seccomp filters are refused here";
  EXPECT_EQ(code, 0);
}

// A version check, or a ring that can be made, would be fooled by this one.
TEST_F(probe_test, enter_denied_means_epoll) {
  std::string_view why;
  if (auto made = make_driver(driver_kind::io_uring, &why); !made) GTEST_SKIP() << why;
  expect_epoll(__NR_io_uring_enter, EPERM, "io_uring_enter is denied");
}

TEST_F(probe_test, io_uring_asked_for_and_denied_is_an_error) {
  const int code = in_child([] {
    if (!deny(__NR_io_uring_setup, EPERM)) return cannot_filter;
    auto made = make_driver(driver_kind::io_uring);
    return !made && made.error() == std::errc::operation_not_permitted ? 0 : 2;
  });
  if (code == cannot_filter) GTEST_SKIP() << "seccomp filters are refused here";
  EXPECT_EQ(code, 0);
}

TEST_F(probe_test, the_nanosecond_wait_falls_back_and_is_never_early) {
  const int code = in_child([] {
    if (!deny(__NR_epoll_pwait2, ENOSYS)) return cannot_filter;
    auto made = make_driver(driver_kind::epoll);
    if (!made) return 2;
    const std::int64_t deadline = os::monotonic_ns() + 2'500'000;
    if ((*made)->wait(deadline) != 0) return 3;
    return os::monotonic_ns() >= deadline ? 0 : 4;
  });
  if (code == cannot_filter) GTEST_SKIP() << "seccomp filters are refused here";
  EXPECT_EQ(code, 0);
}

TEST_F(probe_test, the_environment_decides_where_the_program_says_automatic) {
  for (const char* const name : {"epoll", "poll"}) {
    setenv("WEFT_DRIVER", name, 1);
    std::string_view why;
    auto made = make_driver(driver_kind::automatic, &why);
    unsetenv("WEFT_DRIVER");
    ASSERT_TRUE(made);
    EXPECT_EQ((*made)->name(), name);
    EXPECT_EQ(why, "forced by WEFT_DRIVER");
  }
}

TEST_F(probe_test, misspelt_driver_in_the_environment_is_an_error_that_names_those_there_are) {
  for (const char* wish : {"io-uring", "EPOLL", " "}) {
    setenv("WEFT_DRIVER", wish, 1);
    std::string_view why;
    auto made = make_driver(driver_kind::automatic, &why);
    auto asked_for = make_driver(driver_kind::epoll);  // the program's own wish counts
    unsetenv("WEFT_DRIVER");
    ASSERT_FALSE(made) << wish;
    EXPECT_EQ(made.error(), std::errc::invalid_argument);
    EXPECT_NE(why.find("io_uring, epoll or poll"), std::string_view::npos) << why;
    EXPECT_TRUE(asked_for);
  }
  setenv("WEFT_DRIVER", "", 1);
  auto unset = make_driver(driver_kind::automatic);
  unsetenv("WEFT_DRIVER");
  EXPECT_TRUE(unset);
}

}  // namespace
}  // namespace weft::io
