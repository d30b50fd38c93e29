// symbol: what stands at an address of the program's code, for people to read.
#pragma once

#include <cstddef>
#include <string>

namespace weft::os {

class symbol {
 public:
  std::string module;      // the file that it was loaded from; empty: none is known
  std::size_t offset = 0;  // in it, as addr2line -e takes it
  std::string name;        // demangled; empty: the file says none
};

/// Names that the loader does not know, as of coroutines, are read from the file's table of symbols: there
/// are none where it was stripped.
/// Cost: reads the file, milliseconds. Throws std::bad_alloc.
symbol symbol_at(const void* address);

}  // namespace weft::os
