#include "weft/fs/paths.hpp"

#include <utility>
#include <vector>

#include "weft/fs/on_pool.hpp"
#include "weft/os/error.hpp"
#include "weft/os/file_tree.hpp"
#include "weft/task/shield_scope.hpp"

namespace weft::fs {
namespace {

constexpr int passes_max = 64;  // over a folder that others fill meanwhile
constexpr std::uint64_t step_bytes = std::uint64_t{16}
                                     << 20;  // of a copy, between two looks for a stop

bool has_zero(const std::string& path) noexcept { return path.find('\0') != path.npos; }
std::unexpected<std::error_code> failed(std::errc why) noexcept {
  return std::unexpected(os::from_errno(static_cast<int>(why)));
}

result<void> make_all(const std::string& path, std::uint32_t mode) noexcept try {
  std::size_t moved;
  for (std::size_t end = 0; end != path.npos;) {
    end = path.find('/', end + 1);
    const std::string part = path.substr(0, end);
    os::file_call c;
    c.code = os::file_code::make_directory;
    c.path = part.c_str();
    c.mode = mode;
    const std::int64_t answer = os::blocking_file_call(c, false, moved);
    if (answer == 0) continue;
    // Whatever the reason, what counts is whether a folder is there: "/", a link to one, another maker.
    const auto there = os::stat_at(os::current_directory, part, true);
    if (there && there->kind == file_kind::directory) continue;
    const auto why = os::from_errno(static_cast<int>(-answer));
    if (why == std::errc::file_exists && end != path.npos) {
      return failed(std::errc::not_a_directory);  // as the system says of one in the middle
    }
    return std::unexpected(why);
  }
  return {};
} catch (const std::bad_alloc&) {
  return failed(std::errc::not_enough_memory);
}

/// A folder that is being emptied.
struct level {
  os::fd folder;
  std::string name;                  // in the one above
  std::vector<std::string> folders;  // seen in it, to be emptied
  int passes = 0;
};

result<os::fd> open_to_empty(int at, std::string name) noexcept {
  return os::open_folder(at, name, false);
}
result<os::emptied> empty_some(int folder) noexcept { return os::remove_entries(folder); }
result<void> remove_name(int at, std::string name, bool a_folder) noexcept {
  return os::remove_at(at, name, a_folder);
}

result<os::file_copy> begin_copy(std::string from, std::string to, bool replace) noexcept {
  return os::file_copy::begin(from, to, replace);
}
result<bool> step_copy(os::file_copy* copy) noexcept { return copy->step(step_bytes); }
result<void> drop_copy(os::file_copy copy) noexcept {
  static_cast<void>(copy);
  return {};
}
result<void> nothing() noexcept { return {}; }

task<result<file_metadata>> look_at(std::string path, bool follow) {
  if (has_zero(path)) co_return failed(std::errc::invalid_argument);
  if (path.empty()) co_return failed(std::errc::no_such_file_or_directory);
  const auto seen = co_await detail::stat_request(os::current_directory, path.c_str(), follow);
  co_return seen;
}

task<result<void>> rename_by(std::string from, std::string to, bool replace) {
  if (has_zero(from) || has_zero(to)) co_return failed(std::errc::invalid_argument);
  const os::file_call call = os::call_to_rename(from.c_str(), to.c_str(), replace);
  const auto done = co_await detail::plain_request(call);
  co_return done;
}

}  // namespace

task<result<file_metadata>> metadata(std::string path) {
  const auto seen = co_await look_at(std::move(path), true);
  co_return seen;
}
task<result<file_metadata>> link_metadata(std::string path) {
  const auto seen = co_await look_at(std::move(path), false);
  co_return seen;
}

task<result<bool>> exists(std::string path) {
  const auto seen = co_await look_at(std::move(path), true);
  if (seen) co_return true;
  if (seen.error() == std::errc::no_such_file_or_directory ||
      seen.error() == std::errc::not_a_directory) {
    co_return false;
  }
  co_return std::unexpected(seen.error());
}

task<result<void>> create_directory(std::string path, std::uint32_t mode) {
  if (has_zero(path)) co_return failed(std::errc::invalid_argument);
  os::file_call call;
  call.code = os::file_code::make_directory;
  call.path = path.c_str();
  call.mode = mode;
  const auto done = co_await detail::plain_request(call);
  co_return done;
}

task<result<void>> create_directories(std::string path, std::uint32_t mode) {
  if (has_zero(path)) co_return failed(std::errc::invalid_argument);
  if (path.empty()) co_return failed(std::errc::no_such_file_or_directory);
  const auto done = co_await detail::on_pool(&make_all, std::move(path), mode);
  co_return done;
}

task<result<void>> rename(std::string from, std::string to) {
  const auto done = co_await rename_by(std::move(from), std::move(to), true);
  co_return done;
}
task<result<void>> rename_new(std::string from, std::string to) {
  const auto done = co_await rename_by(std::move(from), std::move(to), false);
  co_return done;
}

task<result<void>> remove(std::string path) {
  if (has_zero(path)) co_return failed(std::errc::invalid_argument);
  const os::file_call as_file = os::call_to_remove(os::current_directory, path.c_str(), false);
  const auto done = co_await detail::plain_request(as_file);
  if (done || done.error() != std::errc::is_a_directory) co_return done;
  const os::file_call as_folder = os::call_to_remove(os::current_directory, path.c_str(), true);
  const auto folder_done = co_await detail::plain_request(as_folder);
  co_return folder_done;
}

task<result<std::uint64_t>> remove_all(std::string path) {
  if (has_zero(path)) co_return failed(std::errc::invalid_argument);
  path = os::without_slashes_at_end(std::move(path));
  // The system would empty what is behind a link in front of it, and then refuse to remove this.
  if (os::ends_in_dots(path)) co_return failed(std::errc::invalid_argument);
  const auto as_file = co_await detail::on_pool(&remove_name, os::current_directory, path, false);
  if (as_file) co_return 1;
  if (as_file.error() == std::errc::no_such_file_or_directory) co_return 0;
  if (as_file.error() != std::errc::is_a_directory) co_return std::unexpected(as_file.error());

  std::uint64_t removed = 0;
  std::vector<level> levels;
  std::string next = path;  // to go down into; empty: none
  for (;;) {
    const int at = levels.empty() ? os::current_directory : levels.back().folder.get();
    if (!next.empty()) {
      auto opened = co_await detail::on_pool(&open_to_empty, at, next);
      if (opened) {
        levels.emplace_back(std::move(*opened), std::move(next));
      } else if (opened.error() != std::errc::no_such_file_or_directory) {
        // It is no folder any more, or never was one: a link, which must not be followed, goes itself.
        if (opened.error() != std::errc::not_a_directory &&
            opened.error() != std::errc::too_many_symbolic_link_levels) {
          co_return std::unexpected(opened.error());
        }
        const auto gone = co_await detail::on_pool(&remove_name, at, next, false);
        if (gone) ++removed;
        if (!gone && gone.error() != std::errc::no_such_file_or_directory) {
          co_return std::unexpected(gone.error());
        }
      }
      next.clear();
      if (levels.empty()) co_return removed;
      continue;
    }
    level& here = levels.back();
    if (!here.folders.empty()) {
      next = std::move(here.folders.back());
      here.folders.pop_back();
      continue;
    }
    auto round = co_await detail::on_pool(&empty_some, at);
    if (!round) co_return std::unexpected(round.error());
    removed += round->removed;
    here.folders = std::move(round->folders);
    if (!round->at_end) continue;
    const int above =
        levels.size() == 1 ? os::current_directory : levels[levels.size() - 2].folder.get();
    const auto gone = co_await detail::on_pool(&remove_name, above, here.name, true);
    if (!gone && gone.error() == std::errc::directory_not_empty && ++here.passes < passes_max) {
      os::rewind_entries(at);  // a file system may leave some out while others go
      continue;
    }
    if (!gone && gone.error() != std::errc::no_such_file_or_directory) {
      co_return std::unexpected(gone.error());
    }
    if (gone) ++removed;
    levels.pop_back();
    if (levels.empty()) co_return removed;
  }
}

task<result<std::uint64_t>> copy(std::string from, std::string to, copy_options how) {
  if (has_zero(from) || has_zero(to)) co_return failed(std::errc::invalid_argument);
  auto begun = co_await detail::on_pool(&begin_copy, std::move(from), std::move(to), how.replace);
  if (!begun) co_return std::unexpected(begun.error());
  job& mine = *current_job();
  bool stopped = false;
  {
    // A stop is looked for between two steps: what there is of the copy must go, and not on a worker.
    const bool stoppable = !mine.shielded();
    const shield_scope until_gone;
    for (;;) {
      const auto more = co_await detail::on_pool(&step_copy, &*begun);
      if (more && !*more) co_return begun->bytes();
      stopped = more && stoppable && mine.stop_requested();
      if (more && !stopped) continue;
      const std::error_code why = more ? std::error_code() : more.error();
      const auto dropped = co_await detail::on_pool(&drop_copy, std::move(*begun));
      static_cast<void>(dropped);
      if (!stopped) co_return std::unexpected(why);
      break;
    }
  }
  const auto ended = co_await detail::on_pool(&nothing);  // here the stop ends it
  static_cast<void>(ended);
  co_return failed(std::errc::operation_canceled);
}

}  // namespace weft::fs
