// parker under all schedules, in both sleeping places. A lost wake is a deadlock here.
#include "weft/queue/parker.hpp"

#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

/// What a driver's wait is, to a parker: a call from outside is remembered until the wait ends.
class toy_driver {
 public:
  void wait() noexcept {
    while (pending_.exchange(0, order::relaxed) == 0)
      static_cast<void>(os::futex_wait(pending_, 0, never_ns));
  }
  void wake() noexcept {
    pending_.store(1, order::relaxed);
    os::futex_wake(pending_, 1);
  }

 private:
  atomic<std::uint32_t> pending_{0};
};

void call(parker& p, toy_driver* driver) {
  if (p.unpark() == unparked::wake_driver) driver->wake();
}

WEFT_MODEL_TEST(parker, futex_wakes_and_carries_data,
                model::kills("parker.prepare.blind", "parker.unpark.relaxed",
                             "parker.unpark.no_wake", "parker.park.relaxed",
                             "parker.prepare.relaxed")) {
  parker p;
  plain<int> data(0);
  model.thread("owner", [&] {
    p.park();
    model.check(data.get() == 1, "park returned before the call");
  });
  model.thread("caller", [&] {
    data.set(1);
    call(p, nullptr);
  });
  model.run();
}

WEFT_MODEL_TEST(parker, park_ends_only_by_a_call, model::kills("parker.park.believes_the_futex"),
                model::spurious_max(2, "two sleeps that end for nothing in a row")) {
  parker p;
  atomic<bool> called(false);
  model.thread("owner", [&] {
    p.park();
    model.check(called.load(order::relaxed), "park returned, but nobody called");
  });
  model.thread("caller", [&] {
    called.store(true, order::relaxed);
    call(p, nullptr);
  });
  model.run();
}

// A call that comes together with the deadline is either this park's or the next one's.
WEFT_MODEL_TEST(parker, deadline_loses_no_call, model::kills("parker.park.time_out_forgets"),
                model::reaches("in time", "timed out")) {
  parker p;
  plain<int> data(0);
  model.thread("owner", [&] {
    const bool called = p.park_until(1);
    model.outcome(called ? "in time" : "timed out");
    if (!called) p.park();
    model.check(data.get() == 1, "park returned before the call");
  });
  model.thread("caller", [&] {
    data.set(1);
    call(p, nullptr);
  });
  model.run();
}

WEFT_MODEL_TEST(parker, driver_is_woken_and_carries_data,
                model::kills("parker.end.relaxed", "parker.unpark.relaxed",
                             "parker.prepare.relaxed", "parker.prepare.blind",
                             "parker_model.ignores_the_driver")) {
  parker p;
  toy_driver driver;
  plain<int> data(0);
  model.thread("owner", [&] {
    if (p.prepare_park(parker::place::driver) == parking::may_sleep) {
      driver.wait();
      model.check(p.end_park(), "the wait ended, but nobody called");
    }
    model.check(data.get() == 1, "woken before the call");
  });
  model.thread("caller", [&] {
    data.set(1);
    if (p.unpark() == unparked::wake_driver && !model.mutant("parker_model.ignores_the_driver")) {
      driver.wake();
    }
  });
  model.run();
}

// The driver's wait ends by itself (a completion): the call that comes meanwhile is not lost, and
// does not have to be: the next park eats it.
WEFT_MODEL_TEST(parker, driver_ends_by_itself, model::reaches("called", "not called")) {
  parker p;
  toy_driver driver;
  bool seen = false;
  model.thread("owner", [&] {
    if (p.prepare_park(parker::place::driver) == parking::may_sleep) {
      seen = p.end_park();  // the driver had something at once
      model.outcome(seen ? "called" : "not called");
      if (!seen) p.park();  // the call is still to come, now to the other place
    }
  });
  model.thread("caller", [&] { call(p, &driver); });
  model.run();
}

// Calls may come together and count once: the owner looks at what they are about, and parks again.
WEFT_MODEL_TEST(parker, calls_may_fall_together) {
  parker p;
  plain<int> data[2];
  atomic<int> calls(0);
  model.thread("owner", [&] {
    while (calls.load(order::acquire) < 2) p.park();
    model.check(data[0].get() + data[1].get() == 2, "unreachable");
  });
  for (int i = 0; i < 2; ++i) {
    model.thread("caller", [&, i] {
      data[i].set(1);
      calls.fetch_add(1, order::release);
      call(p, nullptr);
    });
  }
  model.run();
}

}  // namespace
}  // namespace weft
