// refused: can be awaited in a weft::task
// A coroutine of another library cannot await what weft schedules.
#include "common.hpp"

class foreign {
 public:
  class promise_type {
   public:
    foreign get_return_object() { return foreign(); }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
};

#ifdef WRONG
foreign f() { co_await weft::sleep_for(1s); }
#else
weft::task<> f() { co_await weft::sleep_for(1s); }
#endif
