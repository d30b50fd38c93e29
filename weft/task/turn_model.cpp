// turn: a worker whose turns come and go, and others that ask for the end of those they have seen.
#include "weft/task/turn.hpp"

#include "weft/testing/model/model.hpp"

namespace weft::detail {
namespace {

using ask_result = turn_state::ask_result;

WEFT_MODEL_TEST(turn, ends_only_if_it_was_asked_for, model::kills("turn.ask.blindly"),
                model::reaches("asked", "is over", "is to end")) {
  turn_state turns;
  model::ghost<unsigned> asked_for(0);  // a bit each turn
  model.thread("worker", [&] {
    for (int i = 0; i < 2; ++i) {
      turns.begin();
      if (!turns.is_to_end()) continue;
      model.outcome("is to end");
      const unsigned bit = 1u << turns.now();
      model.check((asked_for.get() & bit) != 0, "a turn is to end that nobody has asked to");
    }
  });
  for (int i = 0; i < 2; ++i) {
    model.thread("asker", [&] {
      const std::uint64_t seen = turns.now();
      asked_for.set(asked_for.get() | 1u << seen);
      const bool asked = turns.ask_to_end(seen) == ask_result::asked;
      model.outcome(asked ? "asked" : "is over");
    });
  }
  model.run();
}

WEFT_MODEL_TEST(turn, that_goes_on_hears_what_it_is_asked,
                model::kills("turn_model.ask_for_the_one_before"),
                model::reaches("asked", "is over")) {
  turn_state turns;
  std::uint64_t seen = 0;
  ask_result answer{};
  model.thread("worker", [&] {
    turns.begin();
    turns.begin();
  });
  model.thread("asker", [&] {
    seen = turns.now();
    const bool wrong = seen != 0 && model.mutant("turn_model.ask_for_the_one_before");
    answer = turns.ask_to_end(wrong ? seen - 1 : seen);
    model.outcome(answer == ask_result::asked ? "asked" : "is over");
  });
  model.run();
  if (seen != turns.now()) return;
  model.check(answer == ask_result::asked, "an ask for the turn that goes on was refused");
  model.check(turns.is_to_end(), "an ask for the turn that goes on was lost");
}

}  // namespace
}  // namespace weft::detail
