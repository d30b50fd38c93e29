// refused: must not be aligned to more than 16 bytes; return a pointer to it
// The promise of a task has the alignment of a frame.
#include "common.hpp"

class alignas(64) page {
 public:
  char bytes[64];
};

#ifdef WRONG
weft::task<page> f() { co_return page(); }
#else
weft::task<std::unique_ptr<page>> f() { co_return std::make_unique<page>(); }
#endif
