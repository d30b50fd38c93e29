#include <weft/http/file_cache.hpp>

#include <algorithm>
#include <utility>

namespace weft::http::detail {

file_cache::snapshot file_cache::find(std::string_view path, moment since) {
  nodes gone;  // what goes is destroyed when the lock has been given back
  const spin_guard guard(lock_);
  since_ = std::max(since_, since);
  const auto at = index_.find(path);
  if (at == index_.end() || at->second->seen <= since) {
    sweep(gone);
    return nullptr;
  }
  at->second->asked_for = true;
  return at->second->file;
}

file_cache::snapshot file_cache::find_stale(std::string_view path) {
  const spin_guard guard(lock_);
  const auto at = index_.find(path);
  return at == index_.end() ? nullptr : at->second->file;
}

void file_cache::put(std::string_view path, snapshot file, moment seen) {
  const std::size_t bytes = bytes_of(path, *file);
  const bool opened = file->opened != nullptr;
  nodes fresh, gone;
  places fresh_opened;
  fresh.push_back({std::string(path), std::move(file), seen, bytes, false, {}});
  if (opened) {
    fresh_opened.push_back(fresh.begin());
    fresh.front().opened_at = fresh_opened.begin();
  }
  const spin_guard guard(lock_);
  sweep(gone);
  if (const auto known = index_.find(path); known != index_.end()) {
    if (known->second->seen > seen) return;  // another look began later and was done before
    fresh.front().asked_for = known->second->asked_for;
    take_out(known->second, gone);
  }
  if (most_.entries == 0 || bytes > most_.bytes || (opened && most_.descriptors == 0)) return;
  make_room(bytes, gone);  // before it is among them: it is not the one that goes
  while (opened && opened_.size() >= most_.descriptors) take_out(opened_.front(), gone);
  index_.emplace(fresh.front().path, fresh.begin());
  bytes_ += bytes;
  nodes_.splice(nodes_.end(), fresh);
  opened_.splice(opened_.end(), fresh_opened);
}

void file_cache::drop(std::string_view path) {
  nodes gone;
  const spin_guard guard(lock_);
  sweep(gone);
  if (const auto at = index_.find(path); at != index_.end()) take_out(at->second, gone);
}

void file_cache::drop_opened() {
  nodes gone;
  const spin_guard guard(lock_);
  while (!opened_.empty()) take_out(opened_.front(), gone);
}

file_cache::usage file_cache::used() noexcept {
  const spin_guard guard(lock_);
  return {nodes_.size(), bytes_, opened_.size()};
}

std::size_t file_cache::bytes_of(std::string_view path, const file_snapshot& file) {
  constexpr std::size_t beside =
      sizeof(node) + sizeof(file_snapshot) + 256;  // nodes, counts, index
  return path.size() + beside + (file.text != nullptr ? file.text->size() : 0);
}

void file_cache::take_out(nodes::iterator at, nodes& gone) {
  index_.erase(at->path);
  bytes_ -= at->bytes;
  if (at->file->opened != nullptr) opened_.erase(at->opened_at);
  gone.splice(gone.end(), nodes_, at);
}

void file_cache::sweep(nodes& gone) {
  for (int i = 0; i < swept_at_once && !opened_.empty(); ++i) {
    const auto oldest = opened_.front();
    if (oldest->seen > since_) return;
    take_out(oldest, gone);
  }
}

// Second chance: who was asked for is passed over once. Each pass clears a mark, so it comes to an end.
void file_cache::make_room(std::size_t bytes, nodes& gone) {
  while (nodes_.size() >= most_.entries || bytes_ + bytes > most_.bytes) {
    const auto oldest = nodes_.begin();
    if (oldest->asked_for) {
      oldest->asked_for = false;
      nodes_.splice(nodes_.end(), nodes_, oldest);
    } else {
      take_out(oldest, gone);
    }
  }
}

}  // namespace weft::http::detail
