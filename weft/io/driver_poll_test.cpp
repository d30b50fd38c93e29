// What is poll's own: operations are watched where they were submitted, entries are shared and move, and
// poll's answers that say nothing about the call. What every driver promises: driver_test.cpp.
#include "weft/io/driver_poll.hpp"

#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include <memory>
#include <vector>

#include "tests/support/quiet_poll.hpp"
#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/io/driver_test_support.hpp"

namespace weft::io::test {
namespace {

task<void> receive_once(io_handle& h, std::span<char> into, std::int64_t& answer) {
  answer = co_await receive(h, into);
}
task<void> send_once(io_handle& h, std::span<char> from, std::int64_t& answer) {
  answer = co_await send(h, from);
}
task<void> until_readable(io_handle& h, std::int64_t& answer) { answer = co_await readable(h); }

constexpr std::int64_t unanswered = INT64_MIN + 1;

std::unique_ptr<poll_driver> make() { return std::move(*poll_driver::make()); }

TEST(driver_poll_test, an_operation_is_watched_where_it_was_submitted_and_no_longer_than_it_waits) {
  auto a = make();
  auto b = make();
  loop on_a(*a);
  loop on_b(*b);
  socket_pair p = connected_pair();
  io_handle h = std::move(*a->attach(std::move(p.ours)));
  char bytes[8];
  for (loop* here : {&on_a, &on_b, &on_a}) {
    std::int64_t answer = unanswered;
    auto handle = here->spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
    here->settle();
    EXPECT_EQ(a->idle(), here != &on_a);
    EXPECT_EQ(b->idle(), here != &on_b);
    put(p.theirs, "1");
    here->run();
    EXPECT_EQ(answer, 1);
    EXPECT_TRUE(a->idle() && b->idle());
  }
}

std::int64_t cpu_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return t.tv_sec * ns_per_s + t.tv_nsec;
}

/// A wait that finds nothing sleeps. (Usually 1 ms at most; all that it gets of a core if it does not.)
void expect_sleep(driver& d) {
  const std::int64_t before = cpu_ns();
  EXPECT_EQ(d.wait(os::monotonic_ns() + 200 * ns_per_ms), 0u);
  EXPECT_LT(cpu_ns() - before, 20 * ns_per_ms);
}

/// What each of the two directions waits on.
class driver_poll_directions : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(of, driver_poll_directions, ::testing::Bool(), [](const auto& p) {
  return std::string(p.param ? "two_drivers" : "one_driver");
});

TEST_P(driver_poll_directions, both_directions_of_a_descriptor_wait_at_once) {
  auto a = make();
  auto b = GetParam() ? make() : nullptr;
  loop reads(*a);
  loop writes(b ? *b : *a);
  for (const bool read_first : {true, false}) {
    for (const bool stops_the_first : {true, false}) {
      socket_pair p = connected_pair(8192);
      fill(p.ours);
      io_handle h = std::move(*a->attach(std::move(p.ours)));
      char bytes[8];
      char word[] = "x";
      std::int64_t read = unanswered;
      std::int64_t written = unanswered;
      auto r = reads.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(read));
      auto w = writes.spawn(send_once, std::ref(h), std::span(word, 1), std::ref(written));
      const auto settle = [&] { reads.settle(), writes.settle(); };
      settle();
      EXPECT_FALSE(r.done() || w.done());
      const auto end_read = [&](bool stop) {
        stop ? static_cast<void>(r.stop()) : put(p.theirs, "abc");
        reads.run_until([&] { return r.done(); });
        EXPECT_EQ(read, stop ? unanswered : 3);
      };
      const auto end_write = [&](bool stop) {
        stop ? static_cast<void>(w.stop()) : static_cast<void>(take_now(p.theirs));
        const auto more_room = [&] {
          if (!stop) static_cast<void>(take_now(p.theirs));
          writes.settle();
          return w.done();
        };
        while (!more_room()) {
        }
        EXPECT_EQ(written, stop ? unanswered : 1);
      };
      read_first ? end_read(stops_the_first) : end_write(stops_the_first);
      settle();
      EXPECT_EQ(r.done(), read_first);
      EXPECT_EQ(w.done(), !read_first);
      EXPECT_FALSE(a->idle() && (!b || b->idle()));
      read_first ? end_write(!stops_the_first) : end_read(!stops_the_first);
      EXPECT_TRUE(a->idle() && (!b || b->idle()));
    }
  }
}

