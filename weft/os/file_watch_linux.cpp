#include "weft/os/file_watch.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <new>

#include "weft/os/error.hpp"

namespace weft::os {
namespace {

constexpr std::uint32_t wanted = IN_CREATE | IN_DELETE | IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO |
                                 IN_DELETE_SELF | IN_MOVE_SELF | IN_EXCL_UNLINK;

bool translate(std::uint32_t mask, watch_code& to) noexcept {
  if ((mask & IN_Q_OVERFLOW) != 0) return to = watch_code::overflow, true;
  if ((mask & IN_CREATE) != 0) return to = watch_code::made, true;
  if ((mask & IN_DELETE) != 0) return to = watch_code::removed, true;
  if ((mask & IN_MOVED_FROM) != 0) return to = watch_code::moved_from, true;
  if ((mask & IN_MOVED_TO) != 0) return to = watch_code::moved_to, true;
  if ((mask & IN_MODIFY) != 0) return to = watch_code::modified, true;
  if ((mask & IN_MOVE_SELF) != 0) return to = watch_code::moved, true;
  // Not DELETE_SELF, which comes when the last link goes, and then IGNORED follows in any case.
  if ((mask & (IN_IGNORED | IN_UNMOUNT)) != 0) return to = watch_code::gone, true;
  return false;
}

}  // namespace

result<fd> make_watch() noexcept {
  const int number = ::inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
  if (number < 0) return std::unexpected(last_error());
  return fd(number);
}

result<int> add_watch(int watch, const std::string& path) noexcept {
  const int number = ::inotify_add_watch(watch, path.c_str(), wanted);
  if (number < 0) return std::unexpected(last_error());
  return number;
}
result<int> add_folder_watch(int watch, const std::string& path) noexcept {
  const int number = ::inotify_add_watch(watch, path.c_str(), wanted | IN_ONLYDIR | IN_DONT_FOLLOW);
  if (number < 0) return std::unexpected(last_error());
  return number;
}
void remove_watch(int watch, int number) noexcept {
  static_cast<void>(::inotify_rm_watch(watch, number));  // it may have gone by itself
}

result<std::vector<raw_watch_event>> read_watch(int watch) noexcept try {
  alignas(inotify_event) std::array<char, std::size_t{16} << 10> raw;
  std::vector<raw_watch_event> events;
  ssize_t n;
  do {
    n = ::read(watch, raw.data(), raw.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) return std::unexpected(last_error());
  for (const char* p = raw.data(); p < raw.data() + n;) {
    inotify_event e;
    std::memcpy(&e, p, sizeof e);
    raw_watch_event event;
    if (translate(e.mask, event.code)) {
      event.number = e.wd;
      event.is_folder = (e.mask & IN_ISDIR) != 0;
      event.cookie = e.cookie;
      if (e.len != 0) event.name = p + sizeof e;  // ends with zeros
      events.push_back(std::move(event));
    }
    p += sizeof e + e.len;
  }
  return events;
} catch (const std::bad_alloc&) {
  return std::unexpected(from_errno(ENOMEM));
}

}  // namespace weft::os
