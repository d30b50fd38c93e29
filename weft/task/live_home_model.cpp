// model-sources: weft/task/live_home.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// A handle that goes while the runtime of its job does, under all schedules.
#include "weft/task/live_home.hpp"

#include "weft/task/job.hpp"
#include "weft/testing/model/model.hpp"

namespace weft::detail {
namespace {

class toy_home final : public scheduler {
 public:
  void schedule(job&, wake_kind) noexcept override {}
  void panicked(job&, std::exception_ptr) noexcept override { told.set(told.get() + 1); }
  plain<int> told{0};
};
struct toy_job final : job {
  explicit toy_job(toy_home& home) noexcept : job(home, idle_kind) {}
};

WEFT_MODEL_TEST(live_home, who_is_told_is_there,
                model::kills("live_home.visit.relaxed", "live_home.end.waits_for_nobody"),
                model::reaches("told", "gone")) {
  live_homes all;
  toy_home home;
  toy_job failed(home);
  live_home alive(home, all);
  const std::uintptr_t number = alive.number();
  model.thread("handle", [&] {
    const auto how = live_home::tell_panic(number, failed, nullptr, all);
    model.outcome(how == live_home::tell_result::told ? "told" : "gone");
  });
  model.thread("runtime", [&] {
    alive.end();
    home.told.set(-1);  // gone: whoever is still in panicked() races with this
  });
  model.run();
}

WEFT_MODEL_TEST(live_home, has_one_number, model::kills("live_home.number.unasked")) {
  live_homes all;
  toy_home home;
  toy_job failed(home);
  live_home alive(home, all);
  std::uintptr_t numbers[2] = {};
  for (auto& number : numbers) {
    model.thread("failing job", [&] { number = alive.number(); });
  }
  model.run();
  model.check(numbers[0] != 0 && numbers[0] == numbers[1], "two numbers");
  alive.end();
  const auto how = live_home::tell_panic(numbers[0], failed, nullptr, all);
  model.check(how == live_home::tell_result::gone, "it is found after its end");
}

}  // namespace
}  // namespace weft::detail
