// One suite for every driver: what is promised in driver.hpp, whoever keeps it.
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>

#include <atomic>
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"
#include "weft/io/driver_epoll.hpp"
#include "weft/io/driver_test_support.hpp"
#include "weft/io/driver_uring.hpp"

namespace weft::io::test {
namespace {

struct kind {
  const char* name;
  unsigned entries;  // 0: epoll
};
constexpr kind kinds[] = {{"epoll", 0}, {"io_uring", 256}, {"io_uring_of_8", 8}};

class driver_test : public ::testing::TestWithParam<kind> {
 protected:
  void SetUp() override {
    if (GetParam().entries == 0) {
      auto made = epoll_driver::make();
      ASSERT_TRUE(made);
      driver_ = std::move(*made);
    } else {
      uring_refusal refusal;
      driver_ = uring_driver::make(GetParam().entries, refusal);
      if (!driver_) GTEST_SKIP() << "io_uring is refused here, errno " << refusal.error;
    }
    loop_ = std::make_unique<loop>(*driver_);
  }
  loop& jobs() { return *loop_; }
  driver& io() { return *driver_; }
  io_handle attach(os::fd& fd) { return std::move(*driver_->attach(std::move(fd))); }
  io_handle attach(os::fd&& fd) { return attach(fd); }

