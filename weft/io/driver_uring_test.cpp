// What is io_uring's own: a completion queue that overflows, and requests that end with their thread.
#include "weft/io/driver_uring.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/hold.hpp"
#include "tests/support/quiet_poll.hpp"
#include "weft/io/driver_test_support.hpp"
#include "weft/os/file_call.hpp"

namespace weft::io::test {
namespace {

TEST(ring_test, completions_that_find_their_queue_full_come_later_each_once) {
  ring r;
  uring_refusal refusal;
  if (!r.open(8, refusal)) GTEST_SKIP() << "io_uring is refused here, errno " << refusal.error;
  constexpr std::size_t all = 48;  // the queue holds 32
  for (std::size_t i = 0; i < all; ++i) {
    io_uring_sqe& nop = r.next_entry();
    nop.opcode = IORING_OP_NOP;
    nop.user_data = i;
    if (!r.has_room()) {
      EXPECT_EQ(r.enter(8, 0, 0), 8);
    }
  }
  EXPECT_EQ(r.unsubmitted(), 0u);
  EXPECT_TRUE(r.wants_call());
  std::vector<int> seen(all);
  std::size_t count = 0;
  for (int calls = 0; count < all && calls < 10; ++calls) {
    r.reap([&](std::uint64_t tag, int res, unsigned) {
      EXPECT_EQ(res, 0);
      ++seen[tag];
      ++count;
      return true;
    });
    if (r.wants_call()) {
      EXPECT_GE(r.enter(0, 0, 0), 0);
    }
  }
  EXPECT_EQ(seen, std::vector<int>(all, 1));
  EXPECT_FALSE(r.wants_call());
}

task<void> receive_once(io_handle& h, std::span<char> into, int& ended) {
  const std::int64_t n = co_await receive(h, into);
  EXPECT_EQ(n, 1);
  ++ended;
}

// As above, but of operations that all end between two looks: the driver makes the call that it takes.
TEST(driver_uring_test, operations_whose_completions_overflow_all_end) {
  uring_refusal refusal;
  auto io = uring_driver::make(8, refusal);
  if (!io) GTEST_SKIP() << "io_uring is refused here, errno " << refusal.error;
  loop jobs(*io);
  constexpr std::size_t pairs = 200;
  struct end {
    io_handle h;
    os::fd theirs;
    char byte[1];
  };
  std::vector<end> ends(pairs);
  std::vector<join_handle<void>> handles;
  int ended = 0;
  for (end& e : ends) {
    socket_pair p = connected_pair();
    e.h = std::move(*io->attach(std::move(p.ours)));
    e.theirs = std::move(p.theirs);
    handles.push_back(jobs.spawn(receive_once, std::ref(e.h), std::span(e.byte), std::ref(ended)));
  }
  jobs.settle();
  for (end& e : ends) put(e.theirs, "x");
  // An eighth of them is stopped as well, among completions that are held back.
  for (std::size_t i = 0; i < pairs; i += 8) handles[i].stop();
  // The bell's multishot poll ends where its completion finds no room: F_MORE is gone from it.
  std::thread([&] { io->wake(); }).join();
  jobs.run();
  EXPECT_LE(ended, static_cast<int>(pairs));
  EXPECT_GE(ended, static_cast<int>(pairs - pairs / 8));
  EXPECT_TRUE(io->idle());
  io->wait(0);
  for (int i = 0; i < 3; ++i) {  // and is armed again
    std::thread([&] { io->wake(); }).join();
    EXPECT_EQ(io->wait(never_ns), 0u);
  }
}

/// Polls that a ring has under way. -1: the kernel does not tell.
int polls_of(const uring_driver& io) {
  constexpr const char* poll = "op=6,";  // IORING_OP_POLL_ADD
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(io.descriptor()));
  bool told = false;
  int polls = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("PollList")) told = true;
    if (told && line.find(poll) != line.npos) ++polls;
  }
  return told ? polls : -1;
}

// The kernel does not take back a poll that has just fired, and is about to be told of: by way of the thread that
// made it, which is held here for so long. When it tells of it the bell is an earlier owner's, and has to go still.
TEST(driver_uring_test, bell_of_an_earlier_owner_that_rings_while_it_is_told_to_go_goes_then) {
  using test_support::hold;
  constexpr auto how = test_support::way::cannot_be_woken;
  constexpr auto patience = std::chrono::seconds(20);
  constexpr int calls_max = 100;
  if (const char* const why = test_support::why_not(how)) GTEST_SKIP() << why;
  uring_refusal refusal;
  auto io = uring_driver::make(8, refusal);
  if (!io) GTEST_SKIP() << "io_uring is refused here, errno " << refusal.error;
  hold held;
  std::atomic<bool> over{false};
  std::thread earlier([&] {
    // Its bell is with the kernel then; a kernel that has no memory takes it later.
    for (int i = 0; i < calls_max && polls_of(*io) != 1; ++i) io->wait(0);
    EXPECT_TRUE(held.stay(how));
    while (!over) std::this_thread::yield();  // a thread that ends takes its requests along
  });
  while (held.state() != 'D') std::this_thread::yield();
  const bool told = polls_of(*io) == 1;
  io->wake();
  io->changed_hands();
  for (int i = 0; i < calls_max && told && polls_of(*io) != 2; ++i) io->wait(0);
  if (told) {
    EXPECT_EQ(polls_of(*io), 2) << "it was about nothing";
  }
  held.let_go();
  const auto end = hold::clock::now() + patience;
  while (told && polls_of(*io) != 1 && hold::clock::now() < end)
    io->wait(os::monotonic_ns() + 1'000'000);
  const int left = polls_of(*io);
  over = true;
  earlier.join();
  if (!told) GTEST_SKIP() << "the kernel does not tell which polls a ring has";
  EXPECT_EQ(left, 1);
  std::thread([&] { io->wake(); }).join();
  EXPECT_EQ(io->wait(never_ns), 0u) << "the next owner's bell rings";
}

