// refused: a dropped handle stops its job: await it, keep it, or detach\(\) it
// A job whose handle is dropped is stopped at once.
#include "common.hpp"

#ifdef WRONG
weft::task<> f() {
  weft::spawn(answer, 1);
  co_return;
}
#else
weft::task<> f() {
  weft::spawn(answer, 1).detach();
  co_return;
}
#endif
