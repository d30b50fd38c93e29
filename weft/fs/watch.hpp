// watch: what happens to a file, or to the names in a folder, as it happens.
//
//   auto seen = co_await fs::watch("inbox");
//   for (;;) {
//     const auto event = co_await seen->next();
//     if (!event || event->kind == fs::watch_kind::gone) break;
//     if (event->kind == fs::watch_kind::overflow) ...   // look at all of it again
//   }
//
//   From when  all that happens after watch() has ended, by whatever process of this machine. Changes on
//              other machines (network file systems) and through mappings are not told
//   Depth      the folder's own names; with `recursive` those of all folders below it, too
//   Threads    one job awaits next()
//   Cancel     lossless: what a stopped next() did not give, the next one does
//   Cost       a descriptor of the user's limited number; the kernel keeps up to some thousand events.
//              `recursive`: a watch of the user's limited number for each folder, and some 200 bytes; a folder
//              that comes, or moves inside of the tree, is looked through, by the blocking pool
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "weft/base/result.hpp"
#include "weft/task/task.hpp"
#include "weft/together/stream.hpp"

namespace weft::fs {

namespace detail {
class watch_state;
}

enum class watch_kind : std::uint8_t {
  created,   // or moved here from where nobody watches
  removed,   // or moved away to there
  modified,  // its bytes; several changes may be one event
  renamed,   // inside of what is watched: old_path to path, and all below it with it
  gone,  // the watched thing itself was removed or moved (after an overflow also: its path leads
         // elsewhere): nothing more will be told
  overflow,  // events were lost: look at all of it again
};

struct watch_event {
  watch_kind kind{};
  std::string path;      // begins with that of the watch
  std::string old_path;  // renamed
};

/// Trivially copyable, safe in a co_await on GCC 12.
struct watch_options {
  /// Folders below it, too, to any depth, also those that come later; not what links lead to, and not what may
  /// not be read. What is in a folder that came is told as created, whether it was there before the watch
  /// was or came after; what happened at that very moment may be told twice, but never not at all.
  bool recursive = false;
};

class watcher {
 public:
  watcher() noexcept;
  watcher(watcher&&) noexcept;
  watcher& operator=(watcher&&) noexcept;
  ~watcher();

  /// The next event. Waits for one. A name that went away is given some milliseconds later than others:
  /// it may be a rename.
  ///
  /// Errors  no_such_file_or_directory: `gone` has been told. recursive: no_space_on_device, the user's limit
  ///         of watches, too_many_files_open: a folder that came is not watched, or was not looked
  ///         through; next() goes on with the others
  ///         not_enough_memory, also as std::bad_alloc: what that has lost is told as overflow
  task<result<watch_event>> next();
  /// All of them, to `gone`, or to an error, which is the last element. The watcher outlives it.
  stream<result<watch_event>> events();

 private:
  friend task<result<watcher>> watch(std::string path, watch_options how);
  std::unique_ptr<detail::watch_state> state_;  // none: bad_file_descriptor
};

/// Begins to watch. Errors: no_such_file_or_directory; too_many_files_open, no_space_on_device: the user's
/// limits of watches. Cancel: stopped, nothing is watched.
task<result<watcher>> watch(std::string path, watch_options how = {});

}  // namespace weft::fs
