// The ring beside epoll: what goes through it, that one wait tells of both, and that it is not there
// before it is needed. Calls that stay under way are reads of an empty pipe.
#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <climits>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/io/each_driver_test_support.hpp"
#include "weft/os/file_call.hpp"

namespace weft::io::test {
namespace {

constexpr unsigned few_entries = 8;  // more calls than that wait in the backlog

/// Rings that this process has open.
int rings() {
  int count = 0;
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return -1;
  while (const dirent* const each = ::readdir(folder)) {
    char target[PATH_MAX];
    const ssize_t n = ::readlinkat(::dirfd(folder), each->d_name, target, sizeof target);
    if (n > 0 && std::string_view(target, static_cast<std::size_t>(n)) == "anon_inode:[io_uring]")
      ++count;
  }
  ::closedir(folder);
  return count;
}

/// Both ends block, or the kernel would say so and not wait.
struct blocking_pipe {
  blocking_pipe() {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    out = os::fd(ends[0]);
    in = os::fd(ends[1]);
  }
  void put(std::string_view bytes) const {
    EXPECT_EQ(::write(in.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  /// Bytes that nobody has read.
  int left() const {
    int n = -1;
    EXPECT_EQ(::ioctl(out.get(), FIONREAD, &n), 0);
    return n;
  }
  os::fd out, in;
};

os::file_call call_on(const os::fd& file, os::file_code code, std::span<char> bytes) {
  return {.code = code,
          .file = file.get(),
          .buffer = bytes.data(),
          .length = bytes.size(),
          .offset = 0};
}

task<void> call_file(os::file_call call, bool whole, std::int64_t& answer) {
  answer = co_await request(call, whole);
}
task<void> read_once(const os::fd& from, std::span<char> into, std::int64_t& answer) {
  const os::file_call call = call_on(from, os::file_code::read, into);
  answer = co_await request(call, false);
}
task<void> receive_once(io_handle& h, std::span<char> into, std::int64_t& answer) {
  answer = co_await receive(h, into);
}

class driver_beside_test : public ::testing::Test {
 protected:
  void SetUp() override {
    uring_refusal refusal;
    if (!uring_driver::works(refusal)) {
      GTEST_SKIP() << "io_uring is refused here, errno " << refusal.error;
    }
    before_ = rings();
    driver_ = std::move(*epoll_driver::make(few_entries));
    loop_ = std::make_unique<loop>(*driver_);
  }
  void end_driver() {
    loop_.reset();
    driver_.reset();
  }
  int rings_made() const { return rings() - before_; }
  bool does(os::file_code code) { return driver_->does_file(code); }
  loop& jobs() { return *loop_; }
  driver& io() { return *driver_; }

 private:
  int before_ = 0;
  std::unique_ptr<epoll_driver> driver_;
  std::unique_ptr<loop> loop_;
};

TEST_F(driver_beside_test, there_is_no_ring_before_the_first_file_and_one_afterwards) {
  socket_pair p = connected_pair();
  io_handle h = std::move(*io().attach(std::move(p.ours)));
  char bytes[8];
  std::int64_t answer = unanswered;
  auto handle = jobs().spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
  jobs().settle();
  put(p.theirs, "abc");
  jobs().run();
  EXPECT_EQ(answer, 3);
  EXPECT_EQ(rings_made(), 0);
  EXPECT_TRUE(does(os::file_code::read));
  EXPECT_TRUE(does(os::file_code::write));
  EXPECT_EQ(rings_made(), 1);
  h.close();
  end_driver();
  EXPECT_EQ(rings_made(), 0);
}

TEST_F(driver_beside_test, plain_epoll_has_none) {
  auto plain = std::move(*epoll_driver::make());
  EXPECT_FALSE(plain->does_file(os::file_code::read));
  EXPECT_EQ(rings_made(), 0);
}

TEST_F(driver_beside_test, a_file_is_written_and_read_whole) {
  os::fd file(::memfd_create("weft", MFD_CLOEXEC));
  std::string text = pattern(100'000);
  std::int64_t answer = unanswered;
  auto writes =
      jobs().spawn(call_file, call_on(file, os::file_code::write, text), true, std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 100'000);
  std::string got(100'000, '\0');
  auto reads =
      jobs().spawn(call_file, call_on(file, os::file_code::read, got), true, std::ref(answer));
  jobs().run();
  EXPECT_EQ(answer, 100'000);
  EXPECT_EQ(got, text);
  EXPECT_TRUE(io().idle());
}

// One sleep, whichever of the two ends it.
TEST_F(driver_beside_test, a_wait_is_ended_by_a_file_and_by_a_socket) {
  blocking_pipe file;
  socket_pair p = connected_pair();
  io_handle h = std::move(*io().attach(std::move(p.ours)));
  char of_file[4], of_socket[4];
  for (int i = 0; i < 200; ++i) {
    std::int64_t read = unanswered, received = unanswered;
    auto r = jobs().spawn(read_once, std::cref(file.out), std::span(of_file), std::ref(read));
    auto s = jobs().spawn(receive_once, std::ref(h), std::span(of_socket), std::ref(received));
    jobs().settle();
    EXPECT_FALSE(io().idle());
    const bool file_first = i % 2 == 0;
    std::thread sleeper([&] { file_first ? file.put("f") : put(p.theirs, "so"); });
    jobs().run_until([&] { return file_first ? r.done() : s.done(); });
    sleeper.join();
    EXPECT_EQ(read, file_first ? 1 : unanswered);
    EXPECT_EQ(received, file_first ? unanswered : 2);
    file_first ? put(p.theirs, "so") : file.put("f");
    jobs().run();
    EXPECT_EQ(read, 1);
    EXPECT_EQ(received, 2);
  }
}

// The completion comes before, in and after the look at the ring, the hand-over and the sleep.
TEST_F(driver_beside_test, no_completion_is_lost_on_the_way_to_sleep) {
  constexpr int rounds = 3000;
  blocking_pipe file;
  char byte[1];
  racers both(
      rounds,
      [&](int i) {
        for (int spin = 0; spin < (i % 128) * 20; ++spin) cpu_pause();
        file.put("x");
      },
      [&](int i) {
        for (int spin = 0; spin < (i % 37) * 60; ++spin) cpu_pause();
        if (i % 3 == 0) io().wake();  // so that the bell and the ring tell at the same time
      });
  for (int i = 0; i < rounds; ++i) {
    std::int64_t answer = unanswered;
    auto handle = jobs().spawn(read_once, std::cref(file.out), std::span(byte), std::ref(answer));
    if (i % 2 == 0) jobs().settle();  // odd rounds: it may be there when it is handed over
    both.round([&] { jobs().run(); });
    ASSERT_EQ(answer, 1);
  }
  EXPECT_TRUE(io().idle());
}

TEST_F(driver_beside_test, a_stop_that_races_with_a_byte_loses_none) {
  constexpr int rounds = 2000;
  blocking_pipe file;
  join_handle<void> handle;
  int read = 0, stopped = 0;
  char byte[1];
  {
    racers both(
        rounds, [&](int) { file.put("x"); },
        [&](int i) {
          for (int spin = 0; spin < (i % 64) * 20; ++spin) cpu_pause();
          handle.stop();
        });
    for (int i = 0; i < rounds; ++i) {
      std::int64_t answer = unanswered;
      handle = jobs().spawn(read_once, std::cref(file.out), std::span(byte), std::ref(answer));
      if (i % 2 == 0) jobs().settle();
      both.round([&] { jobs().run(); });
      ASSERT_EQ(file.left(), answer == unanswered ? 1 : 0) << "round " << i;
      if (answer == unanswered) {
        ++stopped;
        ASSERT_EQ(::read(file.out.get(), byte, 1), 1);
      } else {
        ASSERT_EQ(answer, 1);
        ++read;
      }
      handle = {};
    }
  }
  EXPECT_EQ(read + stopped, rounds);
  std::printf("read %d, stopped %d\n", read, stopped);
}

// Nothing but the stops ends the sleep; most of the calls wait in the backlog.
TEST_F(driver_beside_test, all_that_is_under_way_is_stopped_from_another_thread) {
  blocking_pipe file;
  std::vector<join_handle<void>> handles;
  std::vector<std::int64_t> answers(5 * few_entries, unanswered);
  char byte[1];
  for (auto& answer : answers) {
    handles.push_back(
        jobs().spawn(read_once, std::cref(file.out), std::span(byte), std::ref(answer)));
  }
  jobs().settle();
  std::thread stopper([&] {
    for (auto& h : handles) h.stop();
  });
  jobs().run();
  stopper.join();
  EXPECT_EQ(answers, std::vector(answers.size(), unanswered));
  EXPECT_TRUE(io().idle());
  file.put("a");
  EXPECT_EQ(file.left(), 1) << "a stopped read has taken a byte";
}

TEST_F(driver_beside_test, calls_whose_completions_overflow_all_end) {
  constexpr std::size_t calls = 200;
  std::vector<blocking_pipe> files(calls);
  std::vector<join_handle<void>> handles;
  std::vector<std::int64_t> answers(calls, unanswered);
  std::vector<char> bytes(calls);
  for (std::size_t i = 0; i < calls; ++i) {
    handles.push_back(jobs().spawn(read_once, std::cref(files[i].out), std::span(&bytes[i], 1),
                                   std::ref(answers[i])));
  }
  jobs().settle();
  for (const auto& f : files) f.put("x");
  jobs().run();
  EXPECT_EQ(answers, std::vector<std::int64_t>(calls, 1));
  EXPECT_TRUE(io().idle());
}

TEST_F(driver_beside_test, a_wait_ends_no_more_than_it_is_told_to_and_the_rest_is_ready) {
  constexpr std::size_t calls = 12;
  std::vector<blocking_pipe> files(calls);
  std::vector<join_handle<void>> handles;
  std::vector<std::int64_t> answers(calls, unanswered);
  std::vector<char> bytes(calls);
  for (std::size_t i = 0; i < calls; ++i) {
    handles.push_back(jobs().spawn(read_once, std::cref(files[i].out), std::span(&bytes[i], 1),
                                   std::ref(answers[i])));
  }
  jobs().settle();
  for (const auto& f : files) f.put("x");
  std::size_t all = 0;
  while (all < calls) {
    const unsigned ended = io().wait(never_ns, 3);
    EXPECT_GE(ended, 1u);
    EXPECT_LE(ended, 3u);
    all += ended;
  }
  EXPECT_EQ(all, calls);
  jobs().run();
}

bool told(driver& io, int timeout_ms = 0) {
  pollfd p{.fd = io.descriptor(), .events = POLLIN, .revents = 0};
  int n = 0;
  do {
    n = ::poll(&p, 1, timeout_ms);
  } while (n < 0 && errno == EINTR);
  return n == 1;
}

/// Several tries: a hand-over may fail (uring_faults).
bool comes_to_rest(driver& io) {
  for (int i = 0; i < 10; ++i) {
    if (io.rest()) return true;
  }
  return false;
}

// For guests.
TEST_F(driver_beside_test, at_rest_its_descriptor_tells_of_a_file_and_of_a_withdrawal) {
  blocking_pipe file;
  char byte[1];
  for (int i = 0; i < 100; ++i) {
    std::int64_t answer = unanswered;
    auto handle = jobs().spawn(read_once, std::cref(file.out), std::span(byte), std::ref(answer));
    jobs().settle();
    EXPECT_TRUE(comes_to_rest(io()));
    EXPECT_FALSE(told(io()));
    const bool stop = i % 2 != 0;
    std::thread other([&] { stop ? handle.stop() : file.put("x"); });
    EXPECT_TRUE(told(io(), 20'000));
    other.join();
    jobs().run();
    EXPECT_EQ(answer, stop ? unanswered : 1);
  }
}

// The first half ends while the call is handed over, which fills in a request for the other.
TEST_F(driver_beside_test, the_rest_of_a_call_is_handed_over_before_a_sleep_and_before_a_rest) {
  blocking_pipe file;
  char six[6];
  jobs().run_inline(true);  // submitted, and no wait has seen it
  for (const bool guest : {false, true}) {
    std::int64_t answer = unanswered;
    file.put("abc");
    auto handle = jobs().spawn(call_file, call_on(file.out, os::file_code::read, six), true,
                               std::ref(answer));
    std::thread other;
    if (guest) {
      while (file.left() != 0) io().wait(0);
      EXPECT_TRUE(comes_to_rest(io()));
      EXPECT_FALSE(told(io()));
      file.put("def");
      EXPECT_TRUE(told(io(), 20'000));
    } else {
      other = std::thread([&] {
        while (file.left() != 0) std::this_thread::yield();
        file.put("def");
      });
    }
    jobs().run();
    if (other.joinable()) other.join();
    EXPECT_EQ(answer, 6);
  }
}

// Beside a socket, whose look at epoll takes the ring's event.
TEST_F(driver_beside_test, completions_that_are_left_are_told_of_again) {
  socket_pair p = connected_pair();
  io_handle h = std::move(*io().attach(std::move(p.ours)));
  char byte[1], bytes[3];
  std::int64_t received = unanswered;
  auto socket = jobs().spawn(receive_once, std::ref(h), std::span(byte), std::ref(received));
  blocking_pipe files[3];
  std::int64_t answers[3] = {unanswered, unanswered, unanswered};
  std::vector<join_handle<void>> handles;
  for (int i = 0; i < 3; ++i) {
    handles.push_back(jobs().spawn(read_once, std::cref(files[i].out), std::span(&bytes[i], 1),
                                   std::ref(answers[i])));
  }
  jobs().settle();
  for (const auto& f : files) f.put("x");
  for (int ended = 0; ended < 3; ++ended) {
    EXPECT_TRUE(comes_to_rest(io()));
    EXPECT_TRUE(told(io(), 20'000)) << "after " << ended;
    EXPECT_EQ(io().wait(0, 1), 1u);
  }
  EXPECT_TRUE(comes_to_rest(io()));
  EXPECT_FALSE(told(io()));
  put(p.theirs, "y");
  jobs().run();
  EXPECT_EQ(received, 1);
}

task<void> wait_for_word(std::uint32_t& word, std::int64_t& answer) {
  request r(io_code::futex_wait);
  r.waits_for_futex(&word, 0, futex_scope::process_private);
  answer = co_await r;
}
TEST_F(driver_beside_test, a_futex_waits_in_the_ring) {
  std::uint32_t word = 0;
  std::int64_t answer = unanswered;
  auto handle = jobs().spawn(wait_for_word, std::ref(word), std::ref(answer));
  jobs().settle();
  EXPECT_EQ(rings_made(), 1);
  while (os::futex_wake_at(&word, 1, futex_scope::process_private) == 0) jobs().settle();
  jobs().run();
  EXPECT_EQ(answer, io_operation::answer_futex_woken);
}

// Only a descriptor was missing: the pool has the files until there is one.
TEST_F(driver_beside_test, a_ring_that_found_no_descriptor_is_made_when_there_is_one) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 0;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const bool without = does(os::file_code::read);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_FALSE(without);
  const std::int64_t limit = os::monotonic_ns() + 20'000'000'000;
  while (!does(os::file_code::read) && os::monotonic_ns() < limit) std::this_thread::yield();
  EXPECT_EQ(rings_made(), 1);
}

// --- What the system refuses: each in a child process under a filter

/// From now on these calls answer `error`.
bool deny(std::initializer_list<unsigned> calls, unsigned error) {
  for (const unsigned call : calls) {
    sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{sizeof rules / sizeof rules[0], rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
      return false;
    }
  }
  return true;
}
constexpr int cannot_filter = 77;

template <class F>
void expect_in_child(F check) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    ::alarm(60);
    _exit(check());
  }
  int status = -1;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  if (WEXITSTATUS(status) == cannot_filter) GTEST_SKIP() << "seccomp filters are refused here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(driver_beside_test, a_look_that_can_find_nothing_asks_epoll_nothing) {
  expect_in_child([] {
    auto d = std::move(*epoll_driver::make(few_entries));
    loop jobs(*d);
    if (!deny({__NR_epoll_wait, __NR_epoll_pwait, __NR_epoll_pwait2}, EPERM)) return cannot_filter;
    for (int i = 0; i < 100; ++i) d->wait(0);  // a refusal would be an assertion
    blocking_pipe file;
    char byte[1];
    std::int64_t answer = unanswered;
    auto handle = jobs.spawn(read_once, std::cref(file.out), std::span(byte), std::ref(answer));
    jobs.settle();
    if (answer != unanswered || d->idle()) return 2;
    file.put("x");
    while (answer == unanswered) jobs.settle();
    return answer == 1 && d->idle() ? 0 : 3;
  });
}

TEST_F(driver_beside_test, memory_that_is_missing_now_is_no_refusal_for_ever) {
  expect_in_child([] {
    if (!deny({__NR_io_uring_enter}, EAGAIN)) return cannot_filter;
    uring_refusal refusal;
    if (uring_driver::works(refusal)) return 2;
    return refusal.stage == uring_stage::round_trip && refusal.error == EAGAIN ? 0 : 3;
  });
}

// --- A ring that stays on one thread

TEST_F(driver_beside_test, where_no_other_ring_can_be_had_the_one_there_is_stays) {
  for (const unsigned error : {EINVAL, EMFILE}) {
    expect_in_child([error] {
      uring_refusal refusal;
      auto d = uring_driver::make(few_entries, refusal);
      loop jobs(*d);
      if (!deny({__NR_io_uring_setup, __NR_io_uring_register}, error)) return cannot_filter;
      d->stay_on_one_thread();
      socket_pair p = connected_pair();
      io_handle h = std::move(*d->attach(std::move(p.ours)));
      char bytes[4];
      std::int64_t answer = unanswered;
      auto handle = jobs.spawn(receive_once, std::ref(h), std::span(bytes), std::ref(answer));
      jobs.settle();
      put(p.theirs, "abc");
      jobs.run();
      return answer == 3 ? 0 : 2;
    });
  }
}

TEST_F(driver_beside_test, its_ring_lets_no_other_thread_in) {
  uring_refusal refusal;
  auto d = uring_driver::make(few_entries, refusal);
  ASSERT_TRUE(d);
  const auto error_of_another = [&d] {
    int error = 0;
    std::thread([&] {
      errno = 0;
      static_cast<void>(::syscall(__NR_io_uring_enter, d->descriptor(), 0, 0,
                                  IORING_ENTER_GETEVENTS, nullptr, 0));
      error = errno;
    }).join();
    return error;
  };
  EXPECT_EQ(error_of_another(), 0);
  d->stay_on_one_thread();
  if (ring tied; !tied.open(few_entries, refusal, ring_ties::one_thread)) {
    GTEST_SKIP() << "this kernel has no such rings, errno " << refusal.error;
  }
  EXPECT_EQ(error_of_another(), EEXIST);
}

TEST_F(driver_beside_test, where_the_ring_is_refused_later_the_pool_has_the_files) {
  for (const unsigned call : {__NR_io_uring_setup, __NR_io_uring_enter, __NR_epoll_ctl}) {
    expect_in_child([call] {
      auto d = std::move(*epoll_driver::make(few_entries));
      loop jobs(*d);
      const int before = rings();
      if (!deny({call}, ENOMEM)) return cannot_filter;
      if (d->does_file(os::file_code::read)) return 2;
      if (rings() != before) return 3;
      d->wake();
      return d->wait(never_ns) == 0 && d->idle() ? 0 : 4;
    });
  }
}

}  // namespace
}  // namespace weft::io::test
