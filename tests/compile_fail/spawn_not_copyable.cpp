// refused: one of these cannot be copied: std::move\(\) it
// What cannot be copied is moved into the job.
#include "common.hpp"

weft::task<> takes(std::unique_ptr<int>) { co_return; }

#ifdef WRONG
void f() {
  auto p = std::make_unique<int>(1);
  weft::spawn(takes, p).detach();
}
#else
void f() {
  auto p = std::make_unique<int>(1);
  weft::spawn(takes, std::move(p)).detach();
}
#endif
