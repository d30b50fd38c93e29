// cgroup: how much CPU time the control groups around this process grant (version 1, 2 and both).
#pragma once

namespace weft::os {

/// The tightest CPU quota on the way from this process's group up to the root, in CPUs, rounded up;
/// 0: no limit, or none that could be read. `root` stands before every path that is read
/// ("/proc/self/cgroup", ...): "" is the machine, a test gives a folder of its own.
unsigned cgroup_cpu_limit(const char* root) noexcept;

}  // namespace weft::os
