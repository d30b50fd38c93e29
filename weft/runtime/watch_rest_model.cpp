// The monitor's sleep against a worker that gets up, and the end: under all schedules it does not
// sleep on while a worker is up.
#include "weft/runtime/watch_rest.hpp"

#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

WEFT_MODEL_TEST(watch_rest, a_worker_that_gets_up_is_watched,
                model::kills("watch_rest.got_up.no_fence", "watch_rest.sleep.no_fence"),
                model::reaches("slept", "was up")) {
  detail::watch_rest rest;
  atomic<std::uint32_t> mark{1};
  model.thread("worker", [&] {
    mark.store(0, order::relaxed);
    rest.got_up();
  });
  model.thread("monitor", [&] {
    // It hangs here, which the checker sees, if nobody ends a sleep that began beside a worker that
    // is up.
    rest.sleep_while([&] {
      const bool all_rest = mark.load(order::relaxed) != 0;
      model.outcome(all_rest ? "slept" : "was up");
      return all_rest;
    });
  });
  model.run();
}

// It looks again when its time is over, and is woken all the same by who gets up at that moment.
WEFT_MODEL_TEST(watch_rest, a_sleep_whose_time_is_over_ends,
                model::reaches("time was over", "was woken")) {
  detail::watch_rest rest;
  atomic<std::uint32_t> mark{1};
  model.thread("worker", [&] {
    mark.store(0, order::relaxed);
    rest.got_up();
  });
  model.thread("monitor", [&] {
    const auto all_rest = [&] { return mark.load(order::relaxed) != 0; };
    rest.sleep_while(all_rest, 1);
    model.outcome(all_rest() ? "time was over" : "was woken");
    rest.sleep_while(all_rest);
  });
  model.run();
}

WEFT_MODEL_TEST(watch_rest, the_end_comes_through) {
  detail::watch_rest rest;
  model.thread("ends", [&] { rest.end(); });
  model.thread("worker", [&] { rest.got_up(); });
  model.thread("monitor", [&] {
    while (!rest.ended()) rest.sleep_while([] { return true; });
  });
  model.run();
}

}  // namespace
}  // namespace weft
