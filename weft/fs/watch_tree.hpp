// watch_tree: the folders of a watched tree: the system tells of their numbers, a user hears their paths.
//
//   In it    is what leads up to the root. What was dropped is out at once, with all below it; its memory
//            goes by and by, in reap()
//   Moves    a folder that was renamed has one link to be changed, whatever is below it
//   Names    several folders may have one name: a look has seen the next one before it was read that the last
//            one has left. Which of them an event is about, its number says
//   Cost     all but end_round(), reap() and forget_seen(), which are done in steps: the depth of the tree
//   Threads  one
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace weft::fs::detail {

class watch_tree {
 public:
  static constexpr int none = -1;

  /// The root, which has no name; the path is the watch's.
  void begin(int number, std::string path);
  int root() const noexcept { return root_; }
  bool has(int number) const noexcept { return is_within(number, root_); }
  /// It is `name` in `parent` now, wherever it was. Nothing, where that would be inside of itself: what is
  /// told was overtaken by what was seen, and what sets it right comes.
  void put(int number, int parent, const std::string& name);
  /// Whether this folder has this name, beside others perhaps.
  bool is_called(int number, int parent, const std::string& name) const noexcept;
  /// Whether any has.
  bool knows(int parent, const std::string& name) const noexcept;
  /// As drop(), all that have.
  void drop_called(int parent, const std::string& name);
  /// The path of a name in it; an empty name: its own.
  std::string path_of(int number, const std::string& name) const;
  bool is_within(int number, int above) const noexcept;

  /// Takes it out, and all below it; reap() says what that was. Not the root.
  void drop(int number);
  /// The next numbers of what was dropped, in up to `steps`. Result: whether these were all. None of them is
  /// put again before they were all given: as long as the system watches one it would have its old number.
  bool reap(std::size_t steps, std::vector<int>& numbers);
  bool is_reaped() const noexcept { return dropped_.empty(); }

  // Names that were seen in a new folder, and whose event may be still to come.
  // Result: whether it is the first time.
  bool saw(int number, const std::string& name);
  /// Whether it was; no more after that.
  bool was_seen(int number, const std::string& name);
  /// Up to `steps` of them. Result: whether these were all.
  bool forget_seen(std::size_t steps) noexcept;

  // Looking at all of it again.
  void begin_round() noexcept;
  /// It is not known what is there by now: it and all below it stay as they are.
  void confirm(int number) noexcept;
  void confirm(int parent, const std::string& name) noexcept;
  /// Drops what no put() and no confirm() told of since begin_round(), and so what is below that: where it is
  /// is not known. In up to `steps`; `at`, 0 at first, is how far it came. Result: whether it is done. Nothing
  /// is put meanwhile.
  bool end_round(std::size_t& at, std::size_t steps);

 private:
  struct node {
    int parent = none;
    std::string name;
    std::multimap<std::string, int, std::less<>> below;
    bool is_dropped = false;
    std::uint64_t round = 0;
    std::uint64_t kept = 0;  // the round in which it was confirmed, with all below it
  };
  struct less_seen {
    using is_transparent = void;
    using view = std::pair<int, std::string_view>;
    static view of(const std::pair<int, std::string>& n) noexcept { return {n.first, n.second}; }
    static view of(view n) noexcept { return n; }
    bool operator()(const auto& a, const auto& b) const noexcept { return of(a) < of(b); }
  };
  node* find(int number) noexcept;
  const node* find(int number) const noexcept;
  void unlink(int number, const node& its) noexcept;
  bool stays(const node& its) const noexcept;

  std::unordered_map<int, node> nodes_;
  std::string path_;
  int root_ = none;
  std::uint64_t round_ = 0;
  std::set<std::pair<int, std::string>, less_seen> seen_;
  std::vector<int> dropped_;  // and all below each
};

}  // namespace weft::fs::detail
