// The counter of a retry_budget under all schedules.
#include "weft/together/retry_budget.hpp"

#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

WEFT_MODEL_TEST(retry_budget, nothing_is_spent_twice_or_lost,
                model::kills("retry_budget.take.blind")) {
  retry_budget budget(0, 2);
  atomic<int> spent(0);
  for (int i = 0; i < 2; ++i) {
    model.thread("retries", [&] {
      if (budget.take_retry()) spent.fetch_add(1, order::relaxed);
    });
  }
  model.thread("stopped", [&] {
    if (budget.take_retry()) budget.give_back();
  });
  model.run();
  const int left = static_cast<int>(budget.retries_left());
  model.check(left + spent.load(order::relaxed) == 2, "each is there, or was spent once");
}

}  // namespace
}  // namespace weft
