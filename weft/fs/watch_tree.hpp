// watch_tree: the folders of a watched tree: the system tells of their numbers, a user hears their paths.
//
//   Moves    a folder that was renamed has one link to be changed, whatever is below it
//   Threads  one
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace weft::fs::detail {

class watch_tree {
 public:
  static constexpr int none = -1;

  /// The root, which has no name; the path is the watch's.
  void begin(int number, std::string path);
  int root() const noexcept { return root_; }
  bool has(int number) const noexcept { return nodes_.contains(number); }
  /// It is `name` in `parent` now, wherever it was. Nothing, where that would be inside of itself: what is
  /// told was overtaken by what was seen, and what sets it right comes.
  void put(int number, int parent, const std::string& name);
  /// The folder that has this name; none.
  int child(int parent, const std::string& name) const noexcept;
  /// The path of a name in it; an empty name: its own.
  std::string path_of(int number, const std::string& name) const;
  bool is_within(int number, int above) const noexcept;

  /// It went away, perhaps to another place in the tree, of which `cookie` tells: put() says which.
  void leave(int number, std::uint32_t cookie) noexcept;
  bool is_on_its_way(int number, std::uint32_t cookie) const noexcept;
  /// Takes it out, and all below it. Result: their numbers. Not the root.
  std::vector<int> drop(int number);

  // Names that were seen in a new folder, and whose event may be still to come.
  // Result: whether it is the first time.
  bool saw(int number, const std::string& name);
  /// Whether it was; no more after that.
  bool was_seen(int number, const std::string& name);
  void forget_seen() noexcept;

  // Looking at all of it again.
  void begin_round() noexcept { ++round_; }
  /// It is not known what is there by now: it and all below it stay as they are.
  void confirm(int number) noexcept;
  /// Drops what no put() and no confirm() told of since begin_round(). Result: their numbers.
  std::vector<int> end_round();

 private:
  struct node {
    int parent = none;
    std::string name;
    std::map<std::string, int, std::less<>> below;
    std::set<std::string, std::less<>> seen;
    std::uint32_t on_its_way = 0;  // a cookie
    std::uint64_t round = 0;
  };
  node* find(int number) noexcept;
  const node* find(int number) const noexcept;
  void unlink(int number, node& its) noexcept;

  std::unordered_map<int, node> nodes_;
  std::string path_;
  int root_ = none;
  std::uint64_t round_ = 0;
  std::set<int> with_seen_;
};

}  // namespace weft::fs::detail
