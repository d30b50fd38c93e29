// Every driver: descriptors that are closed, used again, copied, many, or not to be had.
#include <sys/resource.h>

#include <string>
#include <vector>

#include "tests/support/quiet_poll.hpp"
#include "weft/io/driver_jobs_test_support.hpp"

namespace weft::io::test {
namespace {

task<void> reuse_a_number(driver& io, io_handle& first, io_handle& second, os::fd& fresh_peer,
                          std::string& heard) {
  char bytes[8];
  const std::int64_t n = co_await receive(first, bytes);
  EXPECT_EQ(n, 1);
  // Inside wait(): the batch also has an event for `second`, which is closed now; its number comes
  // back as another connection.
  socket_pair p = connected_pair();
  const int number = second.fd();
  second.close();
  os::fd same(::dup2(p.ours.get(), number) == number ? number : -1);
  p.ours.close();
  fresh_peer = std::move(p.theirs);
  io_handle fresh = std::move(*io.attach(std::move(same)));
  for (;;) {
    const std::int64_t m = co_await receive(fresh, bytes);
    EXPECT_GE(m, 0);
    if (m <= 0) break;
    heard.append(bytes, static_cast<std::size_t>(m));
  }
}

TEST_P(driver_test, a_late_event_does_not_reach_the_next_owner_of_the_number) {
  for (int round = 0; round < 200; ++round) {
    socket_pair p = connected_pair();
    socket_pair q = connected_pair();
    io_handle first = attach(p.ours);
    io_handle second = attach(q.ours);
    std::int64_t warm = unanswered;
    char byte[1];
    {  // so that `second` is watched
      START(receive_once, std::ref(second), std::span(byte), std::ref(warm));
      put(q.theirs, "w");
      jobs().run();
    }
    os::fd fresh_peer;
    std::string heard;
    START(reuse_a_number, std::ref(io()), std::ref(first), std::ref(second), std::ref(fresh_peer),
          std::ref(heard));
    put(p.theirs, "1");
    put(q.theirs, "stale");
    pollfd ready{second.fd(), POLLIN, 0};
    ASSERT_EQ(test_support::quiet_poll(&ready, 1, 5000), 1);
    jobs().run_inline(true);
    io().wait(never_ns);
    jobs().run_inline(false);
    jobs().run_until([&] { return static_cast<bool>(fresh_peer); });
    put(fresh_peer, "mine");
    fresh_peer.close();
    jobs().run();
    ASSERT_EQ(heard, "mine");
  }
}

TEST_P(driver_test, accept_without_free_descriptors_is_an_error_and_the_listener_lives) {
  listening l = listen_on_loopback();
  io_handle h = attach(l.socket);
  os::fd caller = dial(l.address);
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  os::fd holes[16];  // no free number is left below the last one
  for (os::fd& hole : holes) hole = os::fd(::dup(caller.get()));
  const int highest = holes[15].get();
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(highest) + 1;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  std::int64_t answer = unanswered;
  auto handle = jobs().spawn(accept_once, std::ref(h), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, -EMFILE);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  auto again = jobs().spawn(accept_once, std::ref(h), std::ref(answer));
  jobs().run();
  EXPECT_GE(answer, 0);
  os::fd accepted(static_cast<int>(answer));
}

TEST_P(driver_test, an_operation_on_a_closed_handle_is_an_error) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  io_handle moved = std::move(h);
  char bytes[8];
  std::int64_t answer = unanswered;
  auto one = jobs().spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, -EBADF);
}

TEST_P(driver_test, a_copy_of_a_closed_descriptor_keeps_nothing_busy) {
  socket_pair p = connected_pair();
  os::fd copy(::dup(p.ours.get()));
  {
    io_handle h = attach(p.ours);
    char bytes[8];
    std::int64_t answer = unanswered;
    START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
    handle.stop();
    jobs().run();
  }
  put(p.theirs, "nobody asked");
  const std::int64_t deadline = os::monotonic_ns() + 20'000'000;
  EXPECT_EQ(io().wait(deadline), 0u);
  EXPECT_GE(os::monotonic_ns(), deadline);
}

TEST_P(driver_test, a_thousand_sockets) {
  rlimit limit{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  if (limit.rlim_max < 1200) GTEST_SKIP() << "this process may not open 1000 sockets";
  const rlimit before = limit;
  if (limit.rlim_cur < 1200) limit.rlim_cur = 1200;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  {
    constexpr int pairs = 500;
    struct end {
      io_handle h;
      char byte[1];
      std::int64_t answer = unanswered;
    };
    std::vector<end> ends(2 * pairs);
    std::vector<join_handle<void>> handles;
    for (int i = 0; i < pairs; ++i) {
      socket_pair p = connected_pair();
      ends[2 * i].h = attach(p.ours);
      ends[2 * i + 1].h = attach(p.theirs);
    }
    for (end& e : ends) {
      handles.push_back(
          jobs().spawn(receive_once, std::ref(e.h), std::span(e.byte), std::ref(e.answer)));
    }
    jobs().settle();
    for (end& e : ends) ASSERT_EQ(::send(e.h.fd(), "x", 1, MSG_NOSIGNAL), 1);
    jobs().run();
    for (const end& e : ends) ASSERT_EQ(e.answer, 1);
  }
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace weft::io::test
