// timer_set: arm, cancel and fire in all orders. Each timer ends exactly once, and what fire and
// the one who cancelled do afterwards does not meet.
// model-sources: weft/timer/timer_set.cpp weft/timer/wheel.cpp
#include "weft/timer/timer_set.hpp"

#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

struct alarm final : timer_entry {
  alarm() noexcept : timer_entry(&fire) {}
  static void fire(timer_entry& e) noexcept {
    alarm& a = static_cast<alarm&>(e);
    a.frame.set(1);  // what is beside the timer is the fire's
    ++a.fires;
  }
  plain<int> frame{0};
  int fires = 0;
};

constexpr std::int64_t soon = ns_per_ms;

// The owner fires while another thread cancels.
WEFT_MODEL_TEST(timer_set, fired_or_cancelled, model::kills("timer.fired.not_marked"),
                model::reaches("fired", "cancelled")) {
  timer_set set;
  alarm a;
  model.check(set.arm(a, soon), "refused");
  bool cancelled = false;
  model.thread("owner", [&] { set.advance(soon); });
  model.thread("stopper", [&] {
    cancelled = set.cancel(a);
    if (cancelled) a.frame.set(2);  // I1: the frame is the stopper's; a race if fire comes, too
  });
  model.run();
  model.check(a.fires == (cancelled ? 0 : 1), "a timer ended twice, or not at all");
  model.outcome(cancelled ? "cancelled" : "fired");
}

// The stop comes while the timer is being armed, and the owner fires right afterwards.
WEFT_MODEL_TEST(timer_set, armed_refused_or_fired,
                model::reaches("refused", "cancelled", "fired")) {
  timer_set set;
  alarm a;
  bool armed = false;
  bool cancelled = false;
  model.thread("owner", [&] {
    a.frame.set(3);
    armed = set.arm(a, soon);
    set.advance(soon);
  });
  model.thread("stopper", [&] {
    cancelled = set.cancel(a);
    if (cancelled) a.frame.set(2);  // after what the owner wrote before arm()
  });
  model.run();
  model.check(a.fires + (cancelled ? 1 : 0) + (armed ? 0 : 1) == 1,
              "a timer ended twice, or not at all");
  model.outcome(cancelled ? "cancelled" : armed ? "fired" : "refused");
}

// Nobody fires: whichever comes second of arm and cancel learns of the other. Were the early cancel
// forgotten, the stopped job would sleep to its deadline.
WEFT_MODEL_TEST(timer_set, early_cancel_is_remembered, model::kills("timer.arm.ignores_cancel"),
                model::reaches("refused", "cancelled")) {
  timer_set set;
  alarm a;
  bool armed = false;
  bool cancelled = false;
  model.thread("owner", [&] { armed = set.arm(a, soon); });
  model.thread("stopper", [&] { cancelled = set.cancel(a); });
  model.run();
  model.check(armed == cancelled, "a cancelled timer is armed, or nobody ends it");
  model.outcome(cancelled ? "cancelled" : "refused");
}

// Two timers of one moment: taken out together, the second still says so when it is cancelled
// while the first fires.
WEFT_MODEL_TEST(timer_set, two_at_a_time, model::kills("timer.fired.not_marked")) {
  timer_set set;
  alarm first;
  alarm second;
  model.check(set.arm(first, soon) && set.arm(second, soon), "refused");
  bool cancelled = false;
  unsigned fired = 0;
  model.thread("owner", [&] { fired = set.advance(soon); });
  model.thread("stopper", [&] { cancelled = set.cancel(second); });
  model.run();
  model.check(first.fires == 1, "a neighbour's cancel kept a timer from firing");
  model.check(second.fires == (cancelled ? 0 : 1), "a timer ended twice, or not at all");
  model.check(fired == (cancelled ? 1u : 2u), "advance() miscounts");
  model.check(set.next_deadline_ns() == never_ns, "the set asks to be woken for nothing");
}

// Both are overdue, and the first one's fire cancels the second: it fires only if that one did not.
WEFT_MODEL_TEST(timer_set, a_fire_cancels_the_next_one,
                model::kills("timer.fired.not_marked", "timer.due.taken_at_once"),
                model::reaches("by the fire", "by the stopper", "fired")) {
  struct cancelling final : timer_entry {
    cancelling(timer_set& s, alarm& o) noexcept : timer_entry(&fire), set(s), other(o) {}
    static void fire(timer_entry& e) noexcept {
      auto& c = static_cast<cancelling&>(e);
      c.cancelled = c.set.cancel(c.other);
    }
    timer_set& set;
    alarm& other;
    bool cancelled = false;
  };
  timer_set set;
  alarm second;
  cancelling first(set, second);
  model.check(set.arm(second, soon) && set.arm(first, soon / 2), "refused");
  bool first_cancelled = false;
  bool second_cancelled = false;
  model.thread("owner", [&] { set.advance(soon); });
  model.thread("stopper", [&] {
    first_cancelled = set.cancel(first);
    if (!first_cancelled) second_cancelled = set.cancel(second);
  });
  model.run();
  model.check(second.fires + first.cancelled + second_cancelled == 1,
              "a timer ended twice, or not at all");
  model.check(second.fires == first_cancelled, "a fire came too late for what is due after it");
  model.outcome(first.cancelled ? "by the fire" : second_cancelled ? "by the stopper" : "fired");
}

// Another thread arms: the owner, who has seen it armed, must be told when to wake.
WEFT_MODEL_TEST(timer_set, next_deadline_is_not_too_late, model::kills("timer.next.not_told")) {
  timer_set set;
  alarm a;
  atomic<bool> told(false);
  model.thread("armer", [&] {
    model.check(set.arm(a, soon), "refused");
    told.store(true, order::release);
  });
  model.thread("owner", [&] {
    if (!told.load(order::acquire)) return;
    model.check(set.next_deadline_ns() <= soon, "the set would be woken too late");
    model.check(set.advance(soon) == 1, "a timer is late");
  });
  model.run();
  static_cast<void>(set.cancel(a));
}

}  // namespace
}  // namespace weft
