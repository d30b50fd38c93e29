// stack_pages: address space for many stacks, committed on touch, and guards in it.
#pragma once

#include <cstddef>

#include "weft/base/config.hpp"
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
/// Errors: invalid_argument, where the system does not know this kind, says yes to it and does nothing
/// (an emulator), or the pages are locked.
[[nodiscard]] result<void> guard_pages(void* pages, std::size_t bytes, guard_kind kind) noexcept;

/// What is in whole pages of what reserve_pages() gave is not needed: they are the system's until the
/// next touch, and zero then. Guards stay.
void forget_reserved_pages(void* pages, std::size_t bytes) noexcept;

/// How far from their end these have memory: of a stack, which grows towards its low end, how deep it has been since
/// its pages were forgotten, in bytes. Whole pages of what reserve_pages() gave, `bytes` of them. Pages that are swapped
/// out do not count, nor does what is beyond a gap of a MiB. 0: none has any, or the system does not say. Cost: a system call
/// for each MiB of it.
std::size_t touched_bytes(const void* pages, std::size_t bytes) noexcept;

/// How many mappings the process may have: vm.max_map_count, read once.
std::size_t mappings_max() noexcept;

#if WEFT_CENSUS
enum class stack_pages_call { reserve, release, guard_by_advice, guard_by_protection, forget };
using stack_pages_check = bool (*)(stack_pages_call) noexcept;

/// For tests: `check` is asked before each of these calls, on the thread that makes it; false: the call
/// is refused with not_enough_memory, as to a process with as many mappings as it may have (forget:
/// goes on all the same). Null: nobody is asked.
void set_stack_pages_check(stack_pages_check check) noexcept;
#endif

}  // namespace weft::os
