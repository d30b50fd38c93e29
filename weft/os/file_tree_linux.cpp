#include "weft/os/file_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include "weft/os/error.hpp"
#include "weft/os/uninterrupted.hpp"

namespace weft::os {
namespace {

constexpr std::size_t listing_bytes = std::size_t{32} << 10;  // of one next_entries()

std::unexpected<std::error_code> failed(int number) noexcept {
  return std::unexpected(from_errno(number));
}
std::unexpected<std::error_code> failed() noexcept { return std::unexpected(last_error()); }

file_kind kind_of(unsigned char type) noexcept {
  switch (type) {
    case DT_REG:
      return file_kind::regular;
    case DT_DIR:
      return file_kind::directory;
    case DT_LNK:
      return file_kind::symbolic_link;
    default:
      return file_kind::other;
  }
}

/// What getdents64 gives, up to its name.
struct raw_entry {
  std::uint64_t inode;
  std::int64_t next;
  std::uint16_t length;
  std::uint8_t type;
};
constexpr std::size_t name_at = 19;

}  // namespace

std::string without_slashes_at_end(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

bool ends_in_dots(const std::string& path) noexcept {
  const std::size_t end = path.find_last_not_of('/');
  if (end == path.npos) return false;
  const std::size_t before = path.find_last_of('/', end);
  const std::string_view last = std::string_view(path).substr(before + 1, end - before);
  return last == "." || last == "..";
}

result<fd> open_folder(int at, const std::string& path, bool follow) noexcept try {
  // O_NOFOLLOW is about the last name, which is an empty one behind a slash: the link would be followed.
  if (!follow && path.size() > 1 && path.back() == '/') {
    return open_folder(at, without_slashes_at_end(path), follow);
  }
  const int flags = O_RDONLY | O_CLOEXEC | O_DIRECTORY | (follow ? 0 : O_NOFOLLOW);
  const int number = uninterrupted([&] { return ::openat(at, path.c_str(), flags); });
  if (number < 0) return failed();
  return fd(number);
} catch (const std::bad_alloc&) {
  return failed(ENOMEM);
}

result<std::vector<folder_entry>> next_entries(int folder) noexcept try {
  alignas(8) std::array<char, listing_bytes> raw;
  std::vector<folder_entry> entries;
  while (entries.empty()) {  // a piece may hold no more than "." and ".."
    const long n =
        uninterrupted([&] { return ::syscall(SYS_getdents64, folder, raw.data(), raw.size()); });
    if (n < 0 && errno == ENOENT) break;  // it was removed: nothing is in it
    if (n < 0) return failed();
    if (n == 0) break;
    for (const char* p = raw.data(); p < raw.data() + n;) {
      raw_entry e;
      std::memcpy(&e, p, name_at);
      const char* const name = p + name_at;
      p += e.length;
      if (std::strcmp(name, ".") == 0 || std::strcmp(name, "..") == 0) continue;
      file_kind kind = kind_of(e.type);
      struct stat s;
      if (e.type == DT_UNKNOWN && ::fstatat(folder, name, &s, AT_SYMLINK_NOFOLLOW) == 0) {
        kind = kind_of(static_cast<unsigned char>(IFTODT(s.st_mode)));
      }
      entries.push_back({name, kind, e.inode});
    }
  }
  return entries;
} catch (const std::bad_alloc&) {
  return failed(ENOMEM);
}

void rewind_entries(int folder) noexcept { ::lseek(folder, 0, SEEK_SET); }

result<file_metadata> stat_at(int folder, const std::string& name, bool follow) noexcept {
  file_stat s;
  std::size_t moved;
  const std::int64_t answer = blocking_file_call(
      call_to_stat(folder, name.empty() ? nullptr : name.c_str(), follow, s), false, moved);
  if (answer < 0) return failed(static_cast<int>(-answer));
  return metadata_of(s);
}

// --- Removing

result<void> remove_at(int folder, const std::string& name, bool a_folder) noexcept {
  if (uninterrupted([&] { return ::unlinkat(folder, name.c_str(), a_folder ? AT_REMOVEDIR : 0); }) <
      0) {
    return failed();
  }
  return {};
}

result<emptied> remove_entries(int folder) noexcept try {
  auto entries = next_entries(folder);
  if (!entries) return std::unexpected(entries.error());
  emptied round;
  round.at_end = entries->empty();
  for (auto& e : *entries) {
    const bool a_folder = e.kind == file_kind::directory;
    auto gone = remove_at(folder, e.name, a_folder);
    if (!gone && !a_folder && gone.error() == std::errc::is_a_directory) {
      round.folders.push_back(std::move(e.name));  // it became one meanwhile
      continue;
    }
    if (gone) {
      ++round.removed;
    } else if (a_folder && (gone.error() == std::errc::directory_not_empty ||
                            gone.error() == std::errc::file_exists)) {
      round.folders.push_back(std::move(e.name));
    } else if (a_folder && gone.error() == std::errc::not_a_directory) {
      gone = remove_at(folder, e.name, false);  // a file or link has taken its place
      if (!gone && gone.error() != std::errc::no_such_file_or_directory) {
        return std::unexpected(gone.error());
      }
    } else if (gone.error() != std::errc::no_such_file_or_directory) {
      return std::unexpected(gone.error());
    }
  }
  return round;
} catch (const std::bad_alloc&) {
  return failed(ENOMEM);
}

namespace {

/// Not with remove_entries(), which ends at the first that cannot go: the others shall.
void empty_folder(int folder, int depth) noexcept {
  if (depth == 0) return;
  for (int pass = 0; pass < 2; ++pass, rewind_entries(folder)) {
    for (;;) {
      const auto entries = next_entries(folder);
      if (!entries || entries->empty()) break;
      for (const folder_entry& e : *entries) {
        const auto gone = remove_at(folder, e.name, false);
        if (gone || gone.error() != std::errc::is_a_directory) continue;
        if (auto below = open_folder(folder, e.name, false)) {
          empty_folder(below->get(), depth - 1);
          static_cast<void>(remove_at(folder, e.name, true));
        }
      }
    }
  }
}

}  // namespace

void remove_tree(const std::string& asked) noexcept try {
  constexpr int depth_max = 256;  // of the stack
  const std::string path = without_slashes_at_end(asked);
  if (ends_in_dots(path)) return;
  const auto gone = remove_at(AT_FDCWD, path, false);
  if (gone || gone.error() != std::errc::is_a_directory) return;
  if (auto top = open_folder(AT_FDCWD, path, false)) empty_folder(top->get(), depth_max);
  static_cast<void>(remove_at(AT_FDCWD, path, true));
} catch (const std::bad_alloc&) {  // it stays
}

// --- Temporary names

namespace {

/// 80 random bits: nobody guesses it, and it is not taken.
result<std::string> unlikely_name(const std::string& prefix) {
  static constexpr char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
  std::array<unsigned char, 16> random;
  std::size_t got = 0;
  while (got < random.size()) {
    const auto n = ::getrandom(random.data() + got, random.size() - got, 0);
    if (n < 0 && errno != EINTR) return failed();  // a sandbox may deny it
    if (n > 0) got += static_cast<std::size_t>(n);
  }
  std::string name = prefix;
  for (const unsigned char r : random) name += letters[r % 32];
  return name;
}

constexpr int names_max = 64;  // that are tried, if each is taken

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// A new file beside `path`, under a name that is said, or none (O_TMPFILE) where the system has that.
result<named_fd> make_beside(const std::string& path, bool nameless, std::uint32_t mode) {
  const std::string folder = folder_of(path);
  // Without /proc it could not be given its name later: see name_it().
  if (nameless && ::access("/proc/self/fd", X_OK) == 0) {
    const int number = uninterrupted([&] {
      return ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, static_cast<mode_t>(mode));
    });
    if (number >= 0) return named_fd{fd(number), {}};
    if (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT && errno != EINVAL) {
      return failed();
    }
  }
  for (int i = 0; i < names_max; ++i) {
    const auto last = unlikely_name(".weft-");
    if (!last) return std::unexpected(last.error());
    std::string name = folder + "/" + *last;
    const int number = uninterrupted([&] {
      return ::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                    static_cast<mode_t>(mode));
    });
    if (number >= 0) return named_fd{fd(number), std::move(name)};
    if (errno != EEXIST) return failed();
  }
  return failed(EEXIST);
}

/// Gives a nameless file a name beside `path`.
result<std::string> name_it(int file, const std::string& path) {
  const std::string self = "/proc/self/fd/" + std::to_string(file);
  for (int i = 0; i < names_max; ++i) {
    const auto last = unlikely_name(".weft-");
    if (!last) return std::unexpected(last.error());
    std::string name = folder_of(path) + "/" + *last;
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      return name;
    }
    if (errno != EEXIST) return failed();
  }
  return failed(EEXIST);
}