 private:
  std::unique_ptr<driver> driver_;
  std::unique_ptr<loop> loop_;
};

INSTANTIATE_TEST_SUITE_P(each, driver_test, ::testing::ValuesIn(kinds),
                         [](const auto& p) { return std::string(p.param.name); });

task<void> receive_once(io_handle& h, std::span<char> into, std::int64_t& answer) {
  answer = co_await receive(h, into);
}
task<void> receive_all(io_handle& h, std::span<char> into, std::int64_t& answer) {
  answer = co_await receive_whole(h, into);
}
task<void> send_once(io_handle& h, std::span<char> from, std::int64_t& answer) {
  answer = co_await send(h, from);
}
task<void> send_all(io_handle& h, std::span<char> from, std::int64_t& answer) {
  answer = co_await send_whole(h, from);
}
task<void> send_parts(io_handle& h, std::span<const io_part> parts, bool all,
                      std::int64_t& answer) {
  answer = co_await request(h, parts, all);
}
task<void> accept_once(io_handle& h, std::int64_t& answer) { answer = co_await accept_on(h); }
task<void> connect_once(io_handle& h, os::socket_address& to, std::int64_t& answer) {
  answer = co_await connect_to(h, to);
}
task<void> until_readable(io_handle& h, std::int64_t& answer) { answer = co_await readable(h); }
task<void> until_writable(io_handle& h, std::int64_t& answer) { answer = co_await writable(h); }

constexpr std::int64_t unanswered = INT64_MIN + 1;

std::string pattern(std::size_t bytes) {
  std::string s(bytes, '\0');
  std::uint32_t x = 1;
  for (char& c : s) {
    x = x * 1664525 + 1013904223;
    c = static_cast<char>(x >> 24);
  }
  return s;
}

/// Starts the job, which has to wait, and lets it get there.
#define START(...)                         \
  auto handle = jobs().spawn(__VA_ARGS__); \
  jobs().settle();                         \
  ASSERT_FALSE(handle.done())

// --- The plain cases

task<void> echo_server(io_handle& listener, driver& io, std::string& heard) {
  const std::int64_t fd = co_await accept_on(listener);
  EXPECT_GE(fd, 0);
  io_handle peer = std::move(*io.attach(os::fd(static_cast<int>(fd))));
  char bytes[64];
  for (;;) {
    const std::int64_t n = co_await receive(peer, bytes);
    EXPECT_GE(n, 0);
    if (n <= 0) break;
    heard.append(bytes, static_cast<std::size_t>(n));
    const std::int64_t sent =
        co_await send_whole(peer, std::span(bytes, static_cast<std::size_t>(n)));
    EXPECT_EQ(sent, n);
  }
}
task<void> echo_client(driver& io, os::socket_address to, std::string& heard) {
  io_handle h = std::move(*io.attach(std::move(*os::open_tcp(os::address_family::ipv4))));
  const std::int64_t connected = co_await connect_to(h, to);
  EXPECT_EQ(connected, 0);
  char word[] = "hello";
  char bytes[64];
  for (int i = 0; i < 10; ++i) {
    const std::int64_t sent = co_await send(h, std::span(word, 5));
    EXPECT_EQ(sent, 5);
    const std::int64_t n = co_await receive_whole(h, std::span(bytes, 5));
    EXPECT_EQ(n, 5);
    heard.append(bytes, 5);
  }
}

TEST_P(driver_test, accepts_connects_receives_and_sends) {
  listening l = listen_on_loopback();
  io_handle listener = attach(l.socket);
  std::string at_server;
  std::string at_client;
  auto s = jobs().spawn(echo_server, std::ref(listener), std::ref(io()), std::ref(at_server));
  auto c = jobs().spawn(echo_client, std::ref(io()), l.address, std::ref(at_client));
  jobs().run();
  std::string expected;
  for (int i = 0; i < 10; ++i) expected += "hello";
  EXPECT_EQ(at_server, expected);
  EXPECT_EQ(at_client, expected);
}

task<void> accept_with_address(io_handle& h, os::socket_address& from, std::int64_t& answer) {
  answer = co_await request(io_code::accept, h, &from);
}
TEST_P(driver_test, accept_tells_who_called) {
  listening l = listen_on_loopback();
  io_handle listener = attach(l.socket);
  os::socket_address from;
  std::int64_t answer = unanswered;
  START(accept_with_address, std::ref(listener), std::ref(from), std::ref(answer));
  os::fd caller = dial(l.address);
  jobs().run();
  ASSERT_GE(answer, 0);
  os::fd accepted(static_cast<int>(answer));
  const os::socket_address expected = *os::local_address(caller.get());
  ASSERT_EQ(from.size, expected.size);
  EXPECT_EQ(memcmp(from.bytes, expected.bytes, expected.size), 0);
}

TEST_P(driver_test, accepted_descriptors_do_not_block_and_close_on_exec) {
  listening l = listen_on_loopback();
  io_handle listener = attach(l.socket);
  std::int64_t answer = unanswered;
  START(accept_once, std::ref(listener), std::ref(answer));
  os::fd caller = dial(l.address);
  jobs().run();
  os::fd accepted(static_cast<int>(answer));
  EXPECT_NE(fcntl(accepted.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(fcntl(accepted.get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_P(driver_test, end_of_stream_is_zero_after_the_last_byte) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  put(p.theirs, "last");
  p.theirs.close();  // data and hang-up arrive together
  jobs().run();
  EXPECT_EQ(answer, 4);
  auto again = jobs().spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 0);
}

TEST_P(driver_test, receive_whole_ends_early_at_the_end_of_the_stream) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_all, std::ref(h), std::span(bytes), std::ref(answer));
  put(p.theirs, "abc");
  jobs().settle();
  EXPECT_FALSE(handle.done());
  put(p.theirs, "de");
  p.theirs.close();
  jobs().run();
  EXPECT_EQ(answer, 5);
  EXPECT_EQ(std::string_view(bytes, 5), "abcde");
}

TEST_P(driver_test, half_close_leaves_the_other_direction_open) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  ::shutdown(p.theirs.get(), SHUT_WR);
  jobs().run();
  EXPECT_EQ(answer, 0);
  char word[] = "still";
  auto again = jobs().spawn(send_all, std::ref(h), std::span(word, 5), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 5);
  pollfd ready{p.theirs.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, 5000), 1);
  EXPECT_EQ(take_now(p.theirs), "still");
}

TEST_P(driver_test, peer_reset_is_an_error) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  ASSERT_TRUE(os::set_reset_on_close(p.theirs.get(), true));
  p.theirs.close();
  jobs().run();
  EXPECT_EQ(answer, -ECONNRESET);
}

TEST_P(driver_test, refused_connect_is_an_error) {
  listening l = listen_on_loopback();
  l.socket.close();  // nobody listens at its address now
  io_handle h = attach(std::move(*os::open_tcp(os::address_family::ipv4)));
  std::int64_t answer = unanswered;
  auto handle = jobs().spawn(connect_once, std::ref(h), std::ref(l.address), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, -ECONNREFUSED);
}

TEST_P(driver_test, writing_to_a_closed_peer_is_an_error_and_no_signal) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  ASSERT_TRUE(os::set_reset_on_close(p.theirs.get(), true));
  p.theirs.close();
  char word[] = "x";
  std::int64_t answer = unanswered;
  std::int64_t last = 0;
  for (int i = 0; i < 3; ++i) {  // SIGPIPE has its default action, which is to kill this test
    auto handle = jobs().spawn(send_once, std::ref(h), std::span(word, 1), std::ref(answer));
    jobs().run();
    last = answer;
  }
  EXPECT_EQ(last, -EPIPE);
  const io_part part{word, 1};
  auto vector = jobs().spawn(send_parts, std::ref(h), std::span(&part, 1), true, std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, -EPIPE);
}

