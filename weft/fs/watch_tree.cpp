#include "weft/fs/watch_tree.hpp"

#include <utility>

namespace weft::fs::detail {

watch_tree::node* watch_tree::find(int number) noexcept {
  const auto at = nodes_.find(number);
  return at == nodes_.end() ? nullptr : &at->second;
}
const watch_tree::node* watch_tree::find(int number) const noexcept {
  const auto at = nodes_.find(number);
  return at == nodes_.end() ? nullptr : &at->second;
}

void watch_tree::begin(int number, std::string path) {
  root_ = number;
  path_ = std::move(path);
  nodes_[number].round = round_;
}

/// From its parent's names, unless another one has its name by now.
void watch_tree::unlink(int number, node& its) noexcept {
  node* const parent = find(its.parent);
  if (parent == nullptr) return;
  const auto at = parent->below.find(its.name);
  if (at != parent->below.end() && at->second == number) parent->below.erase(at);
}

void watch_tree::put(int number, int parent, const std::string& name) {
  if (number == root_ || !has(parent)) return;
  node& its = nodes_[number];
  its.on_its_way = 0;
  its.round = round_;
  if (is_within(parent, number)) return;
  unlink(number, its);
  its.parent = parent;
  its.name = name;
  nodes_[parent].below[name] = number;
}

int watch_tree::child(int parent, const std::string& name) const noexcept {
  const node* const its = find(parent);
  if (its == nullptr) return none;
  const auto at = its->below.find(name);
  return at == its->below.end() ? none : at->second;
}

std::string watch_tree::path_of(int number, const std::string& name) const {
  std::vector<const std::string*> names;
  if (!name.empty()) names.push_back(&name);
  for (const node* at = find(number); at != nullptr && !at->name.empty(); at = find(at->parent)) {
    names.push_back(&at->name);
  }
  std::string path = path_;
  for (auto one = names.rbegin(); one != names.rend(); ++one) {
    if (!path.ends_with('/')) path += '/';
    path += **one;
  }
  return path;
}

bool watch_tree::is_within(int number, int above) const noexcept {
  for (int at = number; at != none;) {
    if (at == above) return true;
    const node* const its = find(at);
    at = its == nullptr ? none : its->parent;
  }
  return false;
}

void watch_tree::leave(int number, std::uint32_t cookie) noexcept {
  node* const its = find(number);
  if (its == nullptr) return;
  unlink(number, *its);  // its name may be given again; its path is the old one for the moment
  its->on_its_way = cookie;
}
bool watch_tree::is_on_its_way(int number, std::uint32_t cookie) const noexcept {
  const node* const its = find(number);
  return its != nullptr && its->on_its_way == cookie && cookie != 0;
}

std::vector<int> watch_tree::drop(int number) {
  std::vector<int> gone;
  if (number == root_ || !has(number)) return gone;
  unlink(number, nodes_[number]);
  gone.push_back(number);
  for (std::size_t i = 0; i < gone.size(); ++i) {
    const auto at = nodes_.find(gone[i]);
    for (const auto& [name, below] : at->second.below) gone.push_back(below);
    nodes_.erase(at);
  }
  return gone;
}

bool watch_tree::saw(int number, const std::string& name) {
  node* const its = find(number);
  if (its == nullptr) return false;
  with_seen_.insert(number);
  return its->seen.insert(name).second;
}
bool watch_tree::was_seen(int number, const std::string& name) {
  node* const its = find(number);
  return its != nullptr && its->seen.erase(name) != 0;
}
void watch_tree::forget_seen() noexcept {
  for (const int number : with_seen_) {
    if (node* const its = find(number)) its->seen.clear();
  }
  with_seen_.clear();
}

void watch_tree::confirm(int number) noexcept {
  node* const its = find(number);
  if (its == nullptr) return;
  its->round = round_;
  for (const auto& [name, below] : its->below) confirm(below);
}

std::vector<int> watch_tree::end_round() {
  std::vector<int> old, gone;
  for (const auto& [number, its] : nodes_) {
    if (its.round != round_ && number != root_) old.push_back(number);
  }
  gone.reserve(old.size());
  for (const int number : old) {
    node* const its = find(number);
    if (its == nullptr) continue;
    unlink(number, *its);
    // What is below it and was confirmed has been put elsewhere; the rest is in `old`, too.
    nodes_.erase(number);
    gone.push_back(number);
  }
  return gone;
}

}  // namespace weft::fs::detail
