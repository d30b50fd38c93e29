// frame_trim: when the frame pool gives memory back, and what it has. A burst of tasks leaves its
// slabs empty; they stay for the next one, and what a whole second had no need of goes by halves.
//
//   Threads  any
//   Cost     workers look at it before they sleep: one or two loads while nothing is to be done
//   Memory   what stays when all is quiet: frame_bytes_kept in empty slabs, what each thread's lists
//            hold (128 blocks a class at most), and the slabs of frames that are alive
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/base/time.hpp"

namespace weft {

inline constexpr std::size_t frame_bytes_kept = std::size_t{2} << 20;

/// Of the whole process; each figure is true for itself. Frames above 2 KiB are the system's.
struct frame_pool_figures {
  std::size_t mapped_bytes;  // address space
  std::size_t used_bytes;    // slabs with blocks that are not home
  std::size_t empty_bytes;   // slabs without, which keep their pages for the next burst
  std::size_t out_bytes;     // blocks in use and on the free lists of threads
  std::size_t depot_bytes;   // blocks between threads
};
[[nodiscard]] frame_pool_figures frame_pool_now() noexcept;

/// At once: gives back what no frame needs, but for the free lists of other threads, and the slabs
/// that their blocks and frames in use are on. A program need not call it: idle workers do, slowly.
void trim_frame_pool() noexcept;

namespace detail {

/// Units: the monotonic clock. When trim_frames() wants to be called; never_ns: nothing is to be done.
/// The first call after a burst begins the wait.
[[nodiscard]] std::int64_t trim_due_ns(std::int64_t now_ns) noexcept;

/// The calling thread is idle: its free lists go to the others, and if it is time, up to
/// trim_slabs_max slabs go to the system. Call it again until trim_due_ns() is later than now.
void trim_frames(std::int64_t now_ns) noexcept;

inline constexpr std::int64_t trim_period_ns = ns_per_s;
inline constexpr std::size_t trim_slabs_max = 64;  // 4 MiB, 0.2 ms: then a worker looks for work

}  // namespace detail
}  // namespace weft