TEST_P(driver_test, wait_readable_and_writable_take_nothing) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  std::int64_t answer = unanswered;
  START(until_readable, std::ref(h), std::ref(answer));
  put(p.theirs, "stays");
  jobs().run();
  EXPECT_EQ(answer, 0);
  answer = unanswered;
  auto w = jobs().spawn(until_writable, std::ref(h), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 0);
  char bytes[16];
  auto r = jobs().spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 5);
}

// --- Whole transfers

TEST_P(driver_test, eight_megabytes_go_through_small_buffers_both_ways) {
  constexpr std::size_t bytes = 8 << 20;
  socket_pair p = connected_pair(8192);
  io_handle a = attach(p.ours);
  io_handle b = attach(p.theirs);
  std::string out = pattern(bytes);
  std::string at_b(bytes, '\0');
  std::string at_a(bytes, '\0');
  std::int64_t answers[4] = {unanswered, unanswered, unanswered, unanswered};
  std::string back(out.rbegin(), out.rend());
  auto j0 = jobs().spawn(send_all, std::ref(a), std::span(out), std::ref(answers[0]));
  auto j1 = jobs().spawn(receive_all, std::ref(b), std::span(at_b), std::ref(answers[1]));
  auto j2 = jobs().spawn(send_all, std::ref(b), std::span(back), std::ref(answers[2]));
  auto j3 = jobs().spawn(receive_all, std::ref(a), std::span(at_a), std::ref(answers[3]));
  jobs().run();
  for (const std::int64_t n : answers) EXPECT_EQ(n, std::int64_t{bytes});
  EXPECT_TRUE(at_b == out);
  EXPECT_TRUE(at_a == back);
}

// The first try moves a lot and does not come to the point where it has to wait; a later one does.
TEST_P(driver_test, a_send_that_goes_far_at_first_and_then_has_to_wait) {
  const std::string out = pattern(32 << 20);  // far more than a socket's buffers hold
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  std::int64_t answer = unanswered;
  std::string copy = out;
  START(send_all, std::ref(h), std::span(copy), std::ref(answer));
  std::string in;
  in.reserve(out.size());
  std::thread peer([&] {
    char bytes[65536];
    while (in.size() < out.size()) {
      pollfd ready{p.theirs.get(), POLLIN, 0};
      if (::poll(&ready, 1, 20'000) != 1) break;
      const ssize_t n = ::recv(p.theirs.get(), bytes, sizeof bytes, 0);
      if (n <= 0) break;
      in.append(bytes, static_cast<std::size_t>(n));
    }
  });
  jobs().run();
  peer.join();
  EXPECT_EQ(answer, static_cast<std::int64_t>(out.size()));
  EXPECT_TRUE(in == out);
}

TEST_P(driver_test, gathered_writes_arrive_in_order_whatever_the_kernel_takes_at_a_time) {
  socket_pair p = connected_pair(8192);
  io_handle a = attach(p.ours);
  io_handle b = attach(p.theirs);
  const std::string out = pattern(1'000'000);
  std::vector<io_part> parts;
  rng random(test_support::seed());
  for (std::size_t at = 0; at < out.size();) {
    std::size_t n = random.below(20'000);  // some are empty
    if (n > out.size() - at) n = out.size() - at;
    parts.push_back({out.data() + at, n});
    at += n;
  }
  std::string in(out.size(), '\0');
  std::int64_t sent = unanswered;
  std::int64_t received = unanswered;
  auto s =
      jobs().spawn(send_parts, std::ref(a), std::span<const io_part>(parts), true, std::ref(sent));
  auto r = jobs().spawn(receive_all, std::ref(b), std::span(in), std::ref(received));
  jobs().run();
  EXPECT_EQ(sent, static_cast<std::int64_t>(out.size()));
  EXPECT_EQ(received, static_cast<std::int64_t>(out.size()));
  EXPECT_TRUE(in == out);
}

TEST_P(driver_test, an_error_after_some_bytes_is_the_answer) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_all, std::ref(h), std::span(bytes), std::ref(answer));
  put(p.theirs, "abc");
  jobs().settle();
  ASSERT_TRUE(os::set_reset_on_close(p.theirs.get(), true));
  p.theirs.close();
  jobs().run();
  EXPECT_EQ(answer, -ECONNRESET);
}

// --- Stopping

TEST_P(driver_test, stopped_receive_leaves_the_bytes_in_the_socket) {
  socket_pair p = connected_pair();
  const int fd = p.ours.get();
  io_handle h = attach(p.ours);
  char bytes[16] = "untouched";
  std::int64_t answer = unanswered;
  START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  handle.stop();
  jobs().run();
  EXPECT_EQ(answer, unanswered);
  put(p.theirs, "abc");
  pollfd ready{fd, POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, 5000), 1);
  auto again = jobs().spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 3);
}

