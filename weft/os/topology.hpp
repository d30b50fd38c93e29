// topology: the CPUs that a thread may use, and what they share: which of them are one core, one
// package, one NUMA node.
//
//   Errors  none. What cannot be read or makes no sense is left out of account: a CPU whose siblings
//           are unknown is a core of its own, and where no node is named there is one for all
//   Cost    three or four file reads a CPU, about 15 us each: for a program's start
//   Rejected
//     hwloc: what is wanted are three small files a CPU. It would be a dependency to find, link and
//       ship, takes tens of milliseconds to load its tree, and could not be shown a made-up machine in
//       a folder as easily. What it knows beyond (caches shared by parts of a package, distances
//       between nodes) nobody here asks for yet
//     libnuma: the same, and nodes only
#pragma once

#include <span>
#include <vector>

namespace weft::os {

/// The system's numbers; none of them need be without holes. `core` is the lowest CPU of the core, so
/// it is the only one on the machine (Linux's own core_id starts anew in each package).
struct cpu_place {
  unsigned cpu = 0;
  unsigned core = 0;
  unsigned package = 0;
  unsigned node = 0;
  friend bool operator==(const cpu_place&, const cpu_place&) = default;
};

struct topology {
  std::vector<cpu_place> cpus;  // by number, ascending; never empty
};

/// `allowed`, without those that are offline; if that leaves none, as it is. `root` stands before every
/// path that is read ("/sys/devices/system/..."): "" is the machine, a test gives a folder of its own.
/// Throws std::bad_alloc.
topology read_topology(const char* root, std::span<const unsigned> allowed);

/// Of this machine and the calling thread's affinity mask. Throws std::bad_alloc.
topology current_topology();

}  // namespace weft::os
