// memory: whole pages from the system.
#pragma once

#include <cstddef>

#include "weft/base/result.hpp"

namespace weft::os {

/// Bytes; a power of two.
std::size_t page_size() noexcept;

/// Zeroed memory, readable and writable, committed on first touch. `bytes` is rounded up to pages.
[[nodiscard]] result<void*> map_pages(std::size_t bytes) noexcept;

/// Gives back what map_pages(bytes) gave.
void unmap_pages(void* pages, std::size_t bytes) noexcept;

/// Any access faults from now on: a guard. `pages` and `bytes` are whole pages of a mapping.
[[nodiscard]] result<void> protect_none(void* pages, std::size_t bytes) noexcept;

}  // namespace weft::os