TEST_P(driver_test, every_operation_can_be_stopped_while_it_waits) {
  {
    listening l = listen_on_loopback();
    io_handle h = attach(l.socket);
    std::int64_t answer = unanswered;
    START(accept_once, std::ref(h), std::ref(answer));
    handle.stop();
    jobs().run();
    EXPECT_EQ(answer, unanswered);
    os::fd caller = dial(l.address);  // the listener still works
    auto again = jobs().spawn(accept_once, std::ref(h), std::ref(answer));
    jobs().run();
    EXPECT_GE(answer, 0);
    os::fd accepted(static_cast<int>(answer));
  }
  {
    listening l = listen_on_loopback(0);
    std::vector<os::fd> queue;  // fill the listener's backlog: further connects get no answer
    for (int i = 0; i < 4; ++i) queue.push_back(dial(l.address));
    io_handle h = attach(std::move(*os::open_tcp(os::address_family::ipv4)));
    std::int64_t answer = unanswered;
    START(connect_once, std::ref(h), std::ref(l.address), std::ref(answer));
    handle.stop();
    jobs().run();
    EXPECT_EQ(answer, unanswered);
  }
  {
    socket_pair p = connected_pair(8192);
    EXPECT_GT(fill(p.ours), 0u);
    io_handle h = attach(p.ours);
    char word[] = "word";
    std::int64_t answer = unanswered;
    {
      START(send_once, std::ref(h), std::span(word, 4), std::ref(answer));
      handle.stop();
      jobs().run();
      EXPECT_EQ(answer, unanswered);
    }
    {
      const io_part part{word, 4};
      START(send_parts, std::ref(h), std::span(&part, 1), false, std::ref(answer));
      handle.stop();
      jobs().run();
      EXPECT_EQ(answer, unanswered);
    }
    {
      START(until_writable, std::ref(h), std::ref(answer));
      handle.stop();
      jobs().run();
      EXPECT_EQ(answer, unanswered);
    }
    {
      START(until_readable, std::ref(h), std::ref(answer));
      handle.stop();
      jobs().run();
      EXPECT_EQ(answer, unanswered);
    }
  }
  EXPECT_TRUE(io().idle());
}

task<void> receive_after_a_stop(io_handle& h, std::span<char> into, int& got) {
  for (;;) {
    const std::int64_t n = co_await receive(h, into);
    EXPECT_EQ(n, 1);
    if (++got == 3) co_await stop_me();
  }
}
TEST_P(driver_test, a_stopped_job_starts_no_further_operation_even_if_it_is_ready) {
  socket_pair p = connected_pair();
  const int fd = p.ours.get();
  io_handle h = attach(p.ours);
  put(p.theirs, "abcdef");
  char byte[1];
  int got = 0;
  auto handle = jobs().spawn(receive_after_a_stop, std::ref(h), std::span(byte), std::ref(got));
  jobs().run();
  EXPECT_EQ(got, 3);
  char rest[8];
  EXPECT_EQ(::recv(fd, rest, sizeof rest, MSG_DONTWAIT), 3);
}

TEST_P(driver_test, a_whole_operation_stopped_midway_says_so) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[16];
  std::int64_t answer = unanswered;
  START(receive_all, std::ref(h), std::span(bytes), std::ref(answer));
  put(p.theirs, "abc");
  while (take_now(p.theirs).empty() && std::string_view(bytes, 3) != "abc") jobs().settle();
  handle.stop();
  jobs().run();
  EXPECT_EQ(answer, io_operation::answer_interrupted);
  EXPECT_EQ(std::string_view(bytes, 3), "abc");
}