result<void> sync_folder_of(const std::string& path) {
  auto folder = open_folder(AT_FDCWD, folder_of(path), true);
  if (!folder) return std::unexpected(folder.error());
  // Some file systems cannot, and say so: they need it no more than what cannot be done.
  const int synced = uninterrupted([&] { return ::fsync(folder->get()); });
  if (synced < 0 && errno != EINVAL && errno != EROFS) return failed();
  return {};
}

result<void> write_whole(int file, std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const auto n = uninterrupted([&] { return ::write(file, bytes.data(), bytes.size()); });
    if (n < 0) return failed();
    if (n == 0) return failed(EIO);  // no file does that; it would be asked for ever
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

/// The path with links followed at its end, also where the last one leads to nothing yet; itself where
/// nothing is there.
result<std::string> followed(std::string path) {
  constexpr int links_max = 40;  // as the kernel's
  struct stat s;
  for (int i = 0; i < links_max; ++i) {
    if (::lstat(path.c_str(), &s) != 0 || !S_ISLNK(s.st_mode)) return path;
    // The kernel says first whether it would go there: not for all links in folders that all may write to.
    if (::stat(path.c_str(), &s) != 0 && errno != ENOENT) return failed();
    std::array<char, PATH_MAX> target;
    const auto n = ::readlink(path.c_str(), target.data(), target.size());
    if (n < 0) return failed();
    const std::string_view to(target.data(), static_cast<std::size_t>(n));
    path = to.starts_with('/') ? std::string(to) : folder_of(path) + "/" + std::string(to);
  }
  return failed(ELOOP);
}

/// Removes a name again unless it is kept.
class unless_kept {
 public:
  explicit unless_kept(std::string& name) noexcept : name_(name) {}
  ~unless_kept() {
    if (!name_.empty()) ::unlink(name_.c_str());
  }
  unless_kept(const unless_kept&) = delete;
  unless_kept& operator=(const unless_kept&) = delete;

 private:
  std::string& name_;
};

}  // namespace

