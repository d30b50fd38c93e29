// A processor that changes hands, under all schedules: the stuck thread, the monitor that takes it
// from it, and the spare that goes on with it. What the stuck thread wrote is there, and nobody
// else writes.
#include "weft/runtime/handover.hpp"

#include "weft/os/membarrier.hpp"
#include "weft/task/pin.hpp"
#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

using processor = plain<int>;

void use(processor& p) { p.set(p.get() + 1); }

WEFT_MODEL_TEST(handover, the_next_owner_has_all_that_the_last_one_wrote,
                model::kills("handover.give.relaxed", "handover.give.wakes_nobody",
                             "pin.unpin.relaxed"),
                model::reaches("handed over", "refused")) {
  processor p(0);
  pin_state pin(true);
  detail::handover<processor> bed;
  model.thread("stuck", [&] {
    use(p);
    pin.unpin();  // a job
    if (pin.pin() == pin_state::pin_result::owned) use(p);
    // Lost or not, it is in the runtime and touches nothing more.
  });
  model.thread("monitor", [&] {
    if (pin.try_claim([] { os::heavy_fence(); }) == pin_state::claim_result::taken) {
      model.outcome("handed over");
      bed.give(p);
    } else {
      model.outcome("refused");
      bed.end();
    }
  });
  model.thread("spare", [&] {
    if (processor* const given = bed.take()) use(*given);
  });
  model.run();
}

// weft::blocking: the owner itself gives it away, while the monitor may be about to claim it.
WEFT_MODEL_TEST(handover, given_away_by_its_owner_it_is_not_taken_as_well,
                model::kills("handover.give.relaxed"), model::reaches("let go")) {
  processor p(0);
  pin_state pin(true);
  detail::handover<processor> bed;
  model.thread("owner", [&] {
    use(p);
    pin.unpin();
    if (pin.pin() == pin_state::pin_result::lost) return;
    use(p);
    pin.let_go();
    model.outcome("let go");
    bed.give(p);
    pin.unpin();  // the call that blocks
    model.check(pin.pin() == pin_state::pin_result::lost, "it has what it gave away");
  });
  model.thread("monitor", [&] {
    if (pin.try_claim([] { os::heavy_fence(); }) == pin_state::claim_result::taken) bed.give(p);
  });
  model.thread("spare", [&] {
    if (processor* const given = bed.take()) use(*given);
  });
  model.run();
}

// The runtime ends when a processor has just been given, and its taker has not woken yet.
WEFT_MODEL_TEST(handover, that_ends_lets_the_taker_go, model::kills("handover.give.relaxed"),
                model::reaches("taken", "left")) {
  processor p(0);
  detail::handover<processor> bed;
  model.thread("giver", [&] {
    use(p);
    bed.give(p);
    bed.end();
  });
  model.thread("spare", [&] {
    while (processor* const given = bed.take()) {
      model.outcome("taken");
      use(*given);
    }
    model.outcome("left");
  });
  model.run();
}

}  // namespace
}  // namespace weft
