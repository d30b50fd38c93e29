// Workers that keep to their CPUs, on the machine that there is.
#include "weft/runtime/placement.hpp"

#include <gtest/gtest.h>

#include <barrier>
#include <vector>

#include "weft/os/affinity.hpp"
#include "weft/os/clock.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/runtime.hpp"

namespace weft {
namespace {

using numbers = std::vector<unsigned>;

/// The machine, with other CPUs.
class other_cpus final : public detail::environment {
 public:
  explicit other_cpus(os::topology machine) : machine_(std::move(machine)) {}
  std::int64_t now_ns() noexcept override { return os::monotonic_ns(); }
  bool skip_to(std::int64_t) noexcept override { return false; }
  bool is_virtual() const noexcept override { return false; }
  std::uint64_t seed() noexcept override { return 1; }
  result<std::unique_ptr<io::driver>> make_driver(driver kind,
                                                  std::string_view* why) noexcept override {
    return detail::real_environment().make_driver(kind, why);
  }
  os::topology topology() override { return machine_; }

 private:
  os::topology machine_;
};

task<numbers> cpus_of_this_worker() { co_return os::allowed_cpus(); }
task<numbers> cpus_of_the_pool() {
  const auto cpus = co_await spawn_blocking([] { return os::allowed_cpus(); });
  co_return cpus;
}
/// Returns once every worker has begun to run jobs: none of these ends before all have started.
void all_begin(runtime& rt, unsigned workers) {
  std::barrier<> all(workers);
  std::vector<join_handle<void>> handles;
  for (unsigned i = 0; i < workers; ++i) {
    handles.push_back(rt.spawn([&all] { all.arrive_and_wait(); }));
  }
  const auto join = [](std::vector<join_handle<void>>& each) -> task<> {
    for (auto& h : each) co_await h;
  };
  rt.block_on(join(handles));
}

TEST(placement, without_pinning_workers_may_use_the_whole_mask) {
  runtime rt({.workers = 1});
  EXPECT_EQ(rt.block_on(cpus_of_this_worker()), os::allowed_cpus());
  EXPECT_EQ(rt.metrics().pinned_workers, 0u);
  EXPECT_EQ(rt.metrics().pinning_reason, "");
}

TEST(placement, a_worker_keeps_to_one_cpu_and_its_blocking_threads_do_not) {
  runtime rt({.workers = 1, .pin = pinning::cores});
  const auto mine = rt.block_on(cpus_of_this_worker());
  EXPECT_EQ(mine.size(), 1u);
  EXPECT_EQ(rt.block_on(cpus_of_the_pool()), os::allowed_cpus());
  EXPECT_EQ(rt.metrics().pinned_workers, 1u);
  EXPECT_EQ(rt.metrics().pinning_reason, "each worker has a place");
}

TEST(placement, a_worker_keeps_to_its_node) {
  const auto allowed = os::allowed_cpus();
  numbers larger_node = allowed;  // the last CPU is another one, if there is more than one
  if (allowed.size() > 1) larger_node.pop_back();
  os::topology two;
  for (const unsigned cpu : allowed) two.cpus.push_back({cpu, cpu, 0, 1});
  for (std::size_t i = 0; i < larger_node.size(); ++i) two.cpus[i].node = 0;
  other_cpus world(two);
  runtime rt({.workers = 1, .pin = pinning::numa}, world);
  EXPECT_EQ(rt.block_on(cpus_of_this_worker()), larger_node);
}

TEST(placement, more_workers_than_cpus_share_and_the_metrics_say_so) {
  other_cpus world({{{os::allowed_cpus().front(), 0, 0, 0}}});
  runtime rt({.workers = 3, .pin = pinning::cores}, world);
  all_begin(rt, 3);
  EXPECT_EQ(rt.metrics().pinned_workers, 3u);
  EXPECT_EQ(rt.metrics().pinning_reason, "there are more workers than CPUs: some share theirs");
}

TEST(placement, a_refusal_is_no_error) {
  other_cpus world({{{os::allowed_cpus().front(), 0, 0, 0}, {(1u << 20) - 1, 9, 0, 1}}});
  runtime rt({.workers = 2, .pin = pinning::cores}, world);
  all_begin(rt, 2);
  EXPECT_EQ(rt.metrics().pinned_workers, 1u);
  EXPECT_EQ(rt.metrics().pinning_reason, "the system refused to pin some workers");
}

}  // namespace
}  // namespace weft
