// file: files and folders to serve from. The blocking calls run on the pool (spawn_blocking), so that
// a slow disk stalls no worker.
//
//   Threads  an object is used by one job at a time; const members by any
//   Errors   values: std::errc::no_such_file_or_directory, permission_denied, ...
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"
#include "weft/os/file.hpp"

namespace weft::fs {

using file_kind = os::file_kind;

struct file_info {
  file_kind kind = file_kind::other;
  std::uint64_t size = 0;        // bytes
  std::int64_t modified_ns = 0;  // since 1970
  std::uint64_t inode = 0;
};

struct directory_entry {
  std::string name;
  file_info info;
};

/// An open file or folder and what was known of it when it was opened.
class file {
 public:
  file() noexcept = default;
  file(os::fd descriptor, file_info info) noexcept : fd_(std::move(descriptor)), info_(info) {}
  const file_info& info() const noexcept { return info_; }
  const os::fd& descriptor() const noexcept { return fd_; }

  /// Blocking: reads until `to` is full or the file ends.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> blocking_read_at(
      std::span<std::byte> to, std::uint64_t offset) const noexcept {
    return os::read_at(fd_.get(), to.data(), to.size(), offset);
  }

 private:
  os::fd fd_;
  file_info info_;
};

/// A folder, and the only things below it.
class directory {
 public:
  directory() noexcept = default;
  /// Blocking. Errors: as open(2).
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<directory> blocking_open(
      const std::string& path);
  /// Blocking. `relative` names something at or below this folder: nothing leads out of it.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<file> blocking_open_beneath(
      const std::string& relative) const;
  /// Blocking. What a folder that was opened beneath contains, by name. Size and time are given of
  /// files and folders that can be opened beneath it, else 0.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] static result<std::vector<directory_entry>> blocking_list(
      const file& folder);

 private:
  explicit directory(os::fd descriptor) noexcept : fd_(std::move(descriptor)) {}
  os::fd fd_;
};

}  // namespace weft::fs
