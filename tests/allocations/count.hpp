// count: how often this process asked for memory. count.cpp puts itself before glibc's allocator.
#pragma once

#include <cstdint>

namespace counted {

struct calls {
  std::uint64_t allocations;  // malloc and its like, by any thread; operator new ends there, too
  std::uint64_t mappings;     // mmap by the program and by weft (not by glibc for its own purposes)
};

/// Until now.
calls now() noexcept;

}  // namespace counted