std::string temporary_folder() {
  const char* const wish = ::secure_getenv("TMPDIR");
  return wish != nullptr && *wish != '\0' ? wish : "/tmp";
}

result<named_fd> make_temporary(const std::string& folder, const std::string& prefix,
                                bool a_folder) noexcept try {
  const std::string where = folder.empty() ? temporary_folder() : folder;
  for (int i = 0; i < names_max; ++i) {
    const auto last = unlikely_name(prefix);
    if (!last) return std::unexpected(last.error());
    named_fd made;
    made.path = where + "/" + *last;
    if (a_folder) {
      if (::mkdir(made.path.c_str(), 0700) == 0) return made;
    } else {
      const int number = uninterrupted([&] {
        return ::open(made.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
      });
      if (number >= 0) {
        made.descriptor = fd(number);
        return made;
      }
    }
    if (errno != EEXIST) return failed();
  }
  return failed(EEXIST);
} catch (const std::bad_alloc&) {
  return failed(ENOMEM);
}

// --- Whole files

result<void> replace_file(const std::string& asked, std::span<const std::byte> bytes, bool durable,
                          std::uint32_t mode) noexcept try {
  const auto path = followed(asked);
  if (!path) return std::unexpected(path.error());
  struct stat old;
  const bool exists = ::stat(path->c_str(), &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) return failed(EISDIR);
  if (exists && !S_ISREG(old.st_mode)) return failed(EINVAL);  // a device or pipe is not replaced
  auto made = make_beside(*path, true, exists ? 0600 : mode);
  if (!made) return std::unexpected(made.error());
  std::string& name = made->path;
  const unless_kept cleanup(name);
  const int file = made->descriptor.get();
  // As the old one: to whom it belongs first, which takes away special bits.
  if (exists) {
    constexpr auto unchanged = static_cast<uid_t>(-1);
    mode_t keep = old.st_mode & 07777u;
    const bool group = ::fchown(file, unchanged, old.st_gid) == 0;
    const bool owner = ::fchown(file, old.st_uid, unchanged) == 0;
    // Refused, it is ours: no program is to run as us because it ran as them, and our group gets no
    // more than everybody has.
    if (!owner || !group) keep &= 01777u;
    if (!group) keep = (keep & ~070u) | ((keep & (keep << 3)) & 070u);
    if (::fchmod(file, keep) != 0) return failed();
  }
  if (auto wrote = write_whole(file, bytes); !wrote) return wrote;
  if (durable && uninterrupted([&] { return ::fsync(file); }) < 0) return failed();
  if (name.empty()) {
    auto named = name_it(file, *path);
    if (!named) return std::unexpected(named.error());
    name = std::move(*named);
  }
  // Some file systems say only here that the bytes did not fit.
  if (const std::error_code why = made->descriptor.close()) return std::unexpected(why);
  if (::rename(name.c_str(), path->c_str()) != 0) return failed();
  name.clear();
  if (durable) return sync_folder_of(*path);
  return {};
} catch (const std::bad_alloc&) {
  return failed(ENOMEM);
}

result<void> append_file(const std::string& path, std::span<const std::byte> bytes, bool durable,
                         std::uint32_t mode) noexcept try {
  // Whether it is new: then its name must be on the medium, too.
  bool made = true;
  int number = uninterrupted([&] {
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  });
  if (number >= 0) {
    made = false;
  } else if (errno == ENOENT) {
    number = uninterrupted([&] {
      return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                    static_cast<mode_t>(mode));
    });
  }
  if (number < 0) return failed();
  fd file(number);
  if (auto wait = expect_to_wait(number); !wait) return wait;
  if (auto wrote = write_whole(number, bytes); !wrote) return wrote;
  if (durable && uninterrupted([&] { return ::fsync(number); }) < 0) return failed();
  if (durable && made) {
    if (auto synced = sync_folder_of(path); !synced) return synced;
  }
  const std::error_code why = file.close();
  if (why) return std::unexpected(why);
  return {};
} catch (const std::bad_alloc&) {
  return failed(ENOMEM);
}

