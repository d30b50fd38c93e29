// Which CPUs workers get, on machines of our own making.
#include "weft/runtime/pin_plan.hpp"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "weft/runtime/placement.hpp"

namespace weft::detail {
namespace {

/// `nodes` nodes of `cores` cores of two CPUs; siblings are nodes * cores apart.
os::topology machine(unsigned nodes, unsigned cores) {
  os::topology t;
  for (unsigned cpu = 0; cpu < 2 * nodes * cores; ++cpu) {
    const unsigned core = cpu % (nodes * cores);
    t.cpus.push_back({cpu, core, core / cores, core / cores});
  }
  return t;
}

std::vector<unsigned> cpus_of(const pin_plan& plan) {
  std::vector<unsigned> cpus;
  for (const auto& w : plan.workers) {
    EXPECT_EQ(w.cpus.size(), 1u);
    cpus.push_back(w.cpus.front());
  }
  return cpus;
}
std::vector<unsigned> nodes_of(const pin_plan& plan) {
  std::vector<unsigned> nodes;
  for (const auto& w : plan.workers) nodes.push_back(w.node);
  return nodes;
}
using numbers = std::vector<unsigned>;

TEST(pin_plan, none_pins_nobody) {
  EXPECT_TRUE(plan_pins(machine(2, 2), pinning::none, 4).workers.empty());
}

TEST(pin_plan, cores_come_before_their_second_threads_and_node_after_node) {
  const auto plan = plan_pins(machine(2, 2), pinning::cores, 8);
  EXPECT_EQ(cpus_of(plan), (numbers{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(nodes_of(plan), (numbers{0, 0, 1, 1, 0, 0, 1, 1}));
  EXPECT_FALSE(plan.crowded);
  // The same machine numbered as others are: siblings side by side.
  os::topology other = machine(2, 2);
  for (auto& c : other.cpus) c.core = c.cpu / 2 * 2, c.node = c.package = c.cpu / 4;
  EXPECT_EQ(cpus_of(plan_pins(other, pinning::cores, 8)), (numbers{0, 2, 4, 6, 1, 3, 5, 7}));
}

TEST(pin_plan, a_masked_sibling_makes_the_other_one_its_core) {
  os::topology t;
  t.cpus = {{2, 2, 0, 0}, {4, 0, 0, 0}, {6, 2, 0, 0}};
  EXPECT_EQ(cpus_of(plan_pins(t, pinning::cores, 3)), (numbers{2, 4, 6}));
}

TEST(pin_plan, more_workers_than_cpus_begin_again_and_it_is_told) {
  const auto plan = plan_pins(machine(1, 1), pinning::cores, 5);
  EXPECT_EQ(cpus_of(plan), (numbers{0, 1, 0, 1, 0}));
  EXPECT_TRUE(plan.crowded);
  const auto numa = plan_pins(machine(2, 1), pinning::numa, 6);
  EXPECT_EQ(nodes_of(numa), (numbers{0, 1, 0, 1, 0, 1}));
  EXPECT_TRUE(numa.crowded);
}

TEST(pin_plan, a_place_does_not_depend_on_who_follows) {
  for (const auto how : {pinning::cores, pinning::numa}) {
    const auto whole = plan_pins(machine(3, 4), how, 30);
    for (unsigned workers = 1; workers < 30; ++workers) {
      const auto part = plan_pins(machine(3, 4), how, workers);
      ASSERT_EQ(part.workers.size(), workers);
      for (unsigned i = 0; i < workers; ++i) EXPECT_EQ(part.workers[i], whole.workers[i]);
    }
  }
}

TEST(pin_plan, numa_gives_all_cpus_of_a_node_and_nodes_in_proportion) {
  os::topology t;  // six CPUs on node 1, two on node 4
  for (unsigned cpu = 0; cpu < 6; ++cpu) t.cpus.push_back({cpu, cpu, 0, 1});
  for (unsigned cpu = 6; cpu < 8; ++cpu) t.cpus.push_back({cpu, cpu, 0, 4});
  const auto plan = plan_pins(t, pinning::numa, 8);
  EXPECT_EQ(plan.workers[0].cpus, (numbers{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(nodes_of(plan), (numbers{1, 1, 1, 4, 1, 1, 1, 4}));
  EXPECT_EQ(plan.workers[3].cpus, (numbers{6, 7}));
  EXPECT_EQ(nodes_of(plan_pins(t, pinning::numa, 4)), (numbers{1, 1, 1, 4}));
}

TEST(victim_order, has_each_worker_once_and_the_own_node_first) {
  const auto plan = plan_pins(machine(2, 2), pinning::cores, 7);  // 0, 1, 4, 5 and 2, 3, 6
  for (const unsigned node : {0u, 1u}) {
    const victim_order order(plan, 7, node);
    for (unsigned begin = 0; begin < 7; ++begin) {
      std::map<unsigned, unsigned> seen;
      const unsigned near = node == 0 ? 4 : 3;
      for (unsigned i = 0; i < 7; ++i) {
        const unsigned w = order.at(begin, i);
        ++seen[w];
        EXPECT_EQ(plan.workers[w].node == node, i < near) << begin << " " << i;
      }
      EXPECT_EQ(seen.size(), 7u);
    }
  }
}

TEST(victim_order, is_one_round_without_pinning) {
  const victim_order order({}, 3, 0);
  numbers round;
  for (unsigned i = 0; i < 3; ++i) round.push_back(order.at(2, i));
  EXPECT_EQ(round, (numbers{2, 0, 1}));
}

}  // namespace
}  // namespace weft::detail