/// Two helper threads that act at the same moment, round after round.
class racers {
 public:
  template <class F, class G>
  racers(int rounds, F f, G g)
      : start_(3), end_(3), a_([=, this] { lap(rounds, f); }), b_([=, this] { lap(rounds, g); }) {}
  ~racers() {
    a_.join();
    b_.join();
  }
  template <class F>
  void round(F between) {
    start_.arrive_and_wait();
    between();
    end_.arrive_and_wait();
  }

 private:
  template <class F>
  void lap(int rounds, F f) {
    for (int i = 0; i < rounds; ++i) {
      start_.arrive_and_wait();
      f(i);
      end_.arrive_and_wait();
    }
  }
  std::barrier<> start_;
  std::barrier<> end_;
  std::thread a_;
  std::thread b_;
};

TEST_P(driver_test, a_stop_that_races_with_a_byte_loses_none) {
  constexpr int rounds = 2000;
  socket_pair p = connected_pair();
  const int fd = p.ours.get();
  io_handle h = attach(p.ours);
  join_handle<void> handle;
  int received = 0;
  int stopped = 0;
  char byte[1];
  {
    racers both(
        rounds, [&](int) { put(p.theirs, "x"); },
        [&](int i) {
          for (int spin = 0; spin < (i % 64) * 20; ++spin) cpu_pause();
          handle.stop();
        });
    for (int i = 0; i < rounds; ++i) {
      std::int64_t answer = unanswered;
      handle = jobs().spawn(receive_once, std::ref(h), std::span(byte), std::ref(answer));
      if (i % 2 == 0) jobs().settle();  // odd rounds: the stop may come while it is being started
      both.round([&] { jobs().run(); });
      if (answer == unanswered) {
        ++stopped;
        pollfd ready{fd, POLLIN, 0};
        ASSERT_EQ(::poll(&ready, 1, 5000), 1) << "round " << i << ": the byte is nowhere";
        char c;
        ASSERT_EQ(::recv(fd, &c, 1, MSG_DONTWAIT), 1);
      } else {
        ASSERT_EQ(answer, 1);
        ++received;
      }
      ASSERT_EQ(::recv(fd, byte, 1, MSG_DONTWAIT), -1) << "round " << i << ": a byte came twice";
      handle = {};
    }
  }
  EXPECT_EQ(received + stopped, rounds);
  std::printf("received %d, stopped %d\n", received, stopped);
}

TEST_P(driver_test, a_stop_that_races_with_a_connection_loses_none) {
  constexpr int rounds = 500;
  listening l = listen_on_loopback();
  io_handle h = attach(l.socket);
  const int fd = h.fd();
  join_handle<void> handle;
  os::fd caller;
  racers both(
      rounds, [&](int) { caller = dial(l.address); },
      [&](int i) {
        for (int spin = 0; spin < (i % 64) * 50; ++spin) cpu_pause();
        handle.stop();
      });
  for (int i = 0; i < rounds; ++i) {
    std::int64_t answer = unanswered;
    handle = jobs().spawn(accept_once, std::ref(h), std::ref(answer));
    both.round([&] { jobs().run(); });
    if (answer == unanswered) {
      pollfd ready{fd, POLLIN, 0};
      EXPECT_EQ(::poll(&ready, 1, 5000), 1) << "round " << i;
      answer = ::accept4(fd, nullptr, nullptr, SOCK_CLOEXEC);
    }
    EXPECT_GE(answer, 0);
    os::fd accepted(static_cast<int>(answer));
    caller.close();
    handle = {};
  }
}

// --- Descriptors

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
    ASSERT_EQ(::poll(&ready, 1, 5000), 1);
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

// --- Waiting

