// heartbeat: jobs that sleep for a millisecond again and again, beside others that hold their
// workers for 200 ms, in four ways: how late the sleepers are. Without handing over they wait for
// the others; with it no longer than the slice and two looks of the monitor, however many are in line.
//
//   heartbeat [ROUNDS]       2 if it is not said
//
// A plain thread beats beside them on each CPU: what the machine does to those is not the runtime's doing.
#include <sched.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using ms = std::chrono::duration<double, std::milli>;

constexpr unsigned workers = 2;
constexpr auto hold = 200ms;
constexpr auto slice = 10ms;
constexpr double period_ms = 2.5;
constexpr double late_without_ms = 150;
constexpr double slack_ms = 15;

enum class hog_kind { spin, sleep, read, allocate };
constexpr const char* names[] = {"spin", "nanosleep", "read", "malloc"};

void be_stuck(hog_kind how) {
  const auto end = clock_type::now() + hold;
  switch (how) {
    case hog_kind::spin:
      while (clock_type::now() < end) {
      }
      return;
    case hog_kind::sleep: {
      timespec left{0, std::chrono::nanoseconds(hold).count()};
      while (::nanosleep(&left, &left) != 0) {
      }
      return;
    }
    case hog_kind::read: {
      const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
      const itimerspec due{{}, {0, std::chrono::nanoseconds(hold).count()}};
      std::uint64_t times = 0;
      if (timer < 0 || ::timerfd_settime(timer, 0, &due, nullptr) != 0) std::abort();
      while (::read(timer, &times, sizeof times) < 0) {
      }
      ::close(timer);
      return;
    }
    case hog_kind::allocate:
      for (std::size_t n = 1; clock_type::now() < end; n = n * 7 % 4093) {
        void* volatile p = std::malloc(n);
        std::free(p);
      }
  }
}

struct beats {
  std::vector<double> late_ms;
  double at(double part) const {
    if (late_ms.empty()) return 0;
    const auto i = static_cast<std::size_t>(part * static_cast<double>(late_ms.size()));
    return late_ms[std::min(i, late_ms.size() - 1)];
  }
};

weft::task<> heart(const std::atomic<bool>* over, beats* mine) {
  while (!over->load()) {
    const auto due = clock_type::now() + 1ms;
    co_await weft::sleep_until(due);
    mine->late_ms.push_back(ms(clock_type::now() - due).count());
  }
}

weft::task<> rounds_of_hogs(hog_kind how, int hogs, int rounds) {
  for (int r = 0; r < rounds; ++r) {
    std::vector<weft::join_handle<>> stuck;
    for (int i = 0; i < hogs; ++i) stuck.push_back(weft::spawn(be_stuck, how));
    for (auto& s : stuck) co_await s;
    co_await weft::sleep_for(50ms);
  }
}

std::vector<int> usable_cpus() {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  if (::sched_getaffinity(0, sizeof mine, &mine) != 0) std::abort();
  std::vector<int> all;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &mine)) all.push_back(cpu);
  }
  return all;
}

/// A thread that sleeps for a millisecond again and again on one CPU, until `over`.
class plain_heart {
 public:
  plain_heart(int cpu, const std::atomic<bool>& over)
      : beating_(std::async(std::launch::async, [cpu, &over] {
          cpu_set_t one;
          CPU_ZERO(&one);
          CPU_SET(cpu, &one);
          if (::sched_setaffinity(0, sizeof one, &one) != 0) std::abort();
          double latest_ms = 0;
          while (!over) {
            const auto due = clock_type::now() + 1ms;
            std::this_thread::sleep_until(due);
            latest_ms = std::max(latest_ms, ms(clock_type::now() - due).count());
          }
          return latest_ms;
        })) {}

  /// Waits for its end.
  double latest_ms() { return beating_.get(); }

 private:
  std::future<double> beating_;
};

struct result {
  beats all;
  double machine_ms = 0;  // how late a plain thread was at worst
  weft::metrics_snapshot metrics;
};

result measure(hog_kind how, int hogs, int rounds, std::chrono::milliseconds preempt_after) {
  result r;
  std::atomic<bool> over{false};
  // One on each CPU: a machine that others share takes away one at a time, and who may choose sleeps on another.
  std::vector<plain_heart> beside;
  for (const int cpu : usable_cpus()) beside.emplace_back(cpu, over);
  {
    weft::runtime rt({.workers = workers, .preempt_after = preempt_after, .report_stuck = false});
    std::vector<beats> each(4);
    std::vector<weft::join_handle<>> hearts;
    for (auto& b : each) hearts.push_back(rt.spawn(heart, &over, &b));
    rt.block_on(rounds_of_hogs(how, hogs, rounds));
    over = true;
    for (auto& h : hearts) rt.block_on(h);
    r.metrics = rt.metrics();
    for (const auto& b : each) {
      r.all.late_ms.insert(r.all.late_ms.end(), b.late_ms.begin(), b.late_ms.end());
    }
  }
  for (auto& b : beside) r.machine_ms = std::max(r.machine_ms, b.latest_ms());
  std::sort(r.all.late_ms.begin(), r.all.late_ms.end());
  return r;
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 2;
  int wrong = 0;
  std::printf("%-10s %5s %8s | %6s %7s %7s %7s %7s | %8s %8s\n", "hog", "hogs", "handoff", "beats",
              "p50 ms", "p99", "p99.9", "max", "machine", "handoffs");
  const auto row = [&](hog_kind how, int hogs, bool on) {
    const result r = measure(how, hogs, rounds, on ? slice : 0ms);
    std::printf("%-10s %5d %8s | %6zu %7.2f %7.2f %7.2f %7.2f | %8.2f %8llu\n",
                names[static_cast<int>(how)], hogs, on ? "on" : "off", r.all.late_ms.size(),
                r.all.at(0.5), r.all.at(0.99), r.all.at(0.999), r.all.at(1), r.machine_ms,
                static_cast<unsigned long long>(r.metrics.handoffs));
    // However many begin together: what is woken has its turn before those in line.
    const double allowed = ms(slice).count() + 2 * period_ms + slack_ms + 2 * r.machine_ms;
    if (on && r.all.at(0.999) > allowed) {
      std::printf("  WRONG: p99.9 was to be no more than %.1f ms\n", allowed);
      ++wrong;
    }
    // Only who waits for a job's end is so late: without handing over somebody, with it nobody.
    if ((r.all.at(1) >= late_without_ms) == on) {
      std::printf("  WRONG: %s was to be %.0f ms late, or more\n", on ? "no beat" : "a beat",
                  late_without_ms);
      ++wrong;
    }
    std::fflush(stdout);
  };
  for (const auto how : {hog_kind::spin, hog_kind::sleep, hog_kind::read, hog_kind::allocate}) {
    row(how, workers, false);
    row(how, workers, true);
    row(how, 4 * static_cast<int>(workers), true);
  }
  return wrong == 0 ? 0 : 1;
}
