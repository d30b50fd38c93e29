// weft::moved(f) in a co_await expression, where the closure itself would be destroyed twice.
//
// The one program here that uses a header of the library: it is the cure that is tested.

#include <cstdio>
#include <cstdlib>

#include "../lifetime.hpp"
#include "weft/base/safe_callable.hpp"

namespace conformance {

void fail(const char* what) noexcept {
  std::fprintf(stderr, "%s\n", what);
  std::_Exit(1);
}

namespace {

template <class F>
task<int> call(F f) {
  co_await park();
  co_return f();
}

template <weft::safe_in_await F>
task<int> call_reference(F&& f) {
  co_await park();
  co_return f();
}

task<void> moved_twice() {
  object o(5);
  auto f = [o] { return o.get(); };
  const int copied = co_await call(f);
  const int by_reference = co_await call_reference(weft::moved(f));
  auto g = [o]() mutable { return o.get(); };
  const int by_value = co_await call(weft::moved(g));
  expect(copied == 5 && by_reference == 5 && by_value == 5, "wrong value");
}

}  // namespace
}  // namespace conformance

int main() {
  conformance::drive(conformance::moved_twice());
  conformance::expect(conformance::object::alive().empty(), "left an object alive");
}
