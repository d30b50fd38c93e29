// topology on machines of our own making, each a folder.
#include "weft/os/topology.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "weft/os/affinity.hpp"
#include "weft/os/thread.hpp"

namespace weft::os {
namespace {

using places = std::vector<cpu_place>;

class os_topology : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "weft_topology_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void file(const std::string& path, const std::string& text) {
    const std::filesystem::path p(root_ + "/sys/devices/system/" + path);
    std::filesystem::create_directories(p.parent_path());
    std::ofstream(p) << text << "\n";
  }
  void cpu(unsigned number, const std::string& siblings, const std::string& package) {
    const std::string folder = "cpu/cpu" + std::to_string(number) + "/topology/";
    file(folder + "core_cpus_list", siblings);
    file(folder + "physical_package_id", package);
  }
  /// Two packages, each a node, of two cores with two CPUs; siblings are four apart, as on many machines.
  void two_nodes() {
    file("cpu/online", "0-7");
    file("node/online", "0-1");
    file("node/node0/cpulist", "0-1,4-5");
    file("node/node1/cpulist", "2-3,6-7");
    for (unsigned c = 0; c < 8; ++c) {
      const unsigned core = c % 4;
      cpu(c, std::to_string(core) + "," + std::to_string(core + 4), core < 2 ? "0" : "1");
    }
  }
  places read(std::vector<unsigned> allowed) { return read_topology(root_.c_str(), allowed).cpus; }

  std::string root_;
};

TEST_F(os_topology, tells_siblings_packages_and_nodes_apart) {
  two_nodes();
  EXPECT_EQ(read({0, 1, 2, 3, 4, 5, 6, 7}), (places{{0, 0, 0, 0},
                                                    {1, 1, 0, 0},
                                                    {2, 2, 1, 1},
                                                    {3, 3, 1, 1},
                                                    {4, 0, 0, 0},
                                                    {5, 1, 0, 0},
                                                    {6, 2, 1, 1},
                                                    {7, 3, 1, 1}}));
}

TEST_F(os_topology, shows_only_what_the_mask_allows) {
  two_nodes();
  // A core keeps its number though the CPU that it is named for is not in the mask.
  EXPECT_EQ(read({6, 4}), (places{{4, 0, 0, 0}, {6, 2, 1, 1}}));
}

TEST_F(os_topology, leaves_out_what_is_offline) {
  two_nodes();
  file("cpu/online", "0,2-7");
  EXPECT_EQ(read({0, 1, 2}), (places{{0, 0, 0, 0}, {2, 2, 1, 1}}));
}

TEST_F(os_topology, numbers_may_have_holes) {
  file("cpu/online", "3,64-65,500");
  file("node/online", "2,7");
  file("node/node2/cpulist", "3,500");
  file("node/node7/cpulist", "64-65");
  cpu(3, "3", "0");
  cpu(64, "64-65", "36");
  cpu(65, "64-65", "36");
  cpu(500, "500", "0");
  EXPECT_EQ(read({3, 64, 65, 500}),
            (places{{3, 3, 0, 2}, {64, 64, 36, 7}, {65, 64, 36, 7}, {500, 500, 0, 2}}));
}

TEST_F(os_topology, reads_the_older_name_of_the_siblings) {
  file("cpu/cpu0/topology/thread_siblings_list", "0-1");
  file("cpu/cpu1/topology/thread_siblings_list", "0-1");
  EXPECT_EQ(read({0, 1}), (places{{0, 0, 0, 0}, {1, 0, 0, 0}}));
}

TEST_F(os_topology, nothing_to_read_is_one_flat_node) {
  EXPECT_EQ(read({0, 5, 9}), (places{{0, 0, 0, 0}, {5, 5, 0, 0}, {9, 9, 0, 0}}));
}

TEST_F(os_topology, is_never_empty) {
  EXPECT_EQ(read({}), (places{{0, 0, 0, 0}}));
  file("cpu/online", "7");  // none that is allowed: then it is wrong
  EXPECT_EQ(read({1, 1}), (places{{1, 1, 0, 0}}));
}

TEST_F(os_topology, nonsense_is_left_out_of_account) {
  const std::string commas(70'000, ',');
  for (const std::string& text :
       {std::string(""), std::string("x"), std::string("-1"), std::string("1-"), std::string("3-1"),
        std::string("0-1,,2"), std::string("0;1"), std::string("99999999999999999999"),
        std::string("0-4294967295"), std::string(1, '\0'), commas}) {
    SCOPED_TRACE(text.substr(0, 30));
    file("cpu/online", text);
    file("node/online", text);
    file("node/node0/cpulist", text);
    cpu(0, text, text);
    cpu(1, text, text);
    EXPECT_EQ(read({0, 1}), (places{{0, 0, 0, 0}, {1, 1, 0, 0}}));
  }
  // A list that is right, but of others: the node is the first that is named.
  file("node/online", "3-4");
  file("node/node3/cpulist", "80");
  cpu(0, "1", "0");
  EXPECT_EQ(read({0}), (places{{0, 0, 0, 3}}));
  // More nodes than there can be, none of them with a file.
  file("node/online", "0-1048575");
  EXPECT_EQ(read({0}), (places{{0, 0, 0, 0}}));
}

TEST_F(os_topology, of_this_machine_has_the_cpus_of_the_mask) {
  const auto allowed = allowed_cpus();
  EXPECT_EQ(allowed.size(), cpus_allowed());
  const auto found = current_topology().cpus;
  ASSERT_EQ(found.size(), allowed.size());
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i].cpu, allowed[i]);
}

TEST(os_affinity_of_several, a_thread_keeps_to_the_cpus_it_was_given) {
  auto started = thread::start(
      "pinned", 0,
      [](void*) {
        const auto before = allowed_cpus();
        ASSERT_FALSE(before.empty());
        const std::vector<unsigned> one{before.back()};
        EXPECT_TRUE(pin_current_thread(one));
        EXPECT_EQ(allowed_cpus(), one);
        EXPECT_TRUE(pin_current_thread(before));
        EXPECT_EQ(allowed_cpus(), before);
        EXPECT_FALSE(pin_current_thread(std::span<const unsigned>()));
        EXPECT_EQ(allowed_cpus(), before);
      },
      nullptr);
  ASSERT_TRUE(started);
  started->join();
}

}  // namespace
}  // namespace weft::os
