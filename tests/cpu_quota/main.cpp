// cpu_quota: a runtime in a control group of its own, whose CPU quota goes from two CPUs to one and back:
// half of the workers sit out meanwhile, and come back. A program of its own: it moves its process into
// the group.
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "weft/weft.hpp"

namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

constexpr int skipped = 77;       // CTest shows it as that
constexpr auto follow_max = 30s;  // a quota is asked for once a second
constexpr int period_us = 100'000;
constexpr int jobs_max = 2'000;

bool write(const fs::path& file, std::string_view text) {
  std::ofstream to(file);
  to << text << std::flush;
  return static_cast<bool>(to);
}

/// What this process is in, of that line of /proc/self/cgroup.
std::optional<std::string> own_group(std::string_view controllers) {
  std::ifstream lines("/proc/self/cgroup");  // "0::/a/b", "4:cpu,cpuacct:/a/b"
  for (std::string line; std::getline(lines, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string all = line.substr(first + 1, second - first - 1);
    const bool here =
        controllers.empty() ? all.empty() : ("," + all + ",").find(",cpu,") != std::string::npos;
    if (here) return line.substr(second + 1);
  }
  return std::nullopt;
}

/// A group with this process alone, while it lives.
class group {
 public:
  static std::optional<group> make(std::string& why_not) {
    const std::string name = "weft_cpu_quota_" + std::to_string(::getpid());
    if (const auto own = own_group("cpu")) {
      const fs::path home = "/sys/fs/cgroup/cpu" + *own;
      return enter(home, home / name, false, why_not);
    }
    if (const auto own = own_group("")) {
      // A group has processes or groups below it: so beside the own one.
      const fs::path home = "/sys/fs/cgroup" + *own;
      return enter(home, (*own == "/" ? home : home.parent_path()) / name, true, why_not);
    }
    why_not = "the system has no control groups for CPUs";
    return std::nullopt;
  }
  group(group&& other) noexcept
      : home_(std::move(other.home_)), own_(std::exchange(other.own_, {})), is_v2_(other.is_v2_) {}
  ~group() {
    if (own_.empty()) return;
    write(home_ / "cgroup.procs", std::to_string(::getpid()));
    std::error_code ignored;
    fs::remove(own_, ignored);
  }
  bool grant(int cpus) const {
    const std::string quota = std::to_string(cpus * period_us);
    if (is_v2_) return write(own_ / "cpu.max", quota + " " + std::to_string(period_us));
    return write(own_ / "cpu.cfs_period_us", std::to_string(period_us)) &&
           write(own_ / "cpu.cfs_quota_us", quota);
  }

 private:
  static std::optional<group> enter(const fs::path& home, const fs::path& own, bool is_v2,
                                    std::string& why_not) {
    std::error_code failed;
    if (!fs::create_directory(own, failed)) {
      why_not = "no control group can be made here: " + failed.message();
      return std::nullopt;
    }
    group made(home, own, is_v2);
    if (!made.grant(2) || !write(own / "cgroup.procs", std::to_string(::getpid()))) {
      why_not = "a control group that was made takes no CPU quota, or not this process";
      return std::nullopt;
    }
    return made;
  }
  group(fs::path home, fs::path own, bool is_v2)
      : home_(std::move(home)), own_(std::move(own)), is_v2_(is_v2) {}
  fs::path home_, own_;
  bool is_v2_;
};

bool failed = false;
void expect(bool good, const char* what) {
  std::printf("%s: %s\n", good ? "ok" : "FAILED", what);
  std::fflush(stdout);
  failed = failed || !good;
}

weft::task<unsigned> where() {
  co_await weft::yield_now();
  co_return weft::this_task::worker();
}

/// Whether so many take part, and the others sit out, before long. There is work meanwhile.
weft::task<bool> comes_to(unsigned active, unsigned benched) {
  const auto end = std::chrono::steady_clock::now() + follow_max;
  while (std::chrono::steady_clock::now() < end) {
    const auto now = weft::current_metrics();
    if (now.workers_active == active && now.workers_benched == benched) co_return true;
    co_await weft::sleep_for(1ms);
  }
  co_return false;
}

/// How many workers ran them. Stops at `enough`.
weft::task<unsigned> workers_at_work(unsigned workers, unsigned enough) {
  std::vector<bool> seen(workers, false);
  unsigned count = 0;
  for (int i = 0; i < jobs_max && count < enough; ++i) {
    std::vector<weft::join_handle<unsigned>> jobs;
    for (int k = 0; k < 64; ++k) jobs.push_back(weft::spawn(where));
    for (auto& job : jobs) {
      const unsigned at = co_await job;
      if (at < workers && !seen[at]) {
        seen[at] = true;
        ++count;
      }
    }
  }
  co_return count;
}

weft::task<> follow(group& quota) {
  const unsigned workers = weft::current_metrics().workers;  // more, where there are more CPUs
  const bool begun = co_await comes_to(2, workers - 2);
  expect(begun, "of a quota of two CPUs two workers take part");
  const unsigned before = co_await workers_at_work(workers, 2);
  expect(before == 2, "both run jobs");

  expect(quota.grant(1), "the quota is one CPU now");
  const bool benched = co_await comes_to(1, workers - 1);
  expect(benched, "one of them sits out");
  const unsigned meanwhile = co_await workers_at_work(workers, 2);
  expect(meanwhile == 1, "the other one runs all jobs");

  expect(quota.grant(2), "the quota is two CPUs again");
  const bool back = co_await comes_to(2, workers - 2);
  expect(back, "both take part again");
  const unsigned after = co_await workers_at_work(workers, 2);
  expect(after == 2, "and both run jobs");
}

}  // namespace

int main() {
  if (std::thread::hardware_concurrency() < 2) {
    std::puts("cpu_quota: skipped: there is one CPU only, and nobody could sit out");
    return skipped;
  }
  std::string why_not;
  auto quota = group::make(why_not);
  if (!quota) {
    std::printf("cpu_quota: skipped: %s\n", why_not.c_str());
    return skipped;
  }
  weft::runtime rt;  // with a number of workers of the program's own it would keep to that
  rt.block_on(rt.spawn(follow, std::ref(*quota)));
  return failed ? 1 : 0;
}
