#include "weft/runtime/pin_plan.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace weft::detail {
namespace {

using place = pin_plan::place;

/// Every CPU once, in the order in which workers come to have them.
std::vector<place> by_cores(const os::topology& machine) {
  struct seat {
    unsigned sibling;  // how many CPUs of its core come before it
    os::cpu_place at;
  };
  std::vector<seat> seats;
  std::map<unsigned, unsigned> seen;  // CPUs of a core so far
  for (const os::cpu_place& c : machine.cpus) seats.push_back({seen[c.core]++, c});
  std::ranges::sort(seats, {}, [](const seat& s) {
    return std::tuple(s.sibling, s.at.node, s.at.package, s.at.cpu);
  });
  std::vector<place> order;
  for (const seat& s : seats) order.push_back({{s.at.cpu}, s.at.node});
  return order;
}

/// A node as many times as it has CPUs.
std::vector<place> by_nodes(const os::topology& machine) {
  struct node {
    place whole;
    std::size_t workers = 0;
  };
  std::map<unsigned, node> nodes;
  for (const os::cpu_place& c : machine.cpus) {
    node& n = nodes[c.node];
    n.whole.node = c.node;
    n.whole.cpus.push_back(c.cpu);
  }
  std::vector<place> order;
  while (order.size() < machine.cpus.size()) {
    node* most = nullptr;
    for (auto& [number, n] : nodes) {
      // CPUs for each worker, one more than now: a fraction, compared without dividing.
      if (most == nullptr ||
          n.whole.cpus.size() * (most->workers + 1) > most->whole.cpus.size() * (n.workers + 1)) {
        most = &n;
      }
    }
    ++most->workers;
    order.push_back(most->whole);
  }
  return order;
}

}  // namespace

pin_plan plan_pins(const os::topology& machine, pinning how, unsigned workers) {
  pin_plan plan;
  if (how == pinning::none || machine.cpus.empty()) return plan;
  const auto order = how == pinning::cores ? by_cores(machine) : by_nodes(machine);
  for (unsigned i = 0; i < workers; ++i) plan.workers.push_back(order[i % order.size()]);
  plan.crowded = workers > order.size();
  return plan;
}

}  // namespace weft::detail
