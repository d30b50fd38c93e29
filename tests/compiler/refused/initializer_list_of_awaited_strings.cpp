// gcc: error "array used as initializer"  clang: ok
// G9: the same for a class with an initializer_list constructor.
#include <string>
#include <vector>

#include "../lifetime.hpp"

using namespace conformance;

struct words {
  words(std::initializer_list<std::string> l) : all(l) {}
  std::vector<std::string> all;
};
task<std::string> word();

task<void> f() {
  words w{co_await word(), "x", std::string("y")};
  expect(w.all.size() == 3, "");
}
