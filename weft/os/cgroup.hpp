// cgroup: how much CPU time the groups of this process leave it.
#pragma once

#include <string>

namespace weft::os {

/// CPUs' worth of time that the strictest group on the way up allows (v2: cpu.max, v1: cfs quota), or
/// 0 when none limits it. `proc_self_cgroup` and `mount` are given so that tests can use a tree of
/// their own.
double cgroup_cpu_quota(const std::string& proc_self_cgroup = "/proc/self/cgroup",
                        const std::string& mount = "/sys/fs/cgroup");

}  // namespace weft::os
