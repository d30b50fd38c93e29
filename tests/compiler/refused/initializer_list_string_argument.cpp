// gcc: error "array used as initializer"  clang: ok
// G9: the same with literals, as one would write it.
#include <string>
#include <vector>

#include "../lifetime.hpp"

using namespace conformance;

task<std::string> join(std::vector<std::string> v);

task<void> f() {
  const auto s = co_await join({"one", "two"});
  expect(s.size() == 6, "");
}
