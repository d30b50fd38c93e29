// file_call: one call on a file as data, so that a ring can be handed it, or a thread can make it, with
// the same meaning.
//
//   Errors   an answer is a count (>= 0) or -errno; EINTR is dealt with by whoever makes the call
//   Threads  any. blocking_file_call() blocks
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "weft/base/result.hpp"
#include "weft/os/file.hpp"

namespace weft::os {

enum class file_code : std::uint8_t {
  open,            // path, below `file`; answer: the descriptor
  read,            // buffer[0, length) at offset
  write,           // the same
  sync,            // all of the file, to the medium
  data_sync,       // what reading it back needs
  stat,            // path, below `file`, or the file itself; fills `buffer`, a file_stat
  set_size,        // to offset
  allocate,        // [offset, offset + length), zeros; the file grows
  rename,          // path to to_path
  remove,          // path: a file, or (flags) a folder
  make_directory,  // path, mode
};
inline constexpr unsigned file_codes = 11;

/// Where a path begins that does not begin with '/'.
inline constexpr int current_directory = -100;

/// What the kernel says of a file; only for metadata_of().
struct alignas(8) file_stat {
  std::array<std::byte, 256> bytes;
};

struct file_call {
  file_code code{};
  int file = current_directory;
  const char* path = nullptr;
  const char* to_path = nullptr;
  void* buffer = nullptr;
  std::size_t length = 0;
  std::uint64_t offset = 0;
  std::uint32_t flags = 0;  // the system's
  std::uint32_t mode = 0;
};

/// How a file is opened. Trivially copyable: safe in a co_await on GCC 12.
struct open_options {
  bool read = true;
  bool write = false;
  bool create = false;        // where there is none; needs write or append
  bool create_new = false;    // there must be none
  bool truncate = false;      // empty it; needs write
  bool append = false;        // all that is written goes to the end
  bool direct = false;        // past the page cache: fs/direct.hpp
  std::uint32_t mode = 0666;  // of one that is made, less the process's umask
};

struct file_metadata {
  file_kind kind = file_kind::other;
  std::uint64_t size = 0;        // bytes
  std::uint64_t allocated = 0;   // bytes on the medium
  std::int64_t modified_ns = 0;  // since 1970, as all times; the greatest for those after 2262
  std::int64_t accessed_ns = 0;
  std::int64_t changed_ns = 0;  // of what is said here
  std::int64_t created_ns = 0;  // 0: not known
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  std::uint64_t links = 0;
  std::uint32_t permissions = 0;  // the lower 12 bits of the mode
  std::uint32_t owner = 0;
  std::uint32_t group = 0;
  std::uint32_t direct_memory =
      0;  // alignment for direct I/O, bytes; 0: not known, or none possible
  std::uint32_t direct_offset = 0;
};

/// A time as nanoseconds; the last one that can be said for those after 2262.
std::int64_t clamped_ns(std::int64_t seconds, std::int64_t ns) noexcept;

/// Errors: std::errc::invalid_argument: the wishes contradict each other.
[[nodiscard]] result<file_call> call_to_open(const char* path, const open_options& how) noexcept;
/// `path` nullptr: `file` itself.
file_call call_to_stat(int file, const char* path, bool follow, file_stat& to) noexcept;
file_call call_to_rename(const char* from, const char* to, bool replace) noexcept;
file_call call_to_remove(int folder, const char* path, bool a_folder) noexcept;

file_metadata metadata_of(const file_stat& from) noexcept;

/// Makes the call. `whole`: read and write go on until all is done, or the file ends; `moved` says how
/// many bytes were, also when the answer is an error.
std::int64_t blocking_file_call(const file_call& call, bool whole, std::size_t& moved) noexcept;

/// After call_to_open(): from now on calls wait for the medium. Never blocks. Errors: invalid_seek: a pipe or
/// a terminal, which has no positions; a ring would read from it whatever the offset, and wait.
[[nodiscard]] result<void> expect_to_wait(int file) noexcept;

/// Advisory, of the open file; never waits. Errors: std::errc::operation_would_block.
[[nodiscard]] result<void> try_lock(int file, bool shared) noexcept;
[[nodiscard]] result<void> unlock(int file) noexcept;

}  // namespace weft::os
