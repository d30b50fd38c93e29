#include "weft/runtime/registry.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"

namespace weft::detail {
namespace {

class toy_home final : public scheduler {
 public:
  void schedule(job&, wake_kind) noexcept override {}
};
struct toy_job final : job {
  explicit toy_job(toy_home& home) noexcept : job(home, idle_kind) {}
};

constexpr std::size_t one_mib = std::size_t{1} << 20;

class registry_memory : public ::testing::Test {
 protected:
  void make(std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      made_.push_back(std::make_unique<toy_job>(home_));
      // Two workers in turns, as after a steal: jobs of one slab are in both shards.
      jobs.add(jobs.of(i / 50 % 2), *made_.back());
    }
  }
  void mix() {
    rng random(test_support::seed());
    for (std::size_t i = made_.size(); i > 1; --i) {
      std::swap(made_[i - 1], made_[random.below(static_cast<std::uint32_t>(i))]);
    }
  }
  void end(std::size_t n) {
    for (; n > 0; --n) {
      jobs.remove(jobs.of(n % 3 == 0), *made_.back());
      made_.pop_back();
    }
  }
  std::set<job*> listed() {
    std::set<job*> all;
    jobs.each([&](job& j) { all.insert(&j); });
    return all;
  }
  std::set<job*> expected() const {
    std::set<job*> all;
    for (const auto& j : made_) all.insert(j.get());
    return all;
  }

  toy_home home_;
  registry jobs{2, false};
  std::vector<std::unique_ptr<toy_job>> made_;
};

TEST_F(registry_memory, goes_back_when_jobs_are_gone_in_the_order_of_their_making) {
  make(500'000);
  EXPECT_GE(jobs.memory_bytes(), 500'000 * 8u);
  std::reverse(made_.begin(), made_.end());
  end(500'000);
  EXPECT_LE(jobs.memory_bytes(), 2 * one_mib);
}

TEST_F(registry_memory, goes_back_when_jobs_are_gone_in_any_order_and_workers_are_idle) {
  make(300'000);
  mix();
  end(300'000);
  jobs.trim(jobs.of(0));
  jobs.trim(jobs.of(1));
  EXPECT_LE(jobs.memory_bytes(), one_mib);
  make(1000);
  EXPECT_EQ(listed(), expected());
  end(1000);
}

TEST_F(registry_memory, jobs_that_stay_are_shown_while_slabs_come_and_go) {
  for (int round = 0; round < 5; ++round) {
    make(60'000);
    mix();
    end(59'900);
    EXPECT_EQ(listed(), expected());
  }
  make(1000);
  EXPECT_EQ(listed(), expected());
  end(made_.size());
  EXPECT_EQ(listed(), expected());
}

TEST_F(registry_memory, entries_that_came_home_are_used_again) {
  make(100'000);
  mix();
  end(50'000);
  const std::size_t before = jobs.memory_bytes();
  make(50'000);
  EXPECT_LE(jobs.memory_bytes(), before + one_mib / 8);
  end(made_.size());
}

}  // namespace
}  // namespace weft::detail
