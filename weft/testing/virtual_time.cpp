#include "weft/testing/virtual_time.hpp"

#include <cstdlib>

#include "weft/base/atomic.hpp"
#include "weft/base/time.hpp"
#include "weft/runtime/environment.hpp"
#include "weft/together/select_group.hpp"

namespace weft::testing {
namespace {

/// What select chooses by is the thread's, not the runtime's.
task<> seed_choices(std::uint64_t seed) {
  detail::seed_select_random(seed);
  co_return;
}

}  // namespace

class virtual_runtime::world final : public detail::environment {
 public:
  explicit world(virtual_options options) noexcept
      : options_(options), now_ns_(options.start.count()) {}

  std::int64_t now_ns() noexcept override { return now_ns_.load(order::acquire); }
  bool skip_to(std::int64_t deadline_ns) noexcept override {
    if (driven_.load(order::acquire) == 0) return false;
    if (deadline_ns == never_ns) return false;  // nothing to skip to: sleep until woken
    if (deadline_ns > now_ns()) now_ns_.store(deadline_ns, order::release);
    return true;
  }
  bool is_virtual() const noexcept override { return true; }
  std::uint64_t seed() noexcept override { return options_.seed; }
  result<std::unique_ptr<io::driver>> make_driver(driver, std::string_view* why) noexcept override {
    auto& machine = detail::real_environment();
    if (options_.io.has_value()) return machine.make_driver(*options_.io, why);
    const char* const forced = std::getenv("WEFT_DRIVER");
    if (forced == nullptr || *forced == '\0') {
      auto ring = machine.make_driver(driver::io_uring, why);
      if (ring) return ring;
    }
    return machine.make_driver(driver::automatic, why);
  }
  const virtual_options& options() const noexcept { return options_; }
  void drive(int by) noexcept { driven_.fetch_add(by, order::acq_rel); }

 private:
  atomic<int> driven_{0};
  const virtual_options options_;
  atomic<std::int64_t> now_ns_;
};

virtual_runtime::virtual_runtime(virtual_options options)
    : world_(std::make_unique<world>(options)),
      rt_(std::make_unique<runtime>(
          runtime_options{.workers = 1, .mode = options.mode, .name = "virtual"}, *world_)) {
  rt_->block_on(seed_choices(options.seed));  // on the thread that runs all jobs
}

virtual_runtime::~virtual_runtime() {
  world_->drive(1);  // what the jobs do at their end may take time
  rt_.reset();
}

virtual_runtime::ticking::ticking(world& w) noexcept : world_(w) { world_.drive(1); }
virtual_runtime::ticking::~ticking() { world_.drive(-1); }

std::chrono::nanoseconds virtual_runtime::elapsed() const noexcept {
  return std::chrono::nanoseconds(world_->now_ns()) - world_->options().start;
}

}  // namespace weft::testing
