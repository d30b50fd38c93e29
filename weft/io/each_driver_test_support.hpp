// The fixture of what is promised of every driver: each test runs once on each of them.
#pragma once

#include <barrier>
#include <memory>
#include <string>
#include <thread>

#include "weft/io/driver_epoll.hpp"
#include "weft/io/driver_poll.hpp"
#include "weft/io/driver_test_support.hpp"
#include "weft/io/driver_uring.hpp"
#include "weft/os/file_call.hpp"

namespace weft::io::test {

struct kind {
  const char* name;
  driver_kind what;
  unsigned entries = 0;  // of a ring, which automatic has beside epoll
  unsigned buffers = 0;  // that it lends
  bool one_thread = false;
};
inline constexpr kind kinds[] = {{"epoll", driver_kind::epoll},
                                 {"epoll_beside_a_ring", driver_kind::automatic, 8},
                                 {"io_uring", driver_kind::io_uring, 256, 64},
                                 {"io_uring_of_8", driver_kind::io_uring, 8, 1},
                                 {"io_uring_without_buffers", driver_kind::io_uring, 256, 0},
                                 {"io_uring_of_one_thread", driver_kind::io_uring, 256, 64, true},
                                 {"poll", driver_kind::poll}};

class driver_test : public ::testing::TestWithParam<kind> {
 protected:
  void SetUp() override {
    if (GetParam().what == driver_kind::epoll) {
      auto made = epoll_driver::make();
      ASSERT_TRUE(made);
      driver_ = std::move(*made);
    } else if (GetParam().what == driver_kind::automatic) {
      auto made = epoll_driver::make(GetParam().entries);
      ASSERT_TRUE(made);
      driver_ = std::move(*made);  // the ring is there from the start
      if (!driver_->does_file(os::file_code::read)) GTEST_SKIP() << "io_uring is refused here";
    } else if (GetParam().what == driver_kind::poll) {
      auto made = poll_driver::make();
      ASSERT_TRUE(made);
      driver_ = std::move(*made);
    } else {
      uring_refusal refusal;
      driver_ = uring_driver::make(GetParam().entries, refusal, GetParam().buffers);
      if (!driver_) GTEST_SKIP() << "io_uring is refused here, errno " << refusal.error;
    }
    if (GetParam().one_thread) driver_->stay_on_one_thread();
    loop_ = std::make_unique<loop>(*driver_);
  }
  /// Nothing may be in flight; SetUp() makes another one.
  void end_driver() {
    loop_.reset();
    driver_.reset();
  }
  loop& jobs() { return *loop_; }
  driver& io() { return *driver_; }
  io_handle attach(os::fd& fd) { return std::move(*driver_->attach(std::move(fd))); }
  io_handle attach(os::fd&& fd) { return attach(fd); }

 private:
  std::unique_ptr<driver> driver_;
  std::unique_ptr<loop> loop_;
};

inline constexpr std::int64_t unanswered = INT64_MIN + 1;

inline std::string pattern(std::size_t bytes) {
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

}  // namespace weft::io::test
