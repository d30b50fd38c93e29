// frame_slabs: where the blocks of the frame pool come from and go home to. Slabs of 64 KiB, each cut
// into blocks of one class, in chunks of address space that the system gave; a slab whose blocks are
// all home is free for any class, and its pages go back to the system when they stay unneeded.
// Internal: frames are allocated with frame_pool.hpp.
//
//   Threads  any
//   Cost     one lock of the class for many blocks; one more, of the store, for a slab
//   Memory   a header of 64 bytes a slab, in the chunk's first 16 KiB; a block has none
#pragma once

#include <cstddef>
#include <cstdint>

#include "weft/task/thread_state.hpp"

namespace weft::detail {

inline constexpr std::size_t frame_slab_bytes = std::size_t{64} << 10;
inline constexpr std::size_t frame_chunk_bytes = std::size_t{16} << 20;

struct frame_chain {
  frame_block* first;  // the last one's `next` is null
  std::uint32_t count;
};

/// Up to `wanted` blocks of class `index`, and not none, unless there is no memory.
[[nodiscard]] frame_chain take_blocks(std::size_t index, std::uint32_t wanted) noexcept;
/// Blocks of class `index`, linked by `next`, that take_blocks() gave, to whomever.
void return_blocks(std::size_t index, frame_block* first) noexcept;

/// Whether blocks came home since forget_homecoming(). A hint, one load.
[[nodiscard]] bool have_blocks_come_home() noexcept;
void forget_homecoming() noexcept;

/// What is empty and keeps its pages, in slabs.
struct empty_slabs {
  std::size_t now;
  std::size_t least;  // at any moment since note_empty_slabs()
};
empty_slabs count_empty_slabs() noexcept;
/// From here on `least` is counted.
void note_empty_slabs() noexcept;
/// Gives the pages of up to `most` empty slabs to the system, and whole chunks as they become bare.
/// Result: how many slabs it were.
std::size_t forget_empty_slabs(std::size_t most) noexcept;

struct slab_figures {
  std::size_t mapped_bytes;  // address space
  std::size_t used_bytes;    // in slabs that have a class
  std::size_t empty_bytes;   // in empty slabs that keep their pages
  std::size_t out_bytes;     // in blocks that were taken and have not come home
};
slab_figures count_slabs() noexcept;

}  // namespace weft::detail
