// pin: a thread that enters the runtime against a monitor that wants its processor.
#include "weft/task/pin.hpp"

#include "weft/os/membarrier.hpp"
#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

void heavy() { os::heavy_fence(); }

/// What one turn of a worker does: touches the processor pinned, then runs user code.
void turn(pin_state& pin, plain<int>& processor, bool& lost) {
  if (lost) return;
  if (pin.pin() == pin_state::pin_result::lost) {
    lost = true;
    return;
  }
  processor.set(processor.get() + 1);
  pin.unpin();
}

WEFT_MODEL_TEST(pin, a_processor_has_one_owner_at_a_time,
                model::kills("pin.unpin.relaxed", "pin_model.no_heavy_fence"),
                model::reaches("taken", "refused")) {
  pin_state pin(true);
  plain<int> processor(0);
  pin.unpin();  // the thread begins in user code
  model.thread("worker", [&] {
    bool lost = false;
    turn(pin, processor, lost);
    turn(pin, processor, lost);
  });
  model.thread("monitor", [&] {
    const bool without = model.mutant("pin_model.no_heavy_fence");
    if (pin.try_claim([&] {
          if (!without) heavy();
        }) == pin_state::claim_result::taken) {
      processor.set(processor.get() +
                    10);  // by whoever was given it; a race if the worker still has it
      model.outcome("taken");
    } else {
      model.outcome("refused");
    }
  });
  model.run();
}

// Where membarrier is refused, the light side has a full fence of its own, and the heavy one too.
WEFT_MODEL_TEST(pin, holds_without_membarrier,
                model::kills("pin_model.no_fence_of_the_thread", "pin_model.no_fence_of_the_claim"),
                model::reaches("taken", "refused")) {
  pin_state pin(model.mutant("pin_model.no_fence_of_the_thread"));
  plain<int> processor(0);
  pin.unpin();
  model.thread("worker", [&] {
    bool lost = false;
    turn(pin, processor, lost);
    turn(pin, processor, lost);
  });
  model.thread("monitor", [&] {
    const bool without = model.mutant("pin_model.no_fence_of_the_claim");
    const auto claimed = pin.try_claim([&] {
      if (!without) fence(order::seq_cst);
    });
    if (claimed == pin_state::claim_result::taken) {
      processor.set(processor.get() + 10);
      model.outcome("taken");
    } else {
      model.outcome("refused");
    }
  });
  model.run();
}

}  // namespace
}  // namespace weft
