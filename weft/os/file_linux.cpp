#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "weft/os/error.hpp"
#include "weft/os/file.hpp"

namespace weft::os {
namespace {

constexpr int reading = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

/// Retries a call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) noexcept {
  for (;;) {
    const auto answer = call();
    if (answer >= 0 || errno != EINTR) return answer;
  }
}

file_info from_stat(const struct stat& s) noexcept {
  file_info info;
  info.kind = S_ISREG(s.st_mode)   ? file_kind::regular
              : S_ISDIR(s.st_mode) ? file_kind::directory
                                   : file_kind::other;
  info.size = static_cast<std::uint64_t>(s.st_size);
  info.modified_ns =
      static_cast<std::int64_t>(s.st_mtim.tv_sec) * 1'000'000'000 + s.st_mtim.tv_nsec;
  info.inode = s.st_ino;
  return info;
}

/// For kernels (and sandboxes) without openat2: name by name, following no link at all.
result<fd> walk_beneath(const fd& directory, const char* relative_path) noexcept {
  fd here(::fcntl(directory.get(), F_DUPFD_CLOEXEC, 0));
  if (!here) return std::unexpected(last_error());
  const char* rest = relative_path;
  for (;;) {
    while (*rest == '/') ++rest;
    const std::size_t n = std::strcspn(rest, "/");
    if (n == 0) return here;
    char name[256];
    if (n >= sizeof name) return std::unexpected(from_errno(ENAMETOOLONG));
    std::memcpy(name, rest, n);
    name[n] = '\0';
    if (std::strcmp(name, "..") == 0) return std::unexpected(from_errno(EACCES));
    const int next = uninterrupted(
        [&] { return ::openat(here.get(), name, reading | O_NOFOLLOW); });
    if (next < 0) return std::unexpected(errno == ELOOP ? from_errno(EACCES) : last_error());
    here = fd(next);
    rest += n;
  }
}

}  // namespace

result<fd> open_directory(const char* path) noexcept {
  const int number =
      uninterrupted([&] { return ::open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY); });
  if (number < 0) return std::unexpected(last_error());
  return fd(number);
}

result<fd> open_beneath(const fd& directory, const char* relative_path) noexcept {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(reading);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  constexpr int races_max = 16;  // EAGAIN: a folder on the way was renamed meanwhile
  for (int attempt = 0; attempt < races_max; ++attempt) {
    const long number = uninterrupted([&] {
      return ::syscall(SYS_openat2, directory.get(), relative_path, &how, sizeof how);
    });
    if (number >= 0) return fd(static_cast<int>(number));
    if (errno == ENOSYS || errno == EPERM) return walk_beneath(directory, relative_path);
    if (errno == EXDEV) return std::unexpected(from_errno(EACCES));  // it led out
    if (errno != EAGAIN) return std::unexpected(last_error());
  }
  return std::unexpected(from_errno(EAGAIN));
}

result<file_info> info_of(const fd& file) noexcept {
  struct stat s {};
  if (::fstat(file.get(), &s) != 0) return std::unexpected(last_error());
  return from_stat(s);
}

result<std::size_t> read_at(const fd& file, std::span<std::byte> to, std::uint64_t offset) noexcept {
  std::size_t done = 0;
  while (done < to.size()) {
    const auto n = uninterrupted([&] {
      return ::pread(file.get(), to.data() + done, to.size() - done,
                     static_cast<off_t>(offset + done));
    });
    if (n < 0) return std::unexpected(last_error());
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

result<std::vector<directory_entry>> list_directory(const fd& directory) {
  // Opened anew: the stream has a position of its own, and closes what it is given.
  const int number = uninterrupted(
      [&] { return ::openat(directory.get(), ".", O_RDONLY | O_CLOEXEC | O_DIRECTORY); });
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
  while (const dirent* e = ::readdir(stream.get())) {
    if (std::strcmp(e->d_name, ".") == 0 || std::strcmp(e->d_name, "..") == 0) continue;
    struct stat s {};
    if (::fstatat(directory.get(), e->d_name, &s, 0) != 0) continue;
    entries.push_back({e->d_name, from_stat(s)});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

result<std::size_t> send_file_now(int socket, const fd& file, std::uint64_t offset,
                                  std::size_t count) noexcept {
  auto at = static_cast<off_t>(offset);
  const auto n = uninterrupted([&] { return ::sendfile(socket, file.get(), &at, count); });
  if (n < 0) return std::unexpected(last_error());
  return static_cast<std::size_t>(n);
}

}  // namespace weft::os
