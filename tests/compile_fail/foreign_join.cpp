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
foreign f() {
  weft::join_handle<int> h;
  const int n = co_await h;
  use(n);
}
#else
weft::task<> f() {
  weft::join_handle<int> h;
  const int n = co_await h;
  use(n);
}
#endif
