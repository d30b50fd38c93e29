// What is epoll's own: descriptors watched by another processor's driver, and refused
// registrations.
#include "weft/io/driver_epoll.hpp"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <memory>

#include "tests/support/quiet_poll.hpp"
#include "weft/io/driver_test_support.hpp"

namespace weft::io::test {
namespace {

task<void> receive_once(io_handle& h, std::span<char> into, std::int64_t& answer) {
  answer = co_await receive(h, into);
}
task<void> send_once(io_handle& h, std::span<char> from, std::int64_t& answer) {
  answer = co_await send(h, from);
}

constexpr std::int64_t unanswered = INT64_MIN + 1;

TEST(driver_epoll_test, the_home_of_a_descriptor_completes_operations_from_elsewhere) {
  auto a = std::move(*epoll_driver::make());
  auto b = std::move(*epoll_driver::make());
  loop on_a(*a);
  loop on_b(*b);
  socket_pair p = connected_pair();
  io_handle h = std::move(*a->attach(std::move(p.ours)));
  char bytes[8];
  std::int64_t answer = unanswered;
  auto first = on_a.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  on_a.settle();
  EXPECT_FALSE(a->idle());
  put(p.theirs, "1");
  on_a.run();
  EXPECT_EQ(answer, 1);
  EXPECT_FALSE(a->idle()) << "a watched descriptor may get an operation from another processor";

  answer = unanswered;
  auto second = on_b.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  on_b.settle();
  EXPECT_TRUE(b->idle());
  put(p.theirs, "22");
  EXPECT_EQ(a->wait(never_ns), 1u);
  on_b.run();
  EXPECT_EQ(answer, 2);

  answer = unanswered;
  auto third = on_b.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  on_b.settle();
  third.stop();
  on_b.run();
  EXPECT_EQ(answer, unanswered);
}

TEST(driver_epoll_test, what_never_waits_is_never_watched) {
  auto d = std::move(*epoll_driver::make());
  loop jobs(*d);
  socket_pair p = connected_pair();
  io_handle h = std::move(*d->attach(std::move(p.ours)));
  put(p.theirs, "abc");
  pollfd ready{h.fd(), POLLIN, 0};
  ASSERT_EQ(test_support::quiet_poll(&ready, 1, 5000), 1);
  char bytes[8];
  std::int64_t answer = unanswered;
  auto handle = jobs.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs.run();
  EXPECT_EQ(answer, 3);
  EXPECT_TRUE(d->idle());
}

// In a child under a filter that refuses epoll_ctl, which nothing else makes fail at will.
TEST(driver_epoll_test, a_refused_registration_is_an_error_and_no_hang) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    auto d = std::move(*epoll_driver::make());
    sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_epoll_ctl, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{sizeof rules / sizeof rules[0], rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      _exit(77);
    }
    int failures = 0;
    {
      loop jobs(*d);
      socket_pair p = connected_pair(8192);
      fill(p.ours);
      io_handle h = std::move(*d->attach(std::move(p.ours)));
      char bytes[8];
      char word[] = "x";
      std::int64_t answers[2] = {unanswered, unanswered};
      auto r = jobs.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answers[0]));
      auto w = jobs.spawn(send_once, std::ref(h), std::span(word, 1), std::ref(answers[1]));
      jobs.run();
      for (const std::int64_t n : answers) failures += n != -ENOSPC;
      failures += !d->idle();
    }
    _exit(failures);
  }
  int status = -1;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "seccomp filters are refused here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace weft::io::test
