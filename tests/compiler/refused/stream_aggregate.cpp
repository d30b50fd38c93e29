// gcc: error "twice: name it first"  clang: ok
// G2 in the library: a stream refuses a temporary aggregate in co_yield.
#include <string>

#include "weft/together/stream.hpp"

struct pair {
  int a;
  std::string b;
};

weft::stream<pair> f(std::string s) { co_yield pair{1, s}; }
