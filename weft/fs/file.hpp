// file: an open file, read and written at offsets; and folders to serve from.
//
//   auto opened = co_await fs::open("data", {.write = true, .create = true});
//   const auto wrote = co_await opened->write_at(bytes, 0);
//   const auto kept = co_await opened->sync();
//   const auto closed = co_await opened->close();
//
//   Ways       where the driver is io_uring and the kernel's ring has the call, the ring makes it; else a
//              thread of the blocking pool. The results are the same
//   Threads    a file is opened, moved and closed by one job at a time; const members by any, also at once
//   Errors     values: std::errc::no_such_file_or_directory, permission_denied, no_space_on_device, ...
//   Cancel     each await ends only when the buffer is nobody else's. A call that had not begun had no
//              effect; one that had begun ends, and its result is given (file_request.hpp)
//   Lifetimes  the file and the buffer outlive the await. One that is destroyed is closed: at once where it
//              was opened to be read; where it was written, which can wait for the disk, a job of its own
//              does it on the pool: a moment later. Who needs it closed, or wants the result, awaits close()
//   Cost       no allocation for an operation on an open file; open() and close() are tasks
//   blocking_  these block the thread: for the pool
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "weft/base/result.hpp"
#include "weft/fs/file_request.hpp"
#include "weft/os/fd.hpp"
#include "weft/os/file.hpp"
#include "weft/os/file_call.hpp"
#include "weft/task/task.hpp"

namespace weft::fs {

using file_kind = os::file_kind;
using open_options = os::open_options;
using file_metadata = os::file_metadata;

struct file_info {
  file_kind kind = file_kind::other;
  std::uint64_t size = 0;        // bytes
  std::int64_t modified_ns = 0;  // since 1970
  std::uint64_t inode = 0;
  std::int64_t changed_ns = 0;  // since 1970: contents or what is said here. Nobody can set it back
  std::uint64_t device = 0;
};

struct directory_entry {
  std::string name;
  file_info info;
};

/// What operations with a file opened with `direct` need buffers, offsets and lengths to be multiples of.
struct direct_alignment {
  std::size_t memory = 1;  // bytes; 1: not direct
  std::size_t offset = 1;  // bytes, of offset and length
};

/// The code of an operation that breaks it. Compares equal to std::errc::invalid_argument, which is all
/// that the kernel would say.
std::error_code misaligned() noexcept;

namespace detail {

/// A descriptor whose closing may have to wait for a disk.
class kept_fd {
 public:
  kept_fd() noexcept = default;
  kept_fd(os::fd descriptor, bool slow_to_close) noexcept
      : fd_(std::move(descriptor)), slow_(slow_to_close) {}
  kept_fd(kept_fd&&) noexcept = default;
  kept_fd& operator=(kept_fd&& other) noexcept {
    if (this != &other) {
      drop();
      fd_ = std::move(other.fd_);
      slow_ = other.slow_;
    }
    return *this;
  }
  ~kept_fd() { drop(); }
  const os::fd& get() const noexcept { return fd_; }
  os::fd take() noexcept { return std::move(fd_); }
  bool slow() const noexcept { return slow_; }

 private:
  void drop() noexcept;
  os::fd fd_;
  bool slow_ = false;
};

/// One of read and write.
class transfer_request : public file_request {
 protected:
  transfer_request(os::file_code code, int file, const void* bytes, std::size_t size,
                   std::uint64_t offset, bool whole, const direct_alignment& needed) noexcept;
  bool misaligned_ = false;
};

class read_request final : public transfer_request {
 public:
  read_request(int file, std::span<std::byte> to, std::uint64_t offset, bool whole,
               const direct_alignment& needed) noexcept
      : transfer_request(os::file_code::read, file, to.data(), to.size(), offset, whole, needed) {}
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> await_resume() noexcept {
    if (misaligned_) return std::unexpected(misaligned());
    return count();
  }
};

class write_some_request final : public transfer_request {
 public:
  write_some_request(int file, std::span<const std::byte> from, std::uint64_t offset,
                     const direct_alignment& needed) noexcept
      : transfer_request(os::file_code::write, file, from.data(), from.size(), offset, false,
                         needed) {}
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> await_resume() noexcept {
    if (misaligned_) return std::unexpected(misaligned());
    return count();
  }
};

class write_request final : public transfer_request {
 public:
  write_request(int file, std::span<const std::byte> from, std::uint64_t offset,
                const direct_alignment& needed) noexcept
      : transfer_request(os::file_code::write, file, from.data(), from.size(), offset, true,
                         needed) {}
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> await_resume() noexcept {
    if (misaligned_) return std::unexpected(misaligned());
    return success();
  }
};

}  // namespace detail

/// An open file or folder.
class file {
 public:
  file() noexcept = default;
  /// `written`: to be closed like one that was opened to be written, see Lifetimes.
  file(os::fd descriptor, file_info info, bool written = false) noexcept
      : fd_(std::move(descriptor), written), info_(info) {}