// --- Copies

file_copy::file_copy(file_copy&& other) noexcept
    : from_(std::move(other.from_)),
      to_(std::move(other.to_)),
      made_(std::move(other.made_)),
      place_(std::move(other.place_)),
      done_(other.done_),
      permissions_(other.permissions_),
      way_(other.way_) {
  other.made_.clear();
}

file_copy::~file_copy() {
  if (!made_.empty()) ::unlink(made_.c_str());
}

result<file_copy> file_copy::begin(const std::string& from, const std::string& to,
                                   bool replace) noexcept try {
  file_copy c;
  int number = uninterrupted(
      [&] { return ::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); });
  if (number < 0) return failed();
  c.from_ = fd(number);
  struct stat s;
  if (::fstat(number, &s) != 0) return failed();
  if (S_ISDIR(s.st_mode)) return failed(EISDIR);
  if (!S_ISREG(s.st_mode)) return failed(EINVAL);
  if (auto wait = expect_to_wait(number); !wait) return std::unexpected(wait.error());
  c.permissions_ = s.st_mode & 0777;  // not the special bits: the copy is of whoever copies
  if (replace) {
    auto place = followed(to);
    if (!place) return std::unexpected(place.error());
    struct stat there;
    if (::stat(place->c_str(), &there) == 0) {
      if (S_ISDIR(there.st_mode)) return failed(EISDIR);
      if (!S_ISREG(there.st_mode)) return failed(EINVAL);
      // On itself: it would be done, and nothing had changed.
      if (there.st_dev == s.st_dev && there.st_ino == s.st_ino) return failed(EINVAL);
    }
    auto beside = make_beside(*place, false, 0600);
    if (!beside) return std::unexpected(beside.error());
    c.to_ = std::move(beside->descriptor);
    c.made_ = std::move(beside->path);
    c.place_ = std::move(*place);
  } else {
    std::string name = to;  // before there is something to remove
    number = uninterrupted([&] {
      return ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0600);
    });
    if (number < 0) return failed();
    c.to_ = fd(number);
    c.made_ = std::move(name);
  }
  return c;
} catch (const std::bad_alloc&) {
  return failed(ENOMEM);
}

