// refused: cannot be taken back from a select without an effect
// A phase of a barrier begins for all of its parties, or for none.
#include "common.hpp"

weft::task<> arrives(weft::barrier& step) {
  const bool last = co_await step.arrive_and_wait();
  static_cast<void>(last);
}
weft::task<> f(weft::barrier& step) {
#ifdef WRONG
  const auto first =
      co_await weft::select(step.arrive_and_wait(), weft::sleep_for(std::chrono::seconds(1)));
#else
  const auto first = co_await weft::select(arrives(step), weft::sleep_for(std::chrono::seconds(1)));
#endif
  static_cast<void>(first);
}
