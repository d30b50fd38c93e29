// What happens in a tree is told by each folder for itself, so a folder is watched, and then looked through:
// in that order, or what is made in between is missed. What the look finds is told as created; that its event
// may come, too, watch_tree::saw() remembers. A folder that is renamed is looked through again: one that was made
// in it just before could not be found at its old path. What is watched already tells nothing in a look.
#include "weft/fs/watch_state.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <new>
#include <set>
#include <utility>

#include "weft/fs/destroy_later.hpp"
#include "weft/fs/on_pool.hpp"
#include "weft/os/error.hpp"
#include "weft/os/file_tree.hpp"
#include "weft/os/file_watch.hpp"
#include "weft/runtime/io_request.hpp"
#include "weft/together/timeout.hpp"

namespace weft::fs::detail {
namespace {

// The kernel writes the two halves of a move one after the other: this is for a reader between them.
constexpr auto other_half = std::chrono::milliseconds(20);
// Events in the line behind one that waits for its other half: what can come between are a few writes.
constexpr std::size_t line_max = 1024;
constexpr std::size_t looks_at_once = 64;  // folders, in one visit of the pool

class watch_wait final : public io::request {
 public:
  explicit watch_wait(io::io_handle& of) noexcept {
    handle = &of;
    code = io::io_code::wait_readable;
  }
  using request::current_driver;
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> await_resume() noexcept {
    if (answer < 0) return std::unexpected(os::from_errno(static_cast<int>(-answer)));
    return {};
  }
};

/// What was seen of a folder.
struct looked {
  std::error_code error;
  int number = -1;
  std::vector<os::folder_entry> entries;
};
/// `root`: the number of the first of them, which is watched already. It may be a link, the others may not.
result<std::vector<looked>> look_at(int watch, int root, std::vector<std::string> paths) noexcept
    try {
  std::vector<looked> all;
  for (const std::string& path : paths) {
    const bool is_root = root >= 0 && all.empty();
    looked& one = all.emplace_back();
    const auto number = is_root ? result<int>(root) : os::add_folder_watch(watch, path);
    if (!number) {
      one.error = number.error();
      continue;
    }
    one.number = *number;
    const auto folder = os::open_folder(os::current_directory, path, is_root);
    if (!folder) {  // it went away, or is a file: nothing is in it
      one.error = folder.error();
      continue;
    }
    for (;;) {
      auto some = os::next_entries(folder->get());
      // Without memory all of them are looked at again.
      if (!some && some.error() == std::errc::not_enough_memory) {
        return std::unexpected(some.error());
      }
      if (!some) one.error = some.error();
      if (!some || some->empty()) break;
      std::move(some->begin(), some->end(), std::back_inserter(one.entries));
    }
  }
  return all;
} catch (const std::bad_alloc&) {
  return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
}

/// Of a folder that is not there any more, or is nobody's business.
bool is_no_matter(std::error_code why) noexcept {
  return why == std::errc::no_such_file_or_directory || why == std::errc::not_a_directory ||
         why == std::errc::too_many_symbolic_link_levels || why == std::errc::permission_denied ||
         why == std::errc::filename_too_long;
}

}  // namespace

watch_state::watch_state(io::io_handle handle, int root, std::string path, bool recursive)
    : handle_(std::move(handle)), recursive_(recursive) {
  tree_.begin(root, std::move(path));
}

watch_state::~watch_state() {
  // The kernel waits for all who may be telling it something, which can take milliseconds.
  if (handle_) destroy_later(std::move(handle_));
}

watch_state::told& watch_state::give(watch_kind kind, int folder, const std::string& name) {
  told one;
  one.event.kind = kind;
  one.event.path = tree_.path_of(folder, name);
  one.folder = folder;
  line_.push_back(std::move(one));
  return line_.back();
}

/// True if this is where something went that is in the line: then that is a rename.
bool watch_state::completes_move(const os::raw_watch_event& raw) {
  if (raw.cookie == 0) return false;
  for (auto one = line_.rbegin(); one != line_.rend(); ++one) {
    if (one->cookie != raw.cookie) continue;
    one->cookie = 0;
    one->event.kind = watch_kind::renamed;
    one->event.old_path = std::move(one->event.path);
    one->event.path = tree_.path_of(raw.number, raw.name);
    static_cast<void>(tree_.was_seen(raw.number, raw.name));
    if (!recursive_ || !raw.is_folder) return true;
    if (one->moved != none && tree_.has(one->moved)) {
      tree_.put(one->moved, raw.number, raw.name);
      // What came between the halves happened after both.
      for (auto later = line_.rbegin(); later != one; ++later) {
        if (!tree_.is_within(later->folder, one->moved)) continue;
        const std::string& path = later->event.path;
        later->event.path = tree_.path_of(later->folder, path.substr(path.rfind('/') + 1));
      }
    }
    looks_.push_back({raw.number, raw.name});
    return true;
  }
  return false;
}

void watch_state::take_new(const os::raw_watch_event& raw) {
  if (tree_.was_seen(raw.number, raw.name)) return;
  give(watch_kind::created, raw.number, raw.name);
  if (recursive_ && raw.is_folder) looks_.push_back({raw.number, raw.name, false, true});
}

void watch_state::lost_some() {
  if (!recursive_) return void(give(watch_kind::overflow, tree_.root(), {}));
  // It is told when all folders are watched again: whoever looks then misses nothing.
  lost_ = true;
  tree_.begin_round();
  looks_.clear();
  looks_.emplace_back();
}

/// They are no part of the tree any more.
void watch_state::forget(const std::vector<int>& folders) noexcept {
  for (const int number : folders) os::remove_watch(handle_.fd(), number);
}

void watch_state::take(const os::raw_watch_event& raw) {
  // It may go on elsewhere, where its path is another one: that was not asked for.
  if (gone_) return;
  if (raw.code == os::watch_code::overflow) return lost_some();
  const bool is_root = raw.number == tree_.root();
  if (!tree_.has(raw.number)) return;
  switch (raw.code) {
    case os::watch_code::moved_to:
      if (completes_move(raw)) return;
      // It may have taken the place of what a look has seen: then it is another one.
      static_cast<void>(tree_.was_seen(raw.number, raw.name));
      return take_new(raw);
    case os::watch_code::made:
      return take_new(raw);
    case os::watch_code::modified:
      give(watch_kind::modified, raw.number, raw.name);
      return;
    case os::watch_code::removed:
      static_cast<void>(tree_.was_seen(raw.number, raw.name));
      give(watch_kind::removed, raw.number, raw.name);
      return;
    case os::watch_code::moved_from: {
      static_cast<void>(tree_.was_seen(raw.number, raw.name));
      told& one = give(watch_kind::removed, raw.number, raw.name);
      one.cookie = raw.cookie;
      if (!raw.is_folder) return;
      one.moved = tree_.child(raw.number, raw.name);
      tree_.leave(one.moved, raw.cookie);
      return;
    }
    case os::watch_code::moved:
      if (!is_root) return;  // what it was in tells of it
      [[fallthrough]];
    case os::watch_code::gone:
      if (!is_root) return forget(tree_.drop(raw.number));
      give(watch_kind::gone, raw.number, {});
      gone_ = true;
      return;
    case os::watch_code::overflow:
      return;
  }
}

/// What is read is nowhere else any more: without memory for it, it is lost.
void watch_state::take_all(const std::vector<os::raw_watch_event>& all) {
  missed_ = true;
  for (const auto& raw : all) take(raw);
  missed_ = false;
}

/// Nobody said where it went: out of the tree, and all that is in it, or left it since.
void watch_state::give_up_front() {
  told& front = line_.front();
  const std::uint32_t cookie = std::exchange(front.cookie, 0);
  if (!tree_.is_on_its_way(front.moved, cookie)) return;
  missed_ = true;
  std::set<int> out;
  const auto drop = [&](int number) {
    const std::vector<int> some = tree_.drop(number);
    forget(some);
    out.insert(some.begin(), some.end());
  };
  drop(front.moved);
  // What left one of them is not below it any more. It may have left another one of these, so: again.
  for (bool more = true; std::exchange(more, false);) {
    for (const told& one : line_) {
      if (!out.contains(one.folder) || !tree_.is_on_its_way(one.moved, one.cookie)) continue;
      drop(one.moved);
      more = true;
    }
  }
  std::erase_if(line_, [&](const told& one) { return out.contains(one.folder); });
  missed_ = false;
}

/// All that are to be looked through. Stopped, it has looked at some of them, and those are told.
task<result<void>> watch_state::look_through() {
  while (!looks_.empty()) {
    std::vector<std::string> paths;
    const std::size_t count = std::min(looks_.size(), looks_at_once);
    for (std::size_t i = 0; i < count; ++i) {
      const look& one = looks_[i];
      paths.push_back(one.parent == none ? tree_.path_of(tree_.root(), {})
                                         : tree_.path_of(one.parent, one.name));
    }
    const int root = looks_.front().parent == none ? tree_.root() : none;
    const auto seen = co_await on_pool(&look_at, handle_.fd(), root, std::move(paths));
    if (!seen) co_return std::unexpected(seen.error());
    std::error_code failed;
    missed_ = true;  // what is taken out of looks_, if there is no memory to go on
    for (const looked& one : *seen) {
      const look wanted = std::move(looks_.front());
      looks_.pop_front();
      if (one.error && !is_no_matter(one.error)) {
        failed = one.error;
        // What is there is not known, so what is watched there stays.
        if (lost_) {
          tree_.confirm(one.number >= 0 ? one.number : tree_.child(wanted.parent, wanted.name));
        }
      }
      if (one.number < 0) continue;
      const bool known = tree_.has(one.number);
      if (wanted.parent != none && !tree_.has(wanted.parent)) {  // it went meanwhile
        if (!known) os::remove_watch(handle_.fd(), one.number);
        continue;
      }
      // A folder that is mounted in itself: in there it would never end.
      if (wanted.parent != none && tree_.is_within(wanted.parent, one.number)) continue;
      if (wanted.parent != none) tree_.put(one.number, wanted.parent, wanted.name);
      if (begun_ && !known && wanted.announces && tree_.saw(wanted.parent, wanted.name)) {
        give(watch_kind::created, wanted.parent, wanted.name);
      }
      const bool tells = begun_ && (!known || wanted.tells);
      for (const auto& e : one.entries) {
        if (tells && tree_.saw(one.number, e.name)) give(watch_kind::created, one.number, e.name);
        if (e.kind == os::file_kind::directory)
          looks_.push_back({one.number, e.name, !tells, tells});
      }
    }
    missed_ = false;
    if (failed) co_return std::unexpected(failed);
  }
  if (lost_) {
    missed_ = true;
    forget(tree_.end_round());
    give(watch_kind::overflow, tree_.root(), {});
    lost_ = missed_ = false;
  }
  co_return result<void>();
}

task<result<void>> watch_state::begin() {
  if (recursive_) {
    looks_.emplace_back();
    const auto done = co_await look_through();
    if (!done) co_return std::unexpected(done.error());
  }
  begun_ = true;
  co_return result<void>();
}

task<result<watch_event>> watch_state::next() {
  using clock = std::chrono::steady_clock;
  bool waited = false;  // for the other half of the move in front
  clock::time_point until;
  for (;;) {
    if (missed_ && !gone_) {
      lost_some();
      missed_ = false;
    }
    if ((!looks_.empty() || lost_) && !gone_) {
      const auto done = co_await look_through();
      if (!done) co_return std::unexpected(done.error());
    }
    if (!line_.empty()) {
      if (line_.front().cookie != 0 && (gone_ || line_.size() > line_max)) give_up_front();
      told& front = line_.front();
      if (front.cookie == 0) {
        watch_event e = std::move(front.event);
        line_.pop_front();
        co_return e;
      }
    }
    // Before the read: what is there when the time is over is looked at, too.
    const bool late = waited && clock::now() >= until;
    auto raw = os::read_watch(handle_.fd());
    if (raw) {
      take_all(*raw);
    } else if (raw.error() != std::errc::operation_would_block) {
      if (raw.error() == std::errc::not_enough_memory) missed_ = true;
      co_return std::unexpected(raw.error());
    } else {
      tree_.forget_seen();  // what was to come of names that a look has seen has come
    }
    if (late) {
      give_up_front();
      waited = false;
      continue;
    }
    if (raw) continue;
    if (line_.empty()) {
      if (gone_) {
        co_return std::unexpected(
            os::from_errno(static_cast<int>(std::errc::no_such_file_or_directory)));
      }
      const auto readable = co_await watch_wait(handle_);
      if (!readable) co_return std::unexpected(readable.error());
      continue;
    }
    if (!waited) until = clock::now() + other_half;
    waited = true;
    const auto more = co_await timeout(until - clock::now(), watch_wait(handle_));
    if (!more && more.error() != std::errc::timed_out) until = clock::now();
  }
}

}  // namespace weft::fs::detail
