#include "weft/io/file_entry_uring.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace weft::io {
namespace {

constexpr std::size_t bytes_max = std::size_t{1} << 30;  // of one request
constexpr std::uint8_t opcode_set_size = 55;             // of Linux 6.9; headers may be older

/// In the order of os::file_code.
constexpr std::array<std::uint8_t, os::file_codes> opcodes{
    IORING_OP_OPENAT,   IORING_OP_READ,     IORING_OP_WRITE,   IORING_OP_FSYNC,
    IORING_OP_FSYNC,    IORING_OP_STATX,    opcode_set_size,   IORING_OP_FALLOCATE,
    IORING_OP_RENAMEAT, IORING_OP_UNLINKAT, IORING_OP_MKDIRAT,
};
static_assert(static_cast<unsigned>(os::file_code::make_directory) + 1 == os::file_codes);

}  // namespace

std::uint32_t file_codes_of(int ring) noexcept {
  // A head and an array behind it, in memory that is zero and aligned for both.
  constexpr unsigned asked = 128;
  constexpr std::size_t head = sizeof(io_uring_probe);
  alignas(8) std::array<unsigned char, head + asked * sizeof(io_uring_probe_op)> bytes{};
  if (::syscall(SYS_io_uring_register, ring, IORING_REGISTER_PROBE, bytes.data(), asked) < 0)
    return 0;
  io_uring_probe answer;
  std::memcpy(&answer, bytes.data(), head);
  std::uint32_t codes = 0;
  for (unsigned i = 0; i < os::file_codes; ++i) {
    const unsigned op = opcodes[i];
    io_uring_probe_op about;
    std::memcpy(&about, bytes.data() + head + op * sizeof about, sizeof about);
    if (op <= answer.last_op && (about.flags & IO_URING_OP_SUPPORTED) != 0) {
      codes |= std::uint32_t{1} << i;
    }
  }
  return codes;
}

void fill_file(io_uring_sqe& e, const os::file_call& c, std::size_t moved) noexcept {
  e.opcode = opcodes[static_cast<unsigned>(c.code)];
  e.fd = c.file;
  switch (c.code) {
    case os::file_code::open:
      e.addr = reinterpret_cast<std::uint64_t>(c.path);
      e.open_flags = c.flags;
      e.len = c.mode;
      return;
    case os::file_code::read:
    case os::file_code::write:
      e.addr = reinterpret_cast<std::uint64_t>(c.buffer) + moved;
      e.len = static_cast<unsigned>(std::min(c.length - moved, bytes_max));
      e.off = c.offset + moved;
      return;
    case os::file_code::sync:
      return;
    case os::file_code::data_sync:
      e.fsync_flags = IORING_FSYNC_DATASYNC;
      return;
    case os::file_code::stat:
      e.addr = reinterpret_cast<std::uint64_t>(c.path);
      e.off = reinterpret_cast<std::uint64_t>(c.buffer);
      e.statx_flags = c.flags;
      e.len = c.mode;
      return;
    case os::file_code::set_size:
      e.off = c.offset;
      return;
    case os::file_code::allocate:
      e.off = c.offset;
      e.addr = c.length;
      return;
    case os::file_code::rename:
      e.addr = reinterpret_cast<std::uint64_t>(c.path);
      e.addr2 = reinterpret_cast<std::uint64_t>(c.to_path);
      e.len = static_cast<unsigned>(c.file);
      e.rename_flags = c.flags;
      return;
    case os::file_code::remove:
      e.addr = reinterpret_cast<std::uint64_t>(c.path);
      e.unlink_flags = c.flags;
      return;
    case os::file_code::make_directory:
      e.addr = reinterpret_cast<std::uint64_t>(c.path);
      e.len = c.mode;
      return;
  }
}

}  // namespace weft::io
