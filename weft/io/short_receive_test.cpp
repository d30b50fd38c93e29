// A receive that gave less than was asked for has emptied a TCP socket, and a driver may save the next
// try. What such a receive leaves behind nevertheless, and what comes later, is found on every driver.
#include <sys/uio.h>

#include <algorithm>

#include <memory>
#include <string>

#include "weft/io/driver_test_support.hpp"

namespace weft::io::test {
namespace {

using namespace std::literals;

class short_receive_test : public ::testing::TestWithParam<driver_kind> {
 protected:
  void SetUp() override {
    auto made = make_driver(GetParam());
    if (!made) GTEST_SKIP() << "refused here: " << made.error().message();
    driver_ = std::move(*made);
    loop_ = std::make_unique<loop>(*driver_);
  }
  loop& jobs() { return *loop_; }
  io_handle attach(os::fd& fd) { return std::move(*driver_->attach(std::move(fd))); }

 private:
  std::unique_ptr<driver> driver_;
  std::unique_ptr<loop> loop_;
};

std::string name_of(const ::testing::TestParamInfo<driver_kind>& p) {
  switch (p.param) {
    case driver_kind::io_uring:
      return "io_uring";
    case driver_kind::epoll:
      return "epoll";
    default:
      return "poll";
  }
}
INSTANTIATE_TEST_SUITE_P(each, short_receive_test,
                         ::testing::Values(driver_kind::epoll, driver_kind::io_uring,
                                           driver_kind::poll),
                         name_of);

constexpr std::int64_t nothing_yet = INT64_MIN + 1;

/// Receives into far more room than there is to receive, until the end or an error.
task<void> read_to_the_end(io_handle& h, std::string& heard, std::int64_t& end) {
  char room[256];
  for (;;) {
    const std::int64_t n = co_await receive(h, room);
    end = n;
    if (n <= 0) co_return;
    heard.append(room, static_cast<std::size_t>(n));
  }
}
/// So many receives, and no more before it is asked again.
task<void> read_once(io_handle& h, std::string& heard) {
  char room[256];
  const std::int64_t n = co_await receive(h, room);
  if (n > 0) heard.append(room, static_cast<std::size_t>(n));
}

struct reading {
  io_handle handle;
  std::string heard;
  std::int64_t end = nothing_yet;
};

TEST_P(short_receive_test, is_followed_by_what_comes_later) {
  auto [ours, theirs] = connected_pair();
  reading r{attach(ours), {}};
  auto done = jobs().spawn(read_to_the_end, std::ref(r.handle), std::ref(r.heard), std::ref(r.end));
  jobs().settle();  // it waits
  std::string said;
  for (int i = 0; i < 50; ++i) {
    const std::string word(static_cast<std::size_t>(1 + i % 7), static_cast<char>('a' + i % 26));
    put(theirs, word);
    said += word;
    jobs().run_until([&] { return r.heard.size() == said.size(); });
  }
  ::shutdown(theirs.get(), SHUT_WR);
  jobs().run();
  EXPECT_EQ(r.heard, said);
  EXPECT_EQ(r.end, 0);
}

TEST_P(short_receive_test, hides_no_end_that_came_with_the_bytes) {
  auto [ours, theirs] = connected_pair();
  reading r{attach(ours), {}};
  auto done = jobs().spawn(read_to_the_end, std::ref(r.handle), std::ref(r.heard), std::ref(r.end));
  jobs().settle();
  put(theirs, "abc");
  ::shutdown(theirs.get(), SHUT_WR);  // one event for both, or the end's before the bytes are taken
  jobs().run();
  EXPECT_EQ(r.heard, "abc");
  EXPECT_EQ(r.end, 0);
}

TEST_P(short_receive_test, hides_no_end_that_came_between_the_event_and_the_bytes) {
  auto [ours, theirs] = connected_pair();
  reading r{attach(ours), {}};
  {  // known to the driver, and nobody waits
    auto first = jobs().spawn(read_once, std::ref(r.handle), std::ref(r.heard));
    jobs().settle();
    put(theirs, "a");
    jobs().run();
  }
  put(theirs, "b");
  jobs().settle();  // the event of these bytes
  ::shutdown(theirs.get(), SHUT_WR);
  jobs().settle();  // the event of the end
  auto done = jobs().spawn(read_to_the_end, std::ref(r.handle), std::ref(r.heard), std::ref(r.end));
  jobs().run();
  EXPECT_EQ(r.heard, "ab");
  EXPECT_EQ(r.end, 0);
}

TEST_P(short_receive_test, finds_what_came_while_nobody_received) {
  for (const bool told : {false, true}) {
    auto [ours, theirs] = connected_pair();
    reading r{attach(ours), {}};
    for (int i = 0; i < 20; ++i) {
      auto next = jobs().spawn(read_once, std::ref(r.handle), std::ref(r.heard));
      if (i % 2 == 0) jobs().settle();
      put(theirs, "x");
      jobs().run();
      put(theirs, "y");
      if (told) jobs().settle();  // with nobody waiting: the event stays with the descriptor
      auto after = jobs().spawn(read_once, std::ref(r.handle), std::ref(r.heard));
      jobs().run();
    }
    std::string all;
    for (int i = 0; i < 20; ++i) all += "xy";
    EXPECT_EQ(r.heard, all) << (told ? "told" : "not told");
  }
}

TEST_P(short_receive_test, hides_no_reset) {
  auto [ours, theirs] = connected_pair();
  reading r{attach(ours), {}};
  auto done = jobs().spawn(read_to_the_end, std::ref(r.handle), std::ref(r.heard), std::ref(r.end));
  jobs().settle();
  put(theirs, "abc");
  jobs().settle();
  EXPECT_EQ(r.heard, "abc");
  const linger at_once{1, 0};
  ::setsockopt(theirs.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  theirs = os::fd();
  jobs().run();
  EXPECT_EQ(r.end, -ECONNRESET);
}

// A receive stops before urgent data, and what is behind it brings no event of its own.
TEST_P(short_receive_test, hides_nothing_behind_urgent_data) {
  auto [ours, theirs] = connected_pair();
  reading r{attach(ours), {}};
  auto done = jobs().spawn(read_to_the_end, std::ref(r.handle), std::ref(r.heard), std::ref(r.end));
  jobs().settle();
  put(theirs, "ab");
  ASSERT_EQ(::send(theirs.get(), "!", 1, MSG_OOB), 1);
  put(theirs, "cd");
  jobs().run_until([&] { return r.heard.size() == 4; });
  EXPECT_EQ(r.heard, "abcd");
  ::shutdown(theirs.get(), SHUT_WR);
  jobs().run();
  EXPECT_EQ(r.end, 0);
}

/// With a descriptor beside the bytes.
void put_with_descriptor(const os::fd& to, std::string_view bytes) {
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* const c = CMSG_FIRSTHDR(&header);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof(int));
  const int passed = to.get();
  std::copy_n(reinterpret_cast<const char*>(&passed), sizeof passed,
              reinterpret_cast<char*>(CMSG_DATA(c)));
  ASSERT_EQ(::sendmsg(to.get(), &header, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
}

// A receive from a Unix socket ends where the next message has descriptors of its own.
TEST_P(short_receive_test, of_a_unix_socket_says_nothing_about_what_is_left) {
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
  os::fd ours(pair[0]);
  const os::fd theirs(pair[1]);
  reading r{attach(ours), {}};
  auto done = jobs().spawn(read_to_the_end, std::ref(r.handle), std::ref(r.heard), std::ref(r.end));
  jobs().settle();
  put_with_descriptor(theirs, "ab");
  put_with_descriptor(theirs, "cd");
  jobs().run_until([&] { return r.heard.size() == 4; });
  EXPECT_EQ(r.heard, "abcd");
  ::shutdown(theirs.get(), SHUT_WR);
  jobs().run();
  EXPECT_EQ(r.end, 0);
}

}  // namespace
}  // namespace weft::io::test
