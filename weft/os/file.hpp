// file: reading files, and opening names that strangers chose without leaving a folder.
//
//   Errors   values; EINTR is dealt with here
//   Threads  any. Calls on files block: for the blocking pool, or where the page cache is warm
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"

namespace weft::os {

enum class file_kind : std::uint8_t { regular, directory, symbolic_link, other };

struct file_info {
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;  // since 1970
  std::int64_t ctime_ns = 0;  // the same; of what is said here, contents included
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  file_kind kind = file_kind::other;
};

/// A folder as open_beneath() and list_directory() want it; `path` is followed wherever it leads.
/// Errors: std::errc::not_a_directory, invalid_argument (a zero byte inside); those of open().
[[nodiscard]] result<fd> open_directory(std::string_view path) noexcept;

/// Opens `relative` for reading, below `directory`: no "..", no absolute path and no symbolic link
/// leads out of it, whatever is renamed meanwhile. Links and ".." that stay inside are followed
/// where the kernel can tell (Linux 5.6); elsewhere every link and every ".." is refused. Never
/// waits for the writer of a pipe.
/// Errors: std::errc::permission_denied (it would lead out), invalid_argument (a zero byte inside),
/// resource_unavailable_try_again (folders on the way are renamed all the time); those of open().
[[nodiscard]] result<fd> open_beneath(int directory, std::string_view relative) noexcept;

/// What open_beneath() does on an older kernel. For its test.
[[nodiscard]] result<fd> open_beneath_stepwise(int directory, std::string_view relative) noexcept;

/// What an open descriptor is.
[[nodiscard]] result<file_info> stat(int file) noexcept;

/// Bytes read, fewer than asked for only at the file's end.
[[nodiscard]] result<std::size_t> read_at(int file, void* buffer, std::size_t size,
                                          std::uint64_t offset) noexcept;

/// Moves bytes of `file` to a socket without a copy in the process, by one system call; never
/// raises SIGPIPE. Result: bytes, at most `count`; 0 at the file's end.
/// Errors: std::errc::operation_would_block, broken_pipe; those of sendfile().
[[nodiscard]] result<std::size_t> send_file_now(int socket, int file, std::uint64_t offset,
                                                std::size_t count) noexcept;

struct directory_entry {
  std::string name;
  file_kind kind = file_kind::other;
};
/// Sorted by name, without "." and "..", and without links that lead nowhere; the kind is that of
/// what a link leads to. The directory's own reading position is left alone.
[[nodiscard]] result<std::vector<directory_entry>> list_directory(int directory) noexcept;

}  // namespace weft::os
