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
  auto [to, from] = weft::channel<int>(1);
  const auto got = co_await from.recv();
  use(got);
}
#else
weft::task<> f() {
  auto [to, from] = weft::channel<int>(1);
  const auto got = co_await from.recv();
  use(got);
}
#endif
