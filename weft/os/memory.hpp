// memory: whole pages from the system.
#pragma once

#include <cstddef>

#include "weft/base/result.hpp"

namespace weft::os {

/// Bytes; a power of two.
std::size_t page_size() noexcept;

/// Zeroed memory, readable and writable, committed on first touch. `bytes` is rounded up to pages.
[[nodiscard]] result<void*> map_pages(std::size_t bytes) noexcept;

/// The same, at an address that is a multiple of `alignment` bytes, a power of two of whole pages.
/// `bytes` are whole pages. Parts of it may be unmapped alone.
[[nodiscard]] result<void*> map_pages_aligned(std::size_t bytes, std::size_t alignment) noexcept;

/// Gives back what map_pages(bytes) or map_pages_aligned(bytes, ..) gave.
void unmap_pages(void* pages, std::size_t bytes) noexcept;

/// What is in whole pages of a mapping is not needed: they are the system's until the next touch, and
/// zero then. Pages that are locked in memory stay as they are.
void forget_pages(void* pages, std::size_t bytes) noexcept;

/// Any access faults from now on: a guard. `pages` and `bytes` are whole pages of a mapping.
[[nodiscard]] result<void> protect_none(void* pages, std::size_t bytes) noexcept;

}  // namespace weft::os
