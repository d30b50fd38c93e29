#include "weft/fs/file.hpp"

#include "weft/fs/destroy_later.hpp"
#include "weft/fs/on_pool.hpp"
#include "weft/os/error.hpp"
#include "weft/task/shield_scope.hpp"

namespace weft::fs {
namespace {

class misaligned_category final : public std::error_category {
 public:
  const char* name() const noexcept override { return "weft.fs"; }
  std::string message(int) const override {
    return "direct I/O: the buffer, the offset and the length must be multiples of what "
           "file::alignment() says; see fs::aligned_buffer";
  }
  std::error_condition default_error_condition(int) const noexcept override {
    return std::make_error_condition(std::errc::invalid_argument);
  }
};

file_info from_system(const os::file_info& i) noexcept {
  return file_info{i.kind, i.size, i.mtime_ns, i.inode, i.ctime_ns, i.device};
}

result<void> close_now(os::fd descriptor) noexcept {
  const std::error_code why = descriptor.close();
  if (why) return std::unexpected(why);
  return {};
}

}  // namespace

std::error_code misaligned() noexcept {
  static const misaligned_category category;
  return std::error_code(1, category);
}

namespace detail {

void kept_fd::drop() noexcept {
  if (!fd_) return;
  if (slow_) destroy_later(std::move(fd_));
  fd_.close();
}

transfer_request::transfer_request(os::file_code code, int file, const void* bytes,
                                   std::size_t size, std::uint64_t offset, bool whole,
                                   const direct_alignment& needed) noexcept
    : file_request(
          [&] {
            os::file_call c;
            c.code = code;
            c.file = file;
            c.buffer = const_cast<void*>(bytes);  // a write only reads it
            c.length = size;
            c.offset = offset;
            return c;
          }(),
          whole) {
  if (needed.offset > 1 && (reinterpret_cast<std::uintptr_t>(bytes) % needed.memory != 0 ||
                            offset % needed.offset != 0 || size % needed.offset != 0)) {
    misaligned_ = true;
  }
  if ((misaligned_ || size == 0) && !await_ready()) answer_is(0);
}

}  // namespace detail

task<result<file>> open(std::string path, open_options how) {
  if (path.find('\0') != path.npos) {
    co_return std::unexpected(os::from_errno(static_cast<int>(std::errc::invalid_argument)));
  }
  const auto call = os::call_to_open(path.c_str(), how);
  if (!call) co_return std::unexpected(call.error());
  const auto number = co_await detail::count_request(*call);
  if (!number) co_return std::unexpected(number.error());
  file opened;
  opened.fd_ = detail::kept_fd(os::fd(static_cast<int>(*number)), how.write || how.append);
  const auto wait = os::expect_to_wait(opened.number());
  if (!wait) co_return std::unexpected(wait.error());
  if (how.direct) {
    const auto seen = co_await opened.metadata();
    if (!seen) co_return std::unexpected(seen.error());
    constexpr std::size_t safe = 4096;  // where the kernel does not say (before Linux 6.1)
    opened.alignment_.memory = seen->direct_memory != 0 ? seen->direct_memory : safe;
    opened.alignment_.offset = seen->direct_offset != 0 ? seen->direct_offset : safe;
  }
  co_return opened;
}

task<result<void>> file::close() {
  const shield_scope until_closed;
  const bool slow = fd_.slow();
  os::fd descriptor = fd_.take();
  if (!slow) co_return close_now(std::move(descriptor));
  const auto closed = co_await detail::on_pool(&close_now, std::move(descriptor));
  co_return closed;
}

result<file_info> file::blocking_info() const noexcept {
  const auto seen = os::stat(number());
  if (!seen) return std::unexpected(seen.error());
  return from_system(*seen);
}

result<directory> directory::blocking_open(const std::string& path) {
  auto opened = os::open_directory(path);
  if (!opened) return std::unexpected(opened.error());
  return directory(std::move(*opened));
}

result<file> directory::blocking_open_beneath(const std::string& relative) const {
  auto opened = os::open_beneath(fd_.get(), relative);
  if (!opened) return std::unexpected(opened.error());
  const auto info = os::stat(opened->get());
  if (!info) return std::unexpected(info.error());
  return file(std::move(*opened), from_system(*info));
}

result<std::vector<directory_entry>> directory::blocking_list(const file& folder) {
  const int number = folder.descriptor().get();
  auto names = os::list_directory(number);
  if (!names) return std::unexpected(names.error());
  std::vector<directory_entry> entries;
  entries.reserve(names->size());
  for (auto& entry : *names) {
    // Size and time need the thing itself; what cannot be opened is shown without. Nothing else is
    // opened: a device may act on it, and the writer that waits for a pipe's reader would go on.
    file_info info;
    info.kind = entry.kind;
    const bool plain = entry.kind == file_kind::regular || entry.kind == file_kind::directory;
    if (!plain) {
      entries.push_back({std::move(entry.name), info});
      continue;
    }
    if (auto opened = os::open_beneath(number, entry.name)) {
      if (const auto i = os::stat(opened->get())) info = from_system(*i);
    }
    entries.push_back({std::move(entry.name), info});
  }
  return entries;
}

}  // namespace weft::fs
