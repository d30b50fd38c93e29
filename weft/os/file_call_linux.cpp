#include "weft/os/file_call.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "weft/os/error.hpp"

namespace weft::os {
namespace {

static_assert(current_directory == AT_FDCWD);
static_assert(sizeof(struct statx) == sizeof(file_stat));

constexpr std::size_t bytes_max = std::size_t{1} << 30;  // of one call
// Of Linux 6.1; headers may be older.
constexpr unsigned want_direct = 0x2000;
// Where stx_dio_mem_align and stx_dio_offset_align are.
constexpr std::size_t direct_at = 152;

/// Retries what a signal interrupted. 0 or more, or -errno.
template <class Call>
std::int64_t uninterrupted(Call call) noexcept {
  for (;;) {
    const std::int64_t answer = call();
    if (answer >= 0) return answer;
    if (errno != EINTR) return -errno;
  }
}

std::int64_t move_once(const file_call& c, std::size_t moved) noexcept {
  auto* const at = static_cast<char*>(c.buffer) + moved;
  const std::size_t n = std::min(c.length - moved, bytes_max);
  const auto offset = static_cast<off_t>(c.offset + moved);
  return uninterrupted([&]() -> std::int64_t {
    return c.code == file_code::write ? ::pwrite(c.file, at, n, offset)
                                      : ::pread(c.file, at, n, offset);
  });
}

}  // namespace

std::int64_t clamped_ns(std::int64_t seconds, std::int64_t ns) noexcept {
  std::int64_t all;
  if (!__builtin_mul_overflow(seconds, std::int64_t{1'000'000'000}, &all) &&
      !__builtin_add_overflow(all, ns, &all)) {
    return all;
  }
  return seconds < 0 ? std::numeric_limits<std::int64_t>::min()
                     : std::numeric_limits<std::int64_t>::max();
}

namespace {

std::int64_t ns(const statx_timestamp& t) noexcept { return clamped_ns(t.tv_sec, t.tv_nsec); }

}  // namespace

result<file_call> call_to_open(const char* path, const open_options& how) noexcept {
  const bool writes = how.write || how.append;
  const bool contradicts = (!how.read && !writes) || (how.truncate && (!how.write || how.append)) ||
                           ((how.create || how.create_new) && !writes);
  if (contradicts) return std::unexpected(from_errno(EINVAL));
  // NONBLOCK: a pipe without a peer, or a device, must not keep the thread; expect_to_wait() comes later.
  int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
  flags |= !writes ? O_RDONLY : how.read ? O_RDWR : O_WRONLY;
  if (how.create || how.create_new) flags |= O_CREAT;
  if (how.create_new) flags |= O_EXCL;
  if (how.truncate) flags |= O_TRUNC;
  if (how.append) flags |= O_APPEND;
  if (how.direct) flags |= O_DIRECT;
  file_call c;
  c.code = file_code::open;
  c.path = path;
  c.flags = static_cast<std::uint32_t>(flags);
  c.mode = flags & O_CREAT ? how.mode & 07777 : 0;
  return c;
}

file_call call_to_stat(int file, const char* path, bool follow, file_stat& to) noexcept {
  file_call c;
  c.code = file_code::stat;
  c.file = file;
  c.path = path != nullptr ? path : "";
  c.flags = static_cast<std::uint32_t>((path == nullptr ? AT_EMPTY_PATH : 0) |
                                       (follow ? 0 : AT_SYMLINK_NOFOLLOW));
  c.mode = STATX_BASIC_STATS | STATX_BTIME | want_direct;
  c.buffer = &to;
  return c;
}

file_call call_to_rename(const char* from, const char* to, bool replace) noexcept {
  file_call c;
  c.code = file_code::rename;
  c.path = from;
  c.to_path = to;
  c.flags = replace ? 0 : RENAME_NOREPLACE;
  return c;
}

file_call call_to_remove(int folder, const char* path, bool a_folder) noexcept {
  file_call c;
  c.code = file_code::remove;
  c.file = folder;
  c.path = path;
  c.flags = a_folder ? AT_REMOVEDIR : 0;
  return c;
}

file_metadata metadata_of(const file_stat& from) noexcept {
  struct statx s;
  std::memcpy(&s, from.bytes.data(), sizeof s);
  file_metadata m;
  m.kind = S_ISREG(s.stx_mode)   ? file_kind::regular
           : S_ISDIR(s.stx_mode) ? file_kind::directory
           : S_ISLNK(s.stx_mode) ? file_kind::symbolic_link
                                 : file_kind::other;
  m.size = s.stx_size;
  m.allocated = s.stx_blocks * 512;
  m.modified_ns = ns(s.stx_mtime);
  m.accessed_ns = ns(s.stx_atime);
  m.changed_ns = ns(s.stx_ctime);
  if ((s.stx_mask & STATX_BTIME) != 0) m.created_ns = ns(s.stx_btime);
  m.inode = s.stx_ino;
  m.device = makedev(s.stx_dev_major, s.stx_dev_minor);
  m.links = s.stx_nlink;
  m.permissions = s.stx_mode & 07777u;
  m.owner = s.stx_uid;
  m.group = s.stx_gid;
  if ((s.stx_mask & want_direct) != 0) {
    std::memcpy(&m.direct_memory, from.bytes.data() + direct_at, sizeof m.direct_memory);
    std::memcpy(&m.direct_offset, from.bytes.data() + direct_at + 4, sizeof m.direct_offset);
  }
  return m;
}

std::int64_t blocking_file_call(const file_call& c, bool whole, std::size_t& moved) noexcept {
  moved = 0;
  const auto offset = static_cast<off_t>(c.offset);
  switch (c.code) {
    case file_code::open:
      return uninterrupted([&]() -> std::int64_t {
        return ::openat(c.file, c.path, static_cast<int>(c.flags), static_cast<mode_t>(c.mode));
      });
    case file_code::read:
    case file_code::write:
      for (;;) {
        const std::int64_t n = move_once(c, moved);
        if (n < 0) return n;
        moved += static_cast<std::size_t>(n);
        // Nothing written is not the end, as nothing read is: to say that all is there would be wrong.
        if (n == 0 && whole && c.code == file_code::write && moved < c.length) return -EIO;
        if (n == 0 || !whole || moved >= c.length) return static_cast<std::int64_t>(moved);
      }
    case file_code::sync:
      return uninterrupted([&]() -> std::int64_t { return ::fsync(c.file); });
    case file_code::data_sync:
      return uninterrupted([&]() -> std::int64_t { return ::fdatasync(c.file); });
    case file_code::stat:
      return uninterrupted([&]() -> std::int64_t {
        return ::statx(c.file, c.path, static_cast<int>(c.flags), c.mode,
                       static_cast<struct statx*>(c.buffer));
      });
    case file_code::set_size:
      return uninterrupted([&]() -> std::int64_t { return ::ftruncate(c.file, offset); });
    case file_code::allocate:
      return uninterrupted([&]() -> std::int64_t {
        return ::fallocate(c.file, 0, offset, static_cast<off_t>(c.length));
      });
    case file_code::rename:
      return uninterrupted([&]() -> std::int64_t {
        return ::renameat2(c.file, c.path, c.file, c.to_path, c.flags);
      });
    case file_code::remove:
      return uninterrupted(
          [&]() -> std::int64_t { return ::unlinkat(c.file, c.path, static_cast<int>(c.flags)); });
    case file_code::make_directory:
      return uninterrupted(
          [&]() -> std::int64_t { return ::mkdirat(c.file, c.path, static_cast<mode_t>(c.mode)); });
  }
  return -ENOSYS;
}

result<void> expect_to_wait(int file) noexcept {
  if (::lseek(file, 0, SEEK_CUR) < 0) return std::unexpected(last_error());
  const int flags = ::fcntl(file, F_GETFL);
  if (flags >= 0 && (flags & O_NONBLOCK) != 0) ::fcntl(file, F_SETFL, flags & ~O_NONBLOCK);
  return {};
}

result<void> try_lock(int file, bool shared) noexcept {
  const std::int64_t answer = uninterrupted(
      [&]() -> std::int64_t { return ::flock(file, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB); });
  if (answer < 0) return std::unexpected(from_errno(static_cast<int>(-answer)));
  return {};
}

result<void> unlock(int file) noexcept {
  const std::int64_t answer =
      uninterrupted([&]() -> std::int64_t { return ::flock(file, LOCK_UN); });
  if (answer < 0) return std::unexpected(from_errno(static_cast<int>(-answer)));
  return {};
}

}  // namespace weft::os
