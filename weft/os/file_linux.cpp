#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include "weft/os/error.hpp"
#include "weft/os/file.hpp"
#include "weft/os/file_call.hpp"
#include "weft/os/uninterrupted.hpp"

namespace weft::os {
namespace {

constexpr int reading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

file_info from_stat(const struct stat& s) noexcept {
  file_info info;
  info.kind = S_ISREG(s.st_mode)   ? file_kind::regular
              : S_ISDIR(s.st_mode) ? file_kind::directory
              : S_ISLNK(s.st_mode) ? file_kind::symbolic_link
                                   : file_kind::other;
  info.size = static_cast<std::uint64_t>(s.st_size);
  info.mtime_ns = clamped_ns(s.st_mtim.tv_sec, s.st_mtim.tv_nsec);
  info.ctime_ns = clamped_ns(s.st_ctim.tv_sec, s.st_ctim.tv_nsec);
  info.inode = s.st_ino;
  info.device = s.st_dev;
  return info;
}

/// A zero byte would end the name early for the kernel, after others have judged all of it.
bool has_zero(std::string_view name) noexcept { return name.find('\0') != name.npos; }

/// Keeps the SIGPIPE that a call may raise from this thread's handlers. The process's disposition
/// is the user's; MSG_NOSIGNAL is not for sendfile.
class without_sigpipe {
 public:
  without_sigpipe() noexcept {
    ::sigemptyset(&pipe_);
    ::sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
    if (!was_pending_) ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~without_sigpipe() {
    if (!was_pending_) ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  /// The call failed, or stopped halfway: takes away what it may have raised.
  void take_away() noexcept {
    if (was_pending_) return;  // blocked by the user, who wants to see it
    const timespec at_once{};
    while (::sigtimedwait(&pipe_, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  }
  without_sigpipe(const without_sigpipe&) = delete;
  without_sigpipe& operator=(const without_sigpipe&) = delete;

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_;
};

}  // namespace

result<fd> open_beneath_stepwise(int directory, std::string_view relative) noexcept try {
  if (has_zero(relative)) return std::unexpected(from_errno(EINVAL));
  if (relative.empty()) return std::unexpected(from_errno(ENOENT));
  if (relative.front() == '/') return std::unexpected(from_errno(EACCES));
  const std::string path(relative);
  const char* const relative_path = path.c_str();
  fd here(::fcntl(directory, F_DUPFD_CLOEXEC, 0));
  if (!here) return std::unexpected(last_error());
  const char* rest = relative_path;
  for (;;) {
    while (*rest == '/') ++rest;
    const std::size_t n = std::strcspn(rest, "/");
    if (n == 0) {  // "a/b/": b must be a folder; here is only a place (O_PATH) so far
      const int last = uninterrupted([&] { return ::openat(here.get(), ".", reading); });
      if (last < 0) return std::unexpected(last_error());
      return fd(last);
    }
    char name[256];
    if (n >= sizeof name) return std::unexpected(from_errno(ENAMETOOLONG));
    std::memcpy(name, rest, n);
    name[n] = '\0';
    if (std::strcmp(name, "..") == 0) return std::unexpected(from_errno(EACCES));
    rest += n;
    // A folder on the way is not opened for reading: that may be forbidden, and a device may act.
    const bool last = *rest == '\0';
    const int how = last ? reading | O_NOFOLLOW : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const int next = uninterrupted([&] { return ::openat(here.get(), name, how); });
    if (next < 0) {
      int why = errno;
      struct stat s{};
      const bool link = (why == ELOOP || why == ENOTDIR) &&
                        ::fstatat(here.get(), name, &s, AT_SYMLINK_NOFOLLOW) == 0 &&
                        S_ISLNK(s.st_mode);
      return std::unexpected(from_errno(link ? EACCES : why));
    }
    here = fd(next);
    if (last) return here;
  }
} catch (const std::bad_alloc&) {
  return std::unexpected(from_errno(ENOMEM));
}

result<fd> open_directory(std::string_view where) noexcept try {
  if (has_zero(where)) return std::unexpected(from_errno(EINVAL));
  const std::string path(where);
  const int number =
      uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY); });
  if (number < 0) return std::unexpected(last_error());
  return fd(number);
} catch (const std::bad_alloc&) {
  return std::unexpected(from_errno(ENOMEM));
}

result<fd> open_beneath(int directory, std::string_view relative) noexcept try {
  if (has_zero(relative)) return std::unexpected(from_errno(EINVAL));
  const std::string path(relative);
  open_how how{};
  how.flags = static_cast<std::uint64_t>(reading);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  constexpr int races_max = 16;  // EAGAIN: a folder on the way was renamed meanwhile
  for (int attempt = 0; attempt < races_max; ++attempt) {
    const long number = uninterrupted(
        [&] { return ::syscall(SYS_openat2, directory, path.c_str(), &how, sizeof how); });
    if (number >= 0) return fd(static_cast<int>(number));
    if (errno == ENOSYS || errno == EPERM) return open_beneath_stepwise(directory, relative);
    if (errno == EXDEV) return std::unexpected(from_errno(EACCES));  // it led out
    if (errno != EAGAIN) return std::unexpected(last_error());
  }
  return std::unexpected(from_errno(EAGAIN));
} catch (const std::bad_alloc&) {
  return std::unexpected(from_errno(ENOMEM));
}

result<file_info> stat(int file) noexcept {
  struct stat s{};
  if (::fstat(file, &s) != 0) return std::unexpected(last_error());
  return from_stat(s);
}

result<std::size_t> read_at(int file, void* buffer, std::size_t size,
                            std::uint64_t offset) noexcept {
  auto* const to = static_cast<char*>(buffer);
  std::size_t done = 0;
  while (done < size) {
    const auto n = uninterrupted(
        [&] { return ::pread(file, to + done, size - done, static_cast<off_t>(offset + done)); });
    if (n < 0) return std::unexpected(last_error());
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

result<std::vector<directory_entry>> list_directory(int directory) noexcept try {
  // Opened anew: the stream has a position of its own, and closes what it is given.
  const int number =
      uninterrupted([&] { return ::openat(directory, ".", O_RDONLY | O_CLOEXEC | O_DIRECTORY); });
  if (number < 0) return std::unexpected(last_error());
  struct closer {
    void operator()(DIR* d) const noexcept { ::closedir(d); }
  };
  const std::unique_ptr<DIR, closer> stream(::fdopendir(number));
  if (!stream) {
    const auto why = last_error();
    ::close(number);
    return std::unexpected(why);
  }
  std::vector<directory_entry> entries;
  for (;;) {
    errno = 0;  // readdir says in no other way that it failed
    const dirent* const e = ::readdir(stream.get());
    if (e == nullptr && errno != 0) return std::unexpected(last_error());
    if (e == nullptr) break;
    if (std::strcmp(e->d_name, ".") == 0 || std::strcmp(e->d_name, "..") == 0) continue;
    struct stat s{};
    if (::fstatat(directory, e->d_name, &s, 0) != 0) continue;
    entries.push_back({e->d_name, from_stat(s).kind});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
} catch (const std::bad_alloc&) {
  return std::unexpected(from_errno(ENOMEM));
}

result<std::size_t> send_file_now(int socket, int file, std::uint64_t offset,
                                  std::size_t count) noexcept {
  auto at = static_cast<off_t>(offset);
  without_sigpipe guard;
  const auto n = uninterrupted([&] { return ::sendfile(socket, file, &at, count); });
  if (n < 0) {
    const auto why = last_error();
    if (why == std::errc::broken_pipe) guard.take_away();
    return std::unexpected(why);
  }
  const auto sent = static_cast<std::size_t>(n);
  // Many writes in one call: the first ones count although a later one broke the pipe.
  if (sent < count) guard.take_away();
  return sent;
}

}  // namespace weft::os