TEST_P(driver_test, wait_ends_at_the_deadline_and_not_before) {
  for (const std::int64_t ns : {1'000'000, 3'300'000, 20'000'000}) {
    const std::int64_t deadline = os::monotonic_ns() + ns;
    EXPECT_EQ(io().wait(deadline), 0u);
    const std::int64_t late = os::monotonic_ns() - deadline;
    EXPECT_GE(late, 0);
    EXPECT_LT(late, 1'000'000'000);  // a busy machine; the usual figure is 0.1 ms
  }
  EXPECT_EQ(io().wait(0), 0u);
  EXPECT_EQ(io().wait(1), 0u);  // long ago
}

TEST_P(driver_test, wake_ends_the_wait_in_progress_or_the_next_one) {
  io().wake();
  EXPECT_EQ(io().wait(never_ns), 0u);
  constexpr int rounds = 500;
  std::atomic<int> seen{0};
  std::thread waker([&] {
    for (int i = 0; i < rounds; ++i) {
      io().wake();
      while (seen.load() == i) std::this_thread::yield();  // one wake, one wait; a lost one hangs
    }
  });
  for (int i = 0; i < rounds; ++i) {
    EXPECT_EQ(io().wait(never_ns), 0u);
    seen.store(i + 1);
  }
  waker.join();
}

TEST_P(driver_test, many_wakes_at_once_are_one) {
  for (int i = 0; i < 100; ++i) io().wake();
  EXPECT_EQ(io().wait(never_ns), 0u);
  const std::int64_t deadline = os::monotonic_ns() + 5'000'000;
  EXPECT_EQ(io().wait(deadline), 0u);
  EXPECT_GE(os::monotonic_ns(), deadline);
}

TEST_P(driver_test, idle_says_whether_only_wait_can_tell_of_something) {
  EXPECT_TRUE(io().idle());
  socket_pair p = connected_pair();
  {
    io_handle h = attach(p.ours);
    EXPECT_TRUE(io().idle());
    char bytes[8];
    std::int64_t answer = unanswered;
    START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
    EXPECT_FALSE(io().idle());
    handle.stop();
    EXPECT_FALSE(io().idle());
    jobs().run();
  }
  EXPECT_TRUE(io().idle());
}

// For guests: another loop polls the descriptor of a driver that is at rest.
bool told(driver& io, int timeout_ms = 0) {
  pollfd p{.fd = io.descriptor(), .events = POLLIN, .revents = 0};
  int n = 0;
  do {
    n = ::poll(&p, 1, timeout_ms);
  } while (n < 0 && errno == EINTR);
  return n == 1;
}
void bring_to_rest(driver& io) {
  for (int i = 0; i < 10; ++i) {
    io.wait(0);
    if (io.rest()) return;
  }
  ADD_FAILURE() << "the driver does not come to rest";
}

TEST_P(driver_test, at_rest_its_descriptor_tells_of_a_wake_until_the_next_wait) {
  ASSERT_GE(io().descriptor(), 0);
  for (int i = 0; i < 100; ++i) {
    bring_to_rest(io());
    EXPECT_FALSE(told(io()));
    std::thread([this] { io().wake(); }).join();
    EXPECT_TRUE(told(io(), 20'000));
    EXPECT_TRUE(told(io()));
    io().wait(0);
  }
}

TEST_P(driver_test, at_rest_its_descriptor_tells_of_a_completion_and_of_a_withdrawal) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[8];
  for (int i = 0; i < 2; ++i) {
    std::int64_t answer = unanswered;
    START(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
    bring_to_rest(io());
    EXPECT_FALSE(told(io()));
    if (i == 0) {
      EXPECT_EQ(::send(p.theirs.get(), "abc", 3, 0), 3);
      EXPECT_TRUE(told(io(), 20'000));
    } else {
      std::thread([&] { handle.stop(); }).join();
      EXPECT_TRUE(told(io(), 20'000));
    }
    jobs().run();
    EXPECT_EQ(answer, i == 0 ? 3 : unanswered);
  }
}

task<void> receive_six(io_handle& h, std::span<char> into, std::int64_t& answer) {
  answer = co_await receive_whole(h, into);
}
// What is left of an operation that got some is with the kernel before the driver is at rest.
TEST_P(driver_test, at_rest_its_descriptor_tells_of_the_rest_of_an_operation) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  char bytes[6];
  std::int64_t answer = unanswered;
  EXPECT_EQ(::send(p.theirs.get(), "abc", 3, 0), 3);
  jobs().run_inline(true);  // it is submitted, and no wait() has seen it
  auto handle = jobs().spawn(receive_six, std::ref(h), std::span(bytes), std::ref(answer));
  bring_to_rest(io());
  EXPECT_FALSE(told(io()));
  EXPECT_EQ(::send(p.theirs.get(), "def", 3, 0), 3);
  EXPECT_TRUE(told(io(), 20'000));
  jobs().run();
  EXPECT_EQ(answer, 6);
}

TEST_P(driver_test, says_what_an_operation_waits_for) {
  socket_pair p = connected_pair();
  io_handle h = attach(p.ours);
  request r(io_code::receive, h);
  EXPECT_STREQ(r.what(), "receive");
  request w(io_code::wait_writable, h);
  EXPECT_STREQ(w.what(), "wait writable");
}

}  // namespace
}  // namespace weft::io::test
