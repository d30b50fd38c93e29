#include "weft/fs/file.hpp"

namespace weft::fs {
namespace {

file_info from_system(const os::file_info& i) noexcept {
  return file_info{i.kind, i.size, i.mtime_ns, i.inode};
}

}  // namespace

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
