// pin_plan: which CPUs each worker keeps to. A pure function of the machine and the number of workers;
// who carries it out is placement.hpp.
//
//   cores  One CPU a worker. Node after node: the first CPU of each core of the first node, then of the
//          next one; when every core has a worker, the second CPU of each core in the same order, and so
//          on. So physical cores come before hyperthreads, which share one core's units, and few workers
//          are on few nodes: they take work from each other and share what they work on, which is
//          cheapest in one last-level cache. Who has more use for the memory bandwidth of all nodes says
//          pinning::numa
//   numa   All CPUs of one node a worker. Each further worker goes to the node that has the most CPUs
//          for each worker it would then have (D'Hondt's rule), at a tie to the lower number. As many
//          workers as CPUs: each node has exactly as many workers as CPUs
//   Both   Worker i's place does not depend on how many follow it, so workers 0 to k-1, which take part
//          when a quota allows k, are placed as if there were no others. More workers than CPUs begin
//          again from the start, evenly
//   Rejected
//     cores that alternate between the nodes: two workers of four would steal across the machine
//     numa node by node: with a quota of half the machine one node would do all the work
#pragma once

#include <cstdint>
#include <vector>

#include "weft/os/topology.hpp"
#include "weft/runtime/options.hpp"

namespace weft::detail {

struct pin_plan {
  struct place {
    std::vector<unsigned> cpus;  // the system's numbers, ascending
    unsigned node = 0;           // the system's number
    friend bool operator==(const place&, const place&) = default;
  };
  std::vector<place> workers;  // empty: nobody is pinned
  bool crowded = false;        // there are more workers than CPUs
};

/// Throws std::bad_alloc.
pin_plan plan_pins(const os::topology& machine, pinning how, unsigned workers);

}  // namespace weft::detail