/// A call on a file, as weft/fs makes it.
class file_request final : public awaitable_operation<file_request, io_operation> {
 public:
  explicit file_request(const os::file_call& call) noexcept { calls_file(call, call.length); }
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    auto& home = static_cast<loop&>(waiter.owner()->home());
    switch (home.io.submit(*this, waiter)) {
      case submitted::done:
        return ready_at_once(*this, waiter);
      case submitted::pending:
        return std::noop_coroutine();
      case submitted::stopped:
        return unwind(waiter);
    }
    std::abort();
  }
  std::int64_t await_resume() const noexcept { return answer; }
};
task<void> read_file(const os::file_call& call, std::int64_t& answer) {
  answer = co_await file_request(call);
}

/// Reads that wait, of a file (a pipe: of a disk none waits so long) and of a socket, each submitted by a thread
/// that has ended when bytes come: the kernel says ECANCELED then, as there is nobody to go on for.
class ended_thread_test : public ::testing::Test {
 protected:
  void SetUp() override {
    uring_refusal refusal;
    io_ = uring_driver::make(64, refusal);
    if (!io_) GTEST_SKIP() << "io_uring is refused here, errno " << refusal.error;
    if (!io_->does_file(os::file_code::read)) GTEST_SKIP() << "this kernel's ring reads no files";
    jobs_ = std::make_unique<loop>(*io_);
    int both[2];
    ASSERT_EQ(::pipe2(both, O_CLOEXEC), 0);
    out_ = os::fd(both[0]);
    in_ = os::fd(both[1]);
    call_.code = os::file_code::read;
    call_.file = out_.get();
    call_.buffer = bytes_.data();
    call_.length = bytes_.size();
  }
  /// What is there is handed to the kernel by a thread that ends then.
  void hand_over() {
    std::thread([this] { jobs_->settle(); }).join();
  }
  std::unique_ptr<uring_driver> io_;
  std::unique_ptr<loop> jobs_;
  os::fd out_, in_;
  std::array<char, 8> bytes_{};
  os::file_call call_;
  std::int64_t answer_ = 0;
};

TEST_F(ended_thread_test, a_file_request_is_made_again) {
  auto handle = jobs_->spawn(read_file, std::cref(call_), std::ref(answer_));
  for (int i = 0; i < 5; ++i) {
    hand_over();
    ASSERT_FALSE(handle.done()) << answer_;
  }
  ASSERT_EQ(::write(in_.get(), "abc", 3), 3);
  jobs_->run();
  EXPECT_EQ(answer_, 3);
  EXPECT_EQ(std::string_view(bytes_.data(), 3), "abc");
  int left = 0;
  EXPECT_EQ(::ioctl(out_.get(), FIONREAD, &left), 0);
  EXPECT_EQ(left, 0);
}

// As of a kernel that may start no thread of its own, which would say so for ever.
TEST_F(ended_thread_test, a_file_request_is_made_again_some_times_only) {
  auto handle = jobs_->spawn(read_file, std::cref(call_), std::ref(answer_));
  hand_over();
  int tries = 0;
  for (; tries < 100 && !handle.done(); ++tries) {
    ASSERT_EQ(::write(in_.get(), "x", 1), 1);
    char gone;
    ASSERT_EQ(::read(out_.get(), &gone, 1), 1);
    pollfd ended{io_->descriptor(), POLLIN, 0};
    ASSERT_EQ(test_support::quiet_poll(&ended, 1, 20'000), 1);
    hand_over();
  }
  ASSERT_TRUE(handle.done());
  EXPECT_EQ(answer_, -EAGAIN);
  EXPECT_EQ(tries, 9);
  EXPECT_TRUE(io_->idle());
}

TEST_F(ended_thread_test, a_stop_ends_it_all_the_same) {
  answer_ = 77;
  auto handle = jobs_->spawn(read_file, std::cref(call_), std::ref(answer_));
  hand_over();
  handle.stop();
  jobs_->run();
  EXPECT_EQ(answer_, 77);
  ASSERT_EQ(::write(in_.get(), "abc", 3), 3);
  EXPECT_EQ(::read(out_.get(), bytes_.data(), bytes_.size()), 3);
}

TEST_F(ended_thread_test, a_receive_is_made_again_as_often_as_it_takes) {
  socket_pair p = connected_pair();
  io_handle h = std::move(*io_->attach(std::move(p.ours)));
  int ended = 0;
  auto handle =
      jobs_->spawn(receive_once, std::ref(h), std::span(bytes_.data(), 1), std::ref(ended));
  for (int i = 0; i < 20; ++i) hand_over();
  ASSERT_FALSE(handle.done());
  put(p.theirs, "x");
  jobs_->run();
  EXPECT_EQ(ended, 1);
}

}  // namespace
}  // namespace weft::io::test
