// refused: Send a std::unique_ptr of it
// A message is moved where nothing can be undone.
#include "common.hpp"

class thrower {
 public:
  thrower(const thrower&) {}
};

#ifdef WRONG
void f() { const auto ends = weft::channel<thrower>(1); }
#else
void f() { const auto ends = weft::channel<std::unique_ptr<thrower>>(1); }
#endif
