// file_entry: calls on files as entries of a ring, and which of them this kernel's rings take.
#pragma once

#include <linux/io_uring.h>

#include <cstdint>

#include "weft/os/file_call.hpp"

namespace weft::io {

/// A bit for each os::file_code that the ring does. 0 if the kernel does not say (before Linux 5.6).
std::uint32_t file_codes_of(int ring) noexcept;

constexpr std::uint32_t bit_of(os::file_code code) noexcept {
  return std::uint32_t{1} << static_cast<unsigned>(code);
}

/// `moved` bytes of a read or write are done already. Its path and its file_stat live until it ends.
void fill_file(io_uring_sqe& entry, const os::file_call& call, std::size_t moved) noexcept;

}  // namespace weft::io
