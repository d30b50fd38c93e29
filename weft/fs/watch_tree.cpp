#include "weft/fs/watch_tree.hpp"

#include <algorithm>

#include "weft/base/assert.hpp"

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

/// From its parent's names.
void watch_tree::unlink(int number, const node& its) noexcept {
  node* const parent = find(its.parent);
  if (parent == nullptr) return;
  const auto [begin, end] = parent->below.equal_range(its.name);
  const auto at = std::find_if(begin, end, [=](const auto& one) { return one.second == number; });
  if (at != end) parent->below.erase(at);
}

void watch_tree::put(int number, int parent, const std::string& name) {
  if (number == root_ || !has(parent)) return;
  node& its = nodes_[number];
  WEFT_ASSERT(!its.is_dropped, "a folder was put into a watched tree before it was out of it");
  its.round = round_;
  if (is_within(parent, number) || (its.parent == parent && its.name == name)) return;
  std::string copy = name;
  nodes_[parent].below.emplace(name, number);  // the last that may throw
  unlink(number, its);
  its.parent = parent;
  its.name = std::move(copy);
}

bool watch_tree::is_called(int number, int parent, const std::string& name) const noexcept {
  const node* const its = find(number);
  return its != nullptr && its->parent == parent && its->name == name;
}
bool watch_tree::knows(int parent, const std::string& name) const noexcept {
  const node* const its = find(parent);
  return its != nullptr && its->below.contains(name);
}

void watch_tree::drop_called(int parent, const std::string& name) {
  for (node* its = find(parent); its != nullptr;) {
    const auto at = its->below.find(name);
    if (at == its->below.end()) return;
    drop(at->second);
  }
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

void watch_tree::drop(int number) {
  node* const its = find(number);
  if (number == root_ || its == nullptr || its->is_dropped) return;
  dropped_.push_back(number);
  unlink(number, *its);
  its->parent = none;
  its->is_dropped = true;
}

bool watch_tree::reap(std::size_t steps, std::vector<int>& numbers) {
  for (; steps != 0 && !dropped_.empty(); --steps) {
    const int number = dropped_.back();
    node& its = *find(number);
    if (its.below.empty()) {
      numbers.push_back(number);
      dropped_.pop_back();
      nodes_.erase(number);
    } else {
      drop(its.below.begin()->second);  // which takes it from there
    }
  }
  return dropped_.empty();
}

bool watch_tree::saw(int number, const std::string& name) {
  return find(number) != nullptr && seen_.emplace(number, name).second;
}
bool watch_tree::was_seen(int number, const std::string& name) {
  const auto at = seen_.find(less_seen::view(number, name));
  if (at == seen_.end()) return false;
  seen_.erase(at);
  return true;
}
bool watch_tree::forget_seen(std::size_t steps) noexcept {
  for (; steps != 0 && !seen_.empty(); --steps) seen_.erase(seen_.begin());
  return seen_.empty();
}

void watch_tree::begin_round() noexcept {
  ++round_;
  if (node* const root = find(root_)) root->round = round_;
}
void watch_tree::confirm(int number) noexcept {
  if (node* const its = find(number)) its->round = its->kept = round_;
}
void watch_tree::confirm(int parent, const std::string& name) noexcept {
  const node* const its = find(parent);
  if (its == nullptr) return;
  const auto [begin, end] = its->below.equal_range(name);
  for (auto at = begin; at != end; ++at) confirm(at->second);
}

/// Confirmed, or below what was confirmed with all below it.
bool watch_tree::stays(const node& its) const noexcept {
  const node* at = &its;
  while (at != nullptr && at->round != round_) at = find(at->parent);
  return at != nullptr && (at == &its || at->kept == round_);
}

bool watch_tree::end_round(std::size_t& at, std::size_t steps) {
  for (; at < nodes_.bucket_count(); ++at, --steps) {
    if (steps == 0) return false;
    for (auto one = nodes_.begin(at); one != nodes_.end(at); ++one) {
      if (!stays(one->second)) drop(one->first);
    }
  }
  return true;
}

}  // namespace weft::fs::detail
