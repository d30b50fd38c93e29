#include "weft/fs/read_dir.hpp"

#include <utility>
#include <vector>

#include "weft/fs/on_pool.hpp"
#include "weft/os/error.hpp"

namespace weft::fs {
namespace {

std::error_code code(std::errc why) noexcept { return os::from_errno(static_cast<int>(why)); }

/// A folder that is being read.
struct reading {
  os::fd folder;
  std::vector<folder_entry> entries;  // a piece of them
  std::size_t at = 0;
  std::string path;
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
};

using names = std::vector<folder_entry>;

result<names> more(int folder) noexcept { return os::next_entries(folder); }

/// Opens it and reads the first piece: one trip.
result<reading> enter(int at, std::string name, bool follow) noexcept {
  reading r;
  auto opened = os::open_folder(at, name, follow);
  if (!opened) return std::unexpected(opened.error());
  r.folder = std::move(*opened);
  if (follow) {
    const auto seen = os::stat_at(r.folder.get(), {}, true);
    if (!seen) return std::unexpected(seen.error());
    r.device = seen->device;
    r.inode = seen->inode;
  }
  auto first = os::next_entries(r.folder.get());
  if (!first) return std::unexpected(first.error());
  r.entries = std::move(*first);
  return r;
}

result<file_kind> kind_at(int at, std::string name, bool follow) noexcept {
  const auto seen = os::stat_at(at, name, follow);
  if (!seen) return std::unexpected(seen.error());
  return seen->kind;
}

bool is_walked(const std::vector<reading>& levels, const reading& one) noexcept {
  for (const reading& r : levels) {
    if (r.device == one.device && r.inode == one.inode) return true;
  }
  return false;
}

bool has_zero(const std::string& path) noexcept { return path.find('\0') != path.npos; }

}  // namespace

stream<result<folder_entry>> read_dir(std::string path) {
  if (has_zero(path)) {
    result<folder_entry> bad = std::unexpected(code(std::errc::invalid_argument));
    co_yield std::move(bad);
    co_return;
  }
  auto folder = co_await detail::on_pool(&enter, os::current_directory, std::move(path), true);
  if (!folder) {
    result<folder_entry> why = std::unexpected(folder.error());
    co_yield std::move(why);
    co_return;
  }
  while (!folder->entries.empty()) {
    for (auto& e : folder->entries) {
      result<folder_entry> one = std::move(e);
      co_yield std::move(one);
    }
    auto next = co_await detail::on_pool(&more, folder->folder.get());
    if (!next) {
      result<folder_entry> why = std::unexpected(next.error());
      co_yield std::move(why);
      co_return;
    }
    folder->entries = std::move(*next);
  }
}

stream<walk_entry> walk(std::string path, walk_options how) {
  std::vector<reading> levels;
  walk_entry e;
  e.path = path;
  if (has_zero(path) || path.empty()) {
    e.error =
        code(path.empty() ? std::errc::no_such_file_or_directory : std::errc::invalid_argument);
    co_yield std::move(e);
    co_return;
  }
  // Where it begins a link is followed: somebody has named it.
  const auto first = co_await detail::on_pool(&kind_at, os::current_directory, path, true);
  if (first) {
    e.kind = *first;
  } else {
    e.error = first.error();
  }
  std::string name = std::move(path);
  for (;;) {
    // `e` is the next one, called `name` in the innermost folder.
    const int at = levels.empty() ? os::current_directory : levels.back().folder.get();
    const bool follow = how.follow_links || levels.empty();
    if (follow && e.kind == file_kind::symbolic_link && !e.error) {
      const auto target = co_await detail::on_pool(&kind_at, at, name, true);
      if (target && *target == file_kind::directory) e.kind = file_kind::directory;
    }
    if (e.kind == file_kind::directory && !e.error) {
      if (levels.size() >= how.depth_max) {
        e.error = code(std::errc::too_many_files_open);
      } else {
        auto opened = co_await detail::on_pool(&enter, at, name, follow);
        if (!opened) {
          e.error = opened.error();
        } else if (how.follow_links && is_walked(levels, *opened)) {
          e.error = code(std::errc::too_many_symbolic_link_levels);
        } else {
          opened->path = e.path;
          levels.push_back(std::move(*opened));
        }
      }
    }
    co_yield std::move(e);
    for (;;) {
      if (levels.empty()) co_return;
      reading& here = levels.back();
      if (here.at < here.entries.size()) break;
      if (here.entries.empty()) {
        levels.pop_back();
        continue;
      }
      auto next = co_await detail::on_pool(&more, here.folder.get());
      here.at = 0;
      if (next) {
        here.entries = std::move(*next);
        continue;
      }
      here.entries.clear();
      walk_entry broken;
      broken.path = here.path;
      broken.kind = file_kind::directory;
      broken.depth = static_cast<unsigned>(levels.size()) - 1;
      broken.error = next.error();
      co_yield std::move(broken);
    }
    reading& here = levels.back();
    folder_entry& entry = here.entries[here.at++];
    name = std::move(entry.name);
    e = walk_entry();
    e.path = here.path.ends_with('/') ? here.path + name : here.path + "/" + name;
    e.kind = entry.kind;
    e.depth = static_cast<unsigned>(levels.size());
  }
}

}  // namespace weft::fs
