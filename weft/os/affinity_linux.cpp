#include <sched.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>

#include "weft/os/affinity.hpp"
#include "weft/os/cgroup.hpp"

namespace weft::os {
namespace {

/// Calls f for `path` and each folder above it, down to "".
template <class F>
void upwards(std::string path, F f) {
  for (;;) {
    f(path);
    const auto slash = path.find_last_of('/');
    if (slash == std::string::npos || path.empty()) return;
    path.resize(slash);
  }
}

void tighten(double& quota, double allowed) noexcept {
  if (allowed > 0 && (quota == 0 || allowed < quota)) quota = allowed;
}

double read_v2(const std::string& folder) {
  std::ifstream file(folder + "/cpu.max");
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::strtod(quota.c_str(), nullptr) / period;
}

double read_v1(const std::string& folder) {
  std::ifstream quota_file(folder + "/cpu.cfs_quota_us");
  std::ifstream period_file(folder + "/cpu.cfs_period_us");
  double quota = -1;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0 || period <= 0) return 0;
  return quota / period;
}

}  // namespace

unsigned cgroup_cpu_limit(const char* root) noexcept try {
  const std::string base(root);
  const std::string mount = base + "/sys/fs/cgroup";
  double quota = 0;
  std::ifstream groups(base + "/proc/self/cgroup");
  std::string line;  // "0::/a/b" for v2, "4:cpu,cpuacct:/a/b" for v1
  while (std::getline(groups, line)) {
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      upwards(path, [&](const std::string& p) {
        tighten(quota, read_v2(mount + p));
        tighten(quota, read_v2(mount + "/unified" + p));  // where version 1 rules beside it
      });
    } else if (("," + controllers + ",").find(",cpu,") != std::string::npos) {
      upwards(path, [&](const std::string& p) { tighten(quota, read_v1(mount + "/cpu" + p)); });
    }
  }
  constexpr double cpus_max = 1e6;  // more is no limit, whatever the file says
  return quota < cpus_max ? static_cast<unsigned>(std::ceil(quota)) : 0;
} catch (...) {
  return 0;  // no memory for a path: the affinity mask alone is still a right answer
}

unsigned cpus_available() noexcept {
  // Machines with more CPUs than the fixed mask holds refuse it: then ask with a larger one.
  unsigned usable = 0;
  for (int cpus = 1024; cpus <= 1 << 20 && usable == 0; cpus *= 4) {
    cpu_set_t* const mask = CPU_ALLOC(cpus);
    if (mask == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    if (::sched_getaffinity(0, bytes, mask) == 0) {
      usable = static_cast<unsigned>(CPU_COUNT_S(bytes, mask));
    }
    CPU_FREE(mask);
  }
  if (usable == 0) usable = 1;
  const unsigned limit = cgroup_cpu_limit("");
  if (limit != 0 && limit < usable) usable = limit;
  return usable;
}

bool pin_current_thread(unsigned cpu) noexcept {
  constexpr unsigned cpus_max = 1 << 20;
  if (cpu >= cpus_max) return false;
  cpu_set_t* const mask = CPU_ALLOC(cpu + 1);
  if (mask == nullptr) return false;
  const std::size_t bytes = CPU_ALLOC_SIZE(cpu + 1);
  CPU_ZERO_S(bytes, mask);
  CPU_SET_S(cpu, bytes, mask);
  const bool agreed = ::sched_setaffinity(0, bytes, mask) == 0;
  CPU_FREE(mask);
  return agreed;
}

}  // namespace weft::os
