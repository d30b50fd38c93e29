// What happens in a tree is told by each folder for itself, so a folder is watched, and then looked through
// (watch_look.hpp). What the look finds is told as created; that its event may come, too, watch_tree::saw()
// remembers. A folder that is renamed is looked through again: one that was made in it just before could not
// be found at its old path. What is watched already tells nothing in a look.
//
// A move is three events: from, to, and one of the moved folder itself. The kernel writes them one after the
// other, while it lets nothing else happen to names in either parent; but others' events come between, and so
// does a reader. Names do not say which folder moved: a look may have seen the next one of that name. The
// third event does, by its number.
//
//   I1  what is in front of read_ is dealt with when all before it has been: in the tree as it was then
//   I2  a look begins when what was dropped is not watched any more, or its number came back with it
//   I3  lost_ ends when all was looked at after the loss was read, the root's place, too
#include "weft/fs/watch_state.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "weft/fs/destroy_later.hpp"
#include "weft/fs/on_pool.hpp"
#include "weft/os/error.hpp"
#include "weft/runtime/io_request.hpp"
#include "weft/runtime/time.hpp"
#include "weft/task/ready_look.hpp"
#include "weft/together/timeout.hpp"

namespace weft::fs::detail {
namespace {

using clock = std::chrono::steady_clock;
// The kernel writes the parts of a move one after the other: this is for a reader between them.
constexpr auto other_half = std::chrono::milliseconds(20);
// Events behind one that waits for its other half: what can come between are a few writes. And those
// that are to be given, where a look finds more.
constexpr std::size_t line_max = 1024;
constexpr std::size_t steps_at_once = 512;  // before other jobs have a turn: some 100 us

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

/// Of a folder that is not there any more, or is nobody's business.
bool is_no_matter(std::error_code why) noexcept {
  return why == std::errc::no_such_file_or_directory || why == std::errc::not_a_directory ||
         why == std::errc::too_many_symbolic_link_levels || why == std::errc::permission_denied ||
         why == std::errc::filename_too_long;
}

/// What takes its time to go: the kernel waits for all who may be telling the handle something, which can
/// take milliseconds, and so does the memory of many folders.
struct remains {
  remains(io::io_handle h, watch_tree t) noexcept : handle(std::move(h)), tree(std::move(t)) {}
  io::io_handle handle;
  watch_tree tree;
};

}  // namespace

watch_state::watch_state(io::io_handle handle, int root, std::string path, bool recursive)
    : handle_(std::move(handle)), recursive_(recursive) {
  tree_.begin(root, std::move(path));
}

watch_state::~watch_state() {
  if (handle_) destroy_later(remains(std::move(handle_), std::move(tree_)));
}

// --- What was read

watch_event& watch_state::give(watch_kind kind, int folder, const std::string& name) {
  watch_event one;
  one.kind = kind;
  one.path = tree_.path_of(folder, name);
  line_.push_back(std::move(one));
  return line_.back();
}

watch_state::rest_of_move watch_state::rest_of_front() const noexcept {
  const os::raw_watch_event& from = read_.front();
  rest_of_move rest;
  bool seeks_folder = recursive_ && from.is_folder && tree_.knows(from.number, from.name);
  for (std::size_t i = 1; i < read_.size() && (rest.to == 0 || seeks_folder); ++i) {
    const os::raw_watch_event& one = read_[i];
    if (one.code == os::watch_code::moved_to && one.cookie == from.cookie) {
      rest.to = i;
    } else if (!seeks_folder) {
      continue;
    } else if (one.code == os::watch_code::moved) {
      if (!tree_.is_called(one.number, from.number, from.name)) continue;
      rest.folder = one.number;
      seeks_folder = false;
    } else if (one.is_folder && one.number == from.number && one.name == from.name) {
      seeks_folder = false;  // the next one of that name: so the one that moved is not watched
    }
  }
  rest.seeks_folder = seeks_folder;
  rest.is_whole = rest.to != 0 && !seeks_folder;
  return rest;
}

void watch_state::take_move(const rest_of_move& rest) {
  const os::raw_watch_event from = std::move(read_.front());
  // Where it went may be out of the tree by now, and is still watched.
  const bool stays = rest.to != 0 && tree_.has(read_[rest.to].number);
  os::raw_watch_event to;
  if (stays) {
    to = std::move(read_[rest.to]);
    read_.erase(read_.begin() + static_cast<std::ptrdiff_t>(rest.to));
  }
  read_.pop_front();
  static_cast<void>(tree_.was_seen(from.number, from.name));
  // Its own event comes later than we wait: whatever is there by now is told of by events to come.
  if (rest.seeks_folder) tree_.drop_called(from.number, from.name);
  if (!stays) {
    give(watch_kind::removed, from.number, from.name);
    if (rest.folder != none) tree_.drop(rest.folder);
    return;
  }
  static_cast<void>(tree_.was_seen(to.number, to.name));
  std::string old_path = tree_.path_of(from.number, from.name);
  if (rest.folder != none) tree_.put(rest.folder, to.number, to.name);
  give(watch_kind::renamed, to.number, to.name).old_path = std::move(old_path);
  if (!recursive_ || !to.is_folder) return;
  look again;
  again.parent = to.number;
  again.name = to.name;
  looks_.push_back(std::move(again));
}

void watch_state::take_new(const os::raw_watch_event& raw) {
  if (tree_.was_seen(raw.number, raw.name)) return;
  give(watch_kind::created, raw.number, raw.name);
  if (!recursive_ || !raw.is_folder) return;
  look first;
  first.parent = raw.number;
  first.name = raw.name;
  first.tells = true;
  looks_.push_back(std::move(first));
}

/// It is told when all folders are watched again: whoever looks then misses nothing.
void watch_state::lost_some() {
  lost_ = true;
  forgets_ = true;  // that a name went may be among what was lost
  tree_.begin_round();
  looks_.clear();
  looks_.emplace_back();
}

void watch_state::take(const os::raw_watch_event& raw) {
  if (raw.code == os::watch_code::overflow) return lost_some();
  if (!tree_.has(raw.number)) return;
  const bool is_root = raw.number == tree_.root();
  switch (raw.code) {
    case os::watch_code::moved_to:
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
    case os::watch_code::moved:
      if (!is_root) return;  // what it was in tells of it
      [[fallthrough]];
    case os::watch_code::gone:
      if (!is_root) return tree_.drop(raw.number);
      if (std::exchange(lost_, false)) give(watch_kind::overflow, raw.number, {});
      give(watch_kind::gone, raw.number, {});
      gone_ = true;
      return;
    case os::watch_code::moved_from:  // take_move()
    case os::watch_code::overflow:
      return;
  }
}

/// Takes what was read, up to a move whose other half may come yet. `late`: of so many it does not come.
/// Result: whether there was something to take.
bool watch_state::take_read(std::size_t late) {
  missed_ = true;  // what is taken is nowhere else any more: without memory for it, it is lost
  const std::size_t before = read_.size();
  // After its end it may go on elsewhere, where its path is another one: that was not asked for.
  while (!read_.empty() && !gone_) {
    const os::raw_watch_event& front = read_.front();
    if (front.code == os::watch_code::moved_from && tree_.has(front.number)) {
      const rest_of_move rest = rest_of_front();
      if (!rest.is_whole && late == 0 && read_.size() <= line_max) break;
      const std::size_t size = read_.size();
      take_move(rest);
      if (size - read_.size() == 2 && rest.to < late) --late;
    } else {
      const os::raw_watch_event raw = std::move(read_.front());
      read_.pop_front();
      take(raw);
    }
    if (late != 0) --late;
  }
  if (gone_) read_.clear();
  missed_ = false;
  return read_.size() != before;
}

// --- Looks

/// Those that are next, and where they are by now. None in a folder that went: its path would be another's.
std::vector<folder_asked> watch_state::next_looks() {
  std::vector<folder_asked> all;
  const auto went = [this](const look& one) {
    return one.parent != none && !tree_.has(one.parent);
  };
  while (!looks_.empty() && went(looks_.front())) looks_.pop_front();
  const std::size_t count = std::min(looks_.size(), looks_at_once);
  for (std::size_t i = 0; i < count; ++i) {
    const look& one = looks_[i];
    if (went(one)) break;
    folder_asked& asked = all.emplace_back();
    asked.is_root = one.parent == none;
    asked.path = tree_.path_of(asked.is_root ? tree_.root() : one.parent, one.name);
    asked.number = asked.is_root ? tree_.root() : one.number;
    asked.open = one.folder.get();
  }
  return all;
}

/// Result: why one of them is not watched, or was not looked through.
std::error_code watch_state::take_looks(std::vector<folder_seen>& all) {
  std::error_code failed;
  missed_ = true;  // what is taken out of looks_, if there is no memory to go on
  for (folder_seen& seen : all) {
    look wanted = std::move(looks_.front());
    looks_.pop_front();
    const std::error_code why = take_look(std::move(wanted), seen);
    if (why) failed = why;
  }
  missed_ = false;
  return failed;
}

std::error_code watch_state::take_look(look wanted, folder_seen& seen) {
  const bool is_root = wanted.parent == none;
  std::error_code failed;
  // It may not be looked at any more, and need not be: it is watched as it was.
  if (is_root && begun_ && !recursive_ && seen.error == std::errc::permission_denied) {
    tree_.confirm(tree_.root());
    return failed;
  }
  // That the root may not be looked at must be known: whether it is there is not.
  const bool matters =
      !is_no_matter(seen.error) || (is_root && seen.error == std::errc::permission_denied);
  if (seen.error && matters) {
    failed = seen.error;
    // What is there is not known, so what is watched there stays.
    if (lost_) tree_.confirm(wanted.parent, wanted.name);
    if (lost_) tree_.confirm(seen.number);
  }
  if (seen.is_gone) root_gone_ = true;
  if (seen.number < 0 || seen.is_gone) return failed;
  const bool known = tree_.has(seen.number);
  if (!is_root && !tree_.has(wanted.parent)) {  // it went meanwhile
    if (!known) unwanted_.push_back(seen.number);
    return failed;
  }
  // A folder that is mounted in itself: in there it would never end.
  if (!is_root && tree_.is_within(wanted.parent, seen.number)) return failed;
  if (!is_root) tree_.put(seen.number, wanted.parent, wanted.name);
  if (begun_ && !known && wanted.announces && tree_.saw(wanted.parent, wanted.name)) {
    give(watch_kind::created, wanted.parent, wanted.name);
  }
  const bool tells = begun_ && (!known || wanted.tells);
  for (const os::folder_entry& e : seen.entries) {
    if (tells && tree_.saw(seen.number, e.name)) give(watch_kind::created, seen.number, e.name);
    if (e.kind != os::file_kind::directory) continue;
    look below;
    below.parent = seen.number;
    below.name = e.name;
    below.announces = !tells;
    below.tells = tells;
    looks_.push_back(std::move(below));
  }
  if (seen.at_end) return failed;
  wanted.number = seen.number;
  wanted.tells = tells;
  if (seen.opened) wanted.folder = std::move(seen.opened);
  looks_.push_front(std::move(wanted));
  return failed;
}

/// All that are to be looked through; less, where the line has enough. Stopped, it has looked at some of
/// them, and those are told.
task<result<void>> watch_state::look_through() {
  co_await clean_up();  // I2
  while (forgets_) {
    forgets_ = !tree_.forget_seen(steps_at_once);
    if (forgets_) co_await yield_now();
  }
  while (!looks_.empty() && line_.size() < line_max) {
    const look_options how{
        .lists = recursive_, .folders_only = !begun_, .checks_root = lost_ && begun_};
    auto asked = next_looks();
    if (asked.empty()) break;
    auto seen = co_await on_pool(&look_at, handle_.fd(), how, std::move(asked));
    if (!seen) {
      looks_.front().folder = os::fd();
      co_return std::unexpected(seen.error());
    }
    const std::error_code failed = take_looks(*seen);
    if (root_gone_) looks_.clear();
    if (failed) co_return std::unexpected(failed);
  }
  if (!lost_ || !looks_.empty()) co_return result<void>();
  for (std::size_t at = 0; !tree_.end_round(at, steps_at_once);) co_await yield_now();
  co_await clean_up();
  missed_ = true;
  give(watch_kind::overflow, tree_.root(), {});
  if (root_gone_) give(watch_kind::gone, tree_.root(), {});
  gone_ = root_gone_;
  lost_ = missed_ = false;
  co_return result<void>();
}

/// What is there already, behind what was read before it; but for ends that are no news.
void watch_state::read_some() {
  auto raw = os::read_watch(handle_.fd());
  if (!raw) {
    if (raw.error() == std::errc::not_enough_memory) missed_ = true;
    return;
  }
  const bool missed_before = std::exchange(missed_, true);
  for (os::raw_watch_event& one : *raw) {
    if (one.code == os::watch_code::gone && !tree_.has(one.number)) continue;
    read_.push_back(std::move(one));
  }
  missed_ = missed_before;
}

/// What was dropped is watched no more.
task<> watch_state::clean_up() {
  for (bool all = false; !all;) {
    all = tree_.reap(steps_at_once, unwanted_);
    for (const int number : unwanted_) os::remove_watch(handle_.fd(), number);
    const bool removed = !unwanted_.empty();
    unwanted_.clear();
    if (removed)
      read_some();  // each tells of its end: a large folder would fill the queue with that
    if (!all) co_await yield_now();
  }
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
  bool waited = false;  // for the rest of the move in front
  clock::time_point until;
  std::size_t had = 0;
  for (;;) {
    if (missed_ && !gone_) {
      lost_some();
      missed_ = false;
    }
    if (!gone_ && (!looks_.empty() || lost_) && line_.size() < line_max) {
      const auto done = co_await look_through();
      if (!done) co_return std::unexpected(done.error());
    }
    if (!line_.empty()) {
      co_await weft::detail::ready_look("watch");  // a loop over many of them starves nobody
      watch_event e = std::move(line_.front());
      line_.pop_front();
      co_return e;
    }
    if (!gone_ && !tree_.is_reaped()) co_await clean_up();
    // Before the read: what is there when the time is over is looked at, too.
    const std::size_t late = waited && clock::now() >= until ? had : 0;
    auto raw = os::read_watch(handle_.fd());
    const bool all_read = !raw;
    if (raw) {
      missed_ = true;
      std::move(raw->begin(), raw->end(), std::back_inserter(read_));
      missed_ = false;
    } else if (raw.error() != std::errc::operation_would_block) {
      if (raw.error() == std::errc::not_enough_memory) missed_ = true;
      co_return std::unexpected(raw.error());
    } else if (read_.empty()) {
      // What was to come of names that a look has seen has come.
      while (!tree_.forget_seen(steps_at_once)) co_await yield_now();
    }
    if (take_read(late)) {
      waited = false;
      continue;
    }
    if (!all_read) continue;
    if (gone_) {
      co_return std::unexpected(
          os::from_errno(static_cast<int>(std::errc::no_such_file_or_directory)));
    }
    if (read_.empty()) {
      const auto readable = co_await watch_wait(handle_);
      if (!readable) co_return std::unexpected(readable.error());
      continue;
    }
    if (!waited) {
      had = read_.size();
      until = clock::now() + other_half;
      waited = true;
    }
    const auto more = co_await timeout(until - clock::now(), watch_wait(handle_));
    if (!more && more.error() != std::errc::timed_out) until = clock::now();
  }
}

}  // namespace weft::fs::detail