TEST(driver_poll_test, what_nobody_waits_for_any_more_is_not_told) {
  auto d = make();
  loop jobs(*d);
  socket_pair p = connected_pair(8192);
  fill(p.ours);
  io_handle h = std::move(*d->attach(std::move(p.ours)));
  char byte[1];
  char word[] = "x";
  std::int64_t read = unanswered;
  std::int64_t written = unanswered;
  auto r = jobs.spawn(receive_once, std::ref(h), std::span(byte), std::ref(read));
  auto w = jobs.spawn(send_once, std::ref(h), std::span(word, 1), std::ref(written));
  jobs.settle();
  put(p.theirs, "ab");
  jobs.run_until([&] { return r.done(); });
  expect_sleep(*d);  // the "b" is still there, and the other direction waits
  w.stop();
  jobs.run();
}

// Entries come, go and move, against a plain account of who waits for what.
TEST(driver_poll_test, whoever_comes_and_goes_in_whatever_order_everybody_gets_his_own) {
  constexpr std::size_t sockets = 40;
  auto d = make();
  loop jobs(*d);
  rng random(test_support::seed());
  struct end {
    io_handle h;
    os::fd peer;
    char byte[1];
    std::int64_t answer = unanswered;
    join_handle<void> waits;
    bool waiting = false;
    char word[1] = {'w'};
    std::int64_t sent = unanswered;
    join_handle<void> writes;
    bool writing = false;
  };
  std::vector<end> ends(sockets);
  std::size_t waiting = 0;
  for (end& e : ends) {
    socket_pair p = connected_pair(8192);
    fill(p.ours);
    e.h = std::move(*d->attach(std::move(p.ours)));
    e.peer = std::move(p.theirs);
  }
  for (int step = 0; step < 5000; ++step) {
    end& e = ends[random.below(sockets)];
    if (random.below(2) == 0) {  // the other direction, which is full
      if (e.writing) {
        e.writes.stop();
        jobs.run_until([&] { return e.writes.done(); });
      } else {
        e.writes = jobs.spawn(send_once, std::ref(e.h), std::span(e.word), std::ref(e.sent));
        jobs.settle();
      }
      e.writing = !e.writing;
      waiting += e.writing ? 1 : std::size_t(-1);
    } else if (!e.waiting) {
      e.answer = unanswered;
      e.waits = jobs.spawn(receive_once, std::ref(e.h), std::span(e.byte), std::ref(e.answer));
      jobs.settle();
      e.waiting = true;
      ++waiting;
    } else {
      const bool stop = random.below(2) == 0;
      const char letter = static_cast<char>('a' + random.below(26));
      if (stop) {
        e.waits.stop();
      } else {
        put(e.peer, std::string_view(&letter, 1));
      }
      jobs.run_until([&] { return e.waits.done(); });
      ASSERT_EQ(e.answer, stop ? unanswered : 1) << "step " << step;
      if (!stop) {
        ASSERT_EQ(e.byte[0], letter);
      }
      e.waiting = false;
      --waiting;
    }
    ASSERT_EQ(d->idle(), waiting == 0);
    for (const end& other : ends) {
      if (other.waiting) {
        ASSERT_FALSE(other.waits.done()) << "step " << step;
      }
      if (other.writing) {
        ASSERT_FALSE(other.writes.done()) << "step " << step;
      }
    }
  }
  for (end& e : ends) {
    if (!e.writing) continue;
    while (!e.writes.done()) {
      static_cast<void>(take_now(e.peer));
      jobs.settle();
    }
    EXPECT_EQ(e.sent, 1);
  }
  for (end& e : ends) {
    if (e.waiting) e.waits.stop();
  }
  jobs.run();
  EXPECT_TRUE(d->idle());
}