  /// What was known of it when directory::blocking_open_beneath() opened it. See metadata().
  const file_info& info() const noexcept { return info_; }
  const os::fd& descriptor() const noexcept { return fd_.get(); }
  explicit operator bool() const noexcept { return static_cast<bool>(fd_.get()); }

  /// Reads until `to` is full or the file ends.
  ///
  /// Result  bytes: fewer than to.size() at the file's end, or where a stop came between two pieces
  /// Cancel  the reading is repeatable, so nothing is lost; see the top
  [[nodiscard("co_await it")]] detail::read_request read_at(std::span<std::byte> to
                                                            WEFT_LIFETIMEBOUND,
                                                            std::uint64_t offset) const noexcept {
    return detail::read_request(number(), to, offset, true, alignment_);
  }
  /// Makes one call of it: what the system gives at once, at least one byte.
  ///
  /// Result  bytes; 0 at the file's end
  [[nodiscard("co_await it")]] detail::read_request read_some_at(
      std::span<std::byte> to WEFT_LIFETIMEBOUND, std::uint64_t offset) const noexcept {
    return detail::read_request(number(), to, offset, false, alignment_);
  }
  /// Writes all of it. Of a file opened with `append` it goes to the end, whatever the offset.
  ///
  /// Errors  operation_canceled: a stop came after a part had been written
  [[nodiscard("co_await it")]] detail::write_request write_at(std::span<const std::byte> from
                                                              WEFT_LIFETIMEBOUND,
                                                              std::uint64_t offset) noexcept {
    return detail::write_request(number(), from, offset, alignment_);
  }
  /// Makes one call of it. Result: bytes, at least one.
  [[nodiscard("co_await it")]] detail::write_some_request write_some_at(
      std::span<const std::byte> from WEFT_LIFETIMEBOUND, std::uint64_t offset) noexcept {
    return detail::write_some_request(number(), from, offset, alignment_);
  }

  /// What was written, and the file's own data, is on the medium. After an error it is not known what is.
  [[nodiscard("co_await it")]] detail::plain_request sync() noexcept {
    return detail::plain_request(call(os::file_code::sync));
  }
  /// The same, without what is not needed to read it back, as times.
  [[nodiscard("co_await it")]] detail::plain_request data_sync() noexcept {
    return detail::plain_request(call(os::file_code::data_sync));
  }
  [[nodiscard("co_await it")]] detail::stat_request metadata() const noexcept {
    return detail::stat_request(number(), nullptr, true);
  }
  /// Cuts it, or lets it grow by zeros. Units: bytes.
  [[nodiscard("co_await it")]] detail::plain_request set_size(std::uint64_t size) noexcept {
    return detail::plain_request(call(os::file_code::set_size, size));
  }
  /// Has the medium keep room for [offset, offset + size), and the file grow to it.
  ///
  /// Errors  no_space_on_device; operation_not_supported by some file systems
  [[nodiscard("co_await it")]] detail::plain_request allocate(std::uint64_t offset,
                                                              std::uint64_t size) noexcept {
    return detail::plain_request(call(os::file_code::allocate, offset, size));
  }

  /// An advisory lock of this open file against others that were opened elsewhere, in this process, too.
  /// Never waits; goes with unlock(), or when it is closed. Errors: operation_would_block.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> try_lock() noexcept {
    return os::try_lock(number(), false);
  }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> try_lock_shared() noexcept {
    return os::try_lock(number(), true);
  }
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> unlock() noexcept { return os::unlock(number()); }

  /// Closed afterwards, whatever the result, and also when a stop comes: a stop waits for it.
  ///
  /// Errors  what the system had not said yet of earlier writes. That they are on the medium only
  ///         sync() says
  task<result<void>> close();

  direct_alignment alignment() const noexcept { return alignment_; }

  /// Blocking: what info() would be now. Of an open file on a local medium that is a call without a wait.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<file_info> blocking_info() const noexcept;

  /// Blocking: reads until `to` is full or the file ends.
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> blocking_read_at(
      std::span<std::byte> to, std::uint64_t offset) const noexcept {
    return os::read_at(number(), to.data(), to.size(), offset);
  }

 private:
  friend task<result<file>> open(std::string path, open_options how);
  int number() const noexcept { return fd_.get().get(); }
  os::file_call call(os::file_code code, std::uint64_t offset = 0,
                     std::uint64_t length = 0) const noexcept {
    os::file_call c;
    c.code = code;
    c.file = number();
    c.offset = offset;
    c.length = static_cast<std::size_t>(length);
    return c;
  }

  detail::kept_fd fd_;
  file_info info_;
  direct_alignment alignment_;
};

/// Opens a file. A pipe is not waited for, but refused, as all that has no positions.
///
/// Errors  invalid_argument: options that contradict each other, or a zero byte in the path;
///         file_exists (create_new); invalid_seek: a pipe or terminal; those of open(2)
/// Cancel  stopped: it was not opened. (A file may have been made, or emptied, where the kernel was at
///         it: then the file is given, and closed with what the stop destroys)
task<result<file>> open(std::string path, open_options how = {});

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
