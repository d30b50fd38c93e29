#include "weft/fs/watch_look.hpp"

#include <iterator>
#include <new>
#include <utility>

#include "weft/os/file_watch.hpp"

namespace weft::fs::detail {
namespace {

bool is_not_there(std::error_code why) noexcept {
  return why == std::errc::no_such_file_or_directory || why == std::errc::not_a_directory ||
         why == std::errc::too_many_symbolic_link_levels ||
         why == std::errc::
                    no_space_on_device;  // what is watched takes no more room: it is another one
}

/// True: the root is where it was. False: it is not.
result<bool> is_in_its_place(int watch, const folder_asked& root) noexcept {
  const auto there = os::add_watch(watch, root.path);
  if (there && *there == root.number) return true;
  if (there) os::remove_watch(watch, *there);
  if (there || is_not_there(there.error())) return false;
  return std::unexpected(there.error());
}

/// Watches it, and opens it to be listed. The root is watched, and may be a link.
std::error_code begin_look(int watch, look_options how, const folder_asked& one,
                           folder_seen& seen) noexcept {
  seen.number = one.number;
  if (one.open >= 0) return {};
  if (!one.is_root) {
    const auto number = os::add_folder_watch(watch, one.path);
    if (!number) return number.error();
    seen.number = *number;
  } else if (how.checks_root) {
    const auto in_place = is_in_its_place(watch, one);
    if (!in_place) return in_place.error();
    seen.is_gone = !*in_place;
  }
  if (!how.lists || seen.is_gone) return {};
  auto folder = os::open_folder(os::current_directory, one.path, one.is_root);
  if (!folder) return folder.error();  // it went away, or is a file: nothing is in it
  seen.opened = std::move(*folder);
  return {};
}

}  // namespace

result<std::vector<folder_seen>> look_at(int watch, look_options how,
                                         std::vector<folder_asked> asked) noexcept try {
  std::vector<folder_seen> all;
  std::size_t kept = 0, read = 0;
  const auto has_room = [&] { return kept < names_at_once && read < names_read_max; };
  for (const folder_asked& one : asked) {
    if (!has_room()) break;
    folder_seen& seen = all.emplace_back();
    seen.error = begin_look(watch, how, one, seen);
    const int folder = one.open >= 0 ? one.open : seen.opened.get();
    seen.at_end = seen.error || folder < 0;
    while (!seen.at_end && has_room()) {
      auto some = os::next_entries(folder);
      if (!some) seen.error = some.error();
      seen.at_end = !some || some->empty();
      if (seen.at_end) break;
      read += some->size();
      for (os::folder_entry& e : *some) {
        if (how.folders_only && e.kind != os::file_kind::directory) continue;
        seen.entries.push_back(std::move(e));
        ++kept;
      }
    }
    if (seen.error == std::errc::not_enough_memory) return std::unexpected(seen.error);
    if (seen.at_end) seen.opened = os::fd();
  }
  return all;
} catch (const std::bad_alloc&) {
  return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
}

}  // namespace weft::fs::detail