TEST(driver_poll_test, a_descriptor_that_a_stranger_closed_is_an_error_and_no_hang) {
  auto d = make();
  loop jobs(*d);
  socket_pair p = connected_pair();
  io_handle h = std::move(*d->attach(std::move(p.ours)));
  std::int64_t answer = unanswered;
  auto handle = jobs.spawn(until_readable, std::ref(h), std::ref(answer));
  jobs.settle();
  const os::fd other(::dup(h.fd()));
  ASSERT_EQ(::close(h.fd()), 0);
  jobs.run();
  EXPECT_EQ(answer, -EBADF);
  ASSERT_EQ(::dup2(other.get(), h.fd()), h.fd());  // what `h` is going to close
}

// POLLERR stays for as long as something is in a socket's queue of errors, and recv() knows of nothing.
TEST(driver_poll_test, an_error_that_the_call_does_not_tell_of_costs_no_core) {
  auto d = make();
  loop jobs(*d);
  const os::fd peer(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof to;
  ASSERT_EQ(::bind(peer.get(), reinterpret_cast<sockaddr*>(&to), size), 0);
  ASSERT_EQ(::getsockname(peer.get(), reinterpret_cast<sockaddr*>(&to), &size), 0);
  os::fd ours(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(ours.get(), reinterpret_cast<sockaddr*>(&to), size), 0);
  const int stamp = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
  ASSERT_EQ(::setsockopt(ours.get(), SOL_SOCKET, SO_TIMESTAMPING, &stamp, sizeof stamp), 0);
  ASSERT_EQ(::send(ours.get(), "x", 1, 0), 1);  // its time of departure comes into the queue
  pollfd told{ours.get(), POLLIN, 0};
  ASSERT_EQ(test_support::quiet_poll(&told, 1, 5000), 1);
  ASSERT_EQ(told.revents, POLLERR);

  sockaddr_in mine{};
  size = sizeof mine;
  ASSERT_EQ(::getsockname(ours.get(), reinterpret_cast<sockaddr*>(&mine), &size), 0);
  io_handle h = std::move(*d->attach(std::move(ours)));
  char bytes[8];
  std::int64_t answer = unanswered;
  auto handle = jobs.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs.settle();
  expect_sleep(*d);
  ASSERT_EQ(::sendto(peer.get(), "abc", 3, 0, reinterpret_cast<sockaddr*>(&mine), size), 3);
  jobs.run();
  EXPECT_EQ(answer, 3);

  answer = unanswered;  // and a stop finds it, whatever state it is in
  auto again = jobs.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs.settle();
  again.stop();
  jobs.run();
  EXPECT_EQ(answer, unanswered);
}

TEST(driver_poll_test, more_descriptors_than_the_process_may_have_are_served) {
  constexpr int sockets = 40;
  auto d = make();
  loop jobs(*d);
  struct end {
    io_handle h;
    os::fd peer;
    char byte[1];
    std::int64_t answer = unanswered;
  };
  std::vector<end> ends(sockets);
  std::vector<join_handle<void>> handles;
  for (end& e : ends) {
    socket_pair p = connected_pair();
    e.h = std::move(*d->attach(std::move(p.ours)));
    e.peer = std::move(p.theirs);
    handles.push_back(
        jobs.spawn(receive_once, std::ref(e.h), std::span(e.byte), std::ref(e.answer)));
  }
  jobs.settle();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 16;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const std::int64_t deadline = os::monotonic_ns() + 5 * ns_per_ms;
  EXPECT_EQ(d->wait(deadline), 0u);
  EXPECT_GE(os::monotonic_ns(), deadline);
  d->wake();
  EXPECT_EQ(d->wait(never_ns), 0u);
  for (end& e : ends) put(e.peer, "x");
  jobs.run();
  for (const end& e : ends) EXPECT_EQ(e.answer, 1);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

// poll refuses any list then, that of the pipe alone, too.
TEST(driver_poll_test, a_process_that_may_have_no_descriptor_is_woken_stopped_and_served) {
  auto d = make();
  loop jobs(*d);
  char byte[1];
  std::int64_t first = unanswered;
  std::int64_t second = unanswered;
  socket_pair a = connected_pair();
  socket_pair b = connected_pair();
  io_handle of_a = std::move(*d->attach(std::move(a.ours)));
  io_handle of_b = std::move(*d->attach(std::move(b.ours)));
  auto stopped = jobs.spawn(receive_once, std::ref(of_a), std::span(byte), std::ref(first));
  auto served = jobs.spawn(receive_once, std::ref(of_b), std::span(byte), std::ref(second));
  jobs.settle();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::int64_t deadline = os::monotonic_ns() + 5 * ns_per_ms;
  const std::int64_t before_ns = cpu_ns();
  EXPECT_EQ(d->wait(deadline), 0u);
  EXPECT_GE(os::monotonic_ns(), deadline);
  EXPECT_LT(cpu_ns() - before_ns, 4 * ns_per_ms);  // it naps
  d->wake();
  EXPECT_EQ(d->wait(never_ns), 0u);
  stopped.stop();
  jobs.run_until([&] { return stopped.done(); });
  EXPECT_EQ(first, unanswered);
  put(b.theirs, "x");
  jobs.run();
  EXPECT_EQ(second, 1);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

long naps() {
  rusage used{};
  ::getrusage(RUSAGE_THREAD, &used);
  return used.ru_nvcsw;
}

// So poll is never asked about more of them than the process may have.
TEST(driver_poll_test, both_directions_of_a_descriptor_are_one_entry) {
  constexpr int sockets = 30;
  auto d = make();
  loop jobs(*d);
  std::vector<io_handle> ours;
  std::vector<os::fd> theirs;
  std::vector<join_handle<void>> handles;
  std::int64_t answer = unanswered;
  char byte[1] = {'x'};
  for (int i = 0; i < sockets; ++i) {
    socket_pair p = connected_pair(8192);
    fill(p.ours);
    ours.push_back(std::move(*d->attach(std::move(p.ours))));
    theirs.push_back(std::move(p.theirs));
  }
  for (io_handle& h : ours) {
    handles.push_back(jobs.spawn(receive_once, std::ref(h), std::span(byte), std::ref(answer)));
    handles.push_back(jobs.spawn(send_once, std::ref(h), std::span(byte), std::ref(answer)));
  }
  jobs.settle();
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = sockets + 1;  // and the pipe
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const test_support::no_signals quietly;  // each is a nap
  const long slept = naps();
  EXPECT_EQ(d->wait(os::monotonic_ns() + 200 * ns_per_ms), 0u);
  EXPECT_LT(naps() - slept, 20);  // one; 200 if it has to look at one piece after the other
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  for (auto& h : handles) h.stop();
  jobs.run();
}

TEST(driver_poll_test, has_no_descriptor_for_guests_and_says_so) {
  auto d = make();
  EXPECT_EQ(d->descriptor(), -1);
  EXPECT_FALSE(d->rest());
}

TEST(driver_poll_death_test, two_that_wait_for_one_direction_and_an_early_close_are_told) {
  const auto twice = [] {
    auto d = make();
    loop jobs(*d);
    socket_pair p = connected_pair();
    io_handle h = std::move(*d->attach(std::move(p.ours)));
    char bytes[8];
    std::int64_t answers[2];
    auto one = jobs.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answers[0]));
    auto two = jobs.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answers[1]));
    jobs.settle();
  };
  EXPECT_DEATH(twice(), "two tasks wait for the same direction");
  const auto early = [] {
    auto d = make();
    loop jobs(*d);
    socket_pair p = connected_pair();
    io_handle h = std::move(*d->attach(std::move(p.ours)));
    char bytes[8];
    std::int64_t answer = 0;
    auto handle = jobs.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
    jobs.settle();
    h.close();
  };
  EXPECT_DEATH(early(), "was closed while an operation was in flight");
}

}  // namespace
}  // namespace weft::io::test
