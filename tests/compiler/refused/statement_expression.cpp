// gcc: ice  clang: ok
// G8: a co_await in a statement expression, which is how TRY macros are written.
#include <optional>

#include "../lifetime.hpp"

using namespace conformance;

#define TRY(e)                     \
  ({                               \
    auto _result = (e);            \
    if (!_result) co_return -1;    \
    std::move(*_result);           \
  })

task<std::optional<object>> next(int i);

task<int> f(int i) {
  object o = TRY(co_await next(i));
  co_return o.get();
}
