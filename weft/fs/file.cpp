#include "weft/fs/file.hpp"

namespace weft::fs {

result<directory> directory::blocking_open(const std::string& path) {
  auto opened = os::open_directory(path.c_str());
  if (!opened) return std::unexpected(opened.error());
  return directory(std::move(*opened));
}

result<file> directory::blocking_open_beneath(const std::string& relative) const {
  auto opened = os::open_beneath(fd_, relative.c_str());
  if (!opened) return std::unexpected(opened.error());
  const auto info = os::info_of(*opened);
  if (!info) return std::unexpected(info.error());
  return file(std::move(*opened), *info);
}

result<std::vector<directory_entry>> directory::blocking_list(const file& folder) {
  return os::list_directory(folder.descriptor());
}

}  // namespace weft::fs
