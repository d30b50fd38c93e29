// stack_pages: address space for many stacks, committed on touch, and guards in it.
#pragma once

#include <cstddef>

#include "weft/base/result.hpp"

namespace weft::os {

/// Address space, readable and writable, of which nothing is promised or used before it is touched
/// (except under strict accounting of memory, vm.overcommit_memory 2), and no page is a huge one.
/// `bytes` are whole pages.
[[nodiscard]] result<void*> reserve_pages(std::size_t bytes) noexcept;

/// Gives back all that reserve_pages(bytes) gave. Errors: not_enough_memory, and then nothing has
/// changed: the process has as many mappings as it may, and this would be one more.
[[nodiscard]] result<void> release_pages(void* pages, std::size_t bytes) noexcept;

enum class guard_kind {
  advice,      // marks in the page table, no mapping of its own: MADV_GUARD_INSTALL, Linux 6.13
  protection,  // mprotect: two more mappings each, of which a process may have mappings_max()
};

/// Any access faults from now on, also after forget_pages(). Whole pages of what reserve_pages() gave.
/// Errors: invalid_argument, where the system does not know this kind, or the pages are locked.
[[nodiscard]] result<void> guard_pages(void* pages, std::size_t bytes, guard_kind kind) noexcept;

/// How many mappings the process may have: vm.max_map_count, read once.
std::size_t mappings_max() noexcept;

}  // namespace weft::os
