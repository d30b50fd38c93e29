#include <sched.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sstream>
#include <string>

#include "weft/os/affinity.hpp"
#include "weft/os/cgroup.hpp"
#include "weft/os/text_file.hpp"

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
  const std::string text = read_text((folder + "/cpu.max").c_str());  // "max 100000"
  char* after = nullptr;
  const double quota = std::strtod(text.c_str(), &after);
  if (after == text.c_str()) return 0;
  const double period = std::strtod(after, nullptr);
  return period > 0 ? quota / period : 0;
}

double read_v1(const std::string& folder) {
  const double quota =
      std::strtod(read_text((folder + "/cpu.cfs_quota_us").c_str()).c_str(), nullptr);
  if (quota <= 0) return 0;  // -1: no limit
  const double period =
      std::strtod(read_text((folder + "/cpu.cfs_period_us").c_str()).c_str(), nullptr);
  return period > 0 ? quota / period : 0;
}

}  // namespace

unsigned cgroup_cpu_limit(const char* root) noexcept try {
  const std::string base(root);
  const std::string mount = base + "/sys/fs/cgroup";
  double quota = 0;
  std::istringstream groups(read_text((base + "/proc/self/cgroup").c_str()));
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

namespace {

/// Calls f(bytes, mask) for the calling thread's mask. False: the system does not say.
template <class F>
bool with_mask(F f) {
  // Machines with more CPUs than the fixed mask holds refuse it: then ask with a larger one.
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 4) {
    cpu_set_t* const mask = CPU_ALLOC(cpus);
    if (mask == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(cpus);
    const bool told = ::sched_getaffinity(0, bytes, mask) == 0;
    if (told) f(bytes, mask);
    CPU_FREE(mask);
    if (told) return true;
  }
  return false;
}

}  // namespace

unsigned cpus_allowed() noexcept {
  unsigned usable = 0;
  with_mask([&](std::size_t bytes, cpu_set_t* mask) {
    usable = static_cast<unsigned>(CPU_COUNT_S(bytes, mask));
  });
  return usable != 0 ? usable : 1;
}

std::vector<unsigned> allowed_cpus() {
  std::vector<unsigned> cpus;
  cpus.reserve(cpus_allowed());  // so that nothing throws while the mask is there
  with_mask([&](std::size_t bytes, cpu_set_t* mask) {
    for (unsigned cpu = 0; cpu < bytes * 8 && cpus.size() < cpus.capacity(); ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, mask)) cpus.push_back(cpu);
    }
  });
  return cpus;
}

unsigned cpus_available() noexcept {
  const unsigned usable = cpus_allowed();
  const unsigned limit = cgroup_cpu_limit("");
  return limit != 0 && limit < usable ? limit : usable;
}

bool pin_current_thread(unsigned cpu) noexcept { return pin_current_thread(std::span(&cpu, 1)); }

bool pin_current_thread(std::span<const unsigned> cpus) noexcept {
  constexpr unsigned cpus_max = 1 << 20;
  if (cpus.empty()) return false;
  const unsigned highest = *std::ranges::max_element(cpus);
  if (highest >= cpus_max) return false;
  cpu_set_t* const mask = CPU_ALLOC(highest + 1);
  if (mask == nullptr) return false;
  const std::size_t bytes = CPU_ALLOC_SIZE(highest + 1);
  CPU_ZERO_S(bytes, mask);
  for (const unsigned cpu : cpus) CPU_SET_S(cpu, bytes, mask);
  const bool agreed = ::sched_setaffinity(0, bytes, mask) == 0;
  CPU_FREE(mask);
  return agreed;
}

}  // namespace weft::os