result<std::size_t> file_copy::move_some(std::size_t limit) noexcept {
  // Both files' own positions are used, which nobody else has: so a change of way needs no look back.
  if (way_ == how::in_kernel) {
    const auto n = uninterrupted(
        [&] { return ::copy_file_range(from_.get(), nullptr, to_.get(), nullptr, limit, 0); });
    // Some files of /proc and /sys say 0 here and have something to read: the next way asks them again.
    if (n > 0 || (n == 0 && done_ != 0)) return static_cast<std::size_t>(n);
    if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP &&
        errno != EBADF && errno != EPERM && errno != ETXTBSY) {
      return failed();
    }
    way_ = how::send_file;
  }
  if (way_ == how::send_file) {
    // To a file it raises no SIGPIPE.
    const auto n = uninterrupted([&]() -> std::int64_t {
      return ::syscall(SYS_sendfile, to_.get(), from_.get(), nullptr, limit);
    });
    if (n >= 0) return static_cast<std::size_t>(n);
    if (errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) return failed();
    way_ = how::read_write;
  }
  std::array<std::byte, std::size_t{64} << 10> buffer;
  const auto n = uninterrupted([&] {
    return ::read(from_.get(), buffer.data(), limit < buffer.size() ? limit : buffer.size());
  });
  if (n < 0) return failed();
  const auto wrote = write_whole(to_.get(), std::span(buffer).first(static_cast<std::size_t>(n)));
  if (!wrote) return std::unexpected(wrote.error());
  return static_cast<std::size_t>(n);
}

result<bool> file_copy::step(std::uint64_t limit) noexcept {
  for (const std::uint64_t until = done_ + limit; done_ < until;) {
    const auto n = move_some(static_cast<std::size_t>(until - done_));
    if (!n) return std::unexpected(n.error());
    if (*n == 0) {
      const auto ended = finish();
      if (!ended) return std::unexpected(ended.error());
      return false;
    }
    done_ += *n;
  }
  return true;
}

result<void> file_copy::finish() noexcept {
  // At the end only: a copy that is not whole is nobody else's to read, and not to be run.
  if (::fchmod(to_.get(), static_cast<mode_t>(permissions_)) != 0) return failed();
  const std::error_code why = to_.close();
  if (why) return std::unexpected(why);
  if (!place_.empty() && ::rename(made_.c_str(), place_.c_str()) != 0) return failed();
  made_.clear();
  return {};
}

}  // namespace weft::os
