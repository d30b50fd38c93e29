// cache_line: how far apart words must stand so that two cores do not fight over them.
#pragma once

#include <cstddef>

namespace weft {

/// Bytes. Fixed, not std::hardware_destructive_interference_size, which changes with -mtune and so
/// would change the layout of the library's types between two users.
inline constexpr std::size_t cache_line = 64;

}  // namespace weft
