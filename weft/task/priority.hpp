// priority: which of the ready jobs goes first, and where a job may run.
#pragma once

#include <cstdint>

namespace weft {

/// Which jobs go first when several are ready. None starves the others: the bounds are in
/// docs/internals/scheduling.md.
enum class priority : std::uint8_t {
  high,        // before the others, but for one turn in 16
  normal,      // in the order in which they came
  background,  // when there is nothing else to do, and one turn in 64
};
inline constexpr unsigned priority_count = 3;

/// In the place of a worker's number: whichever has time.
inline constexpr unsigned any_worker = ~0u;

}  // namespace weft
