#include "weft/sync/shared_holds.hpp"

#include <cstddef>
#include <cstdint>

#include "weft/base/spin_lock.hpp"

namespace weft::detail {
namespace {

struct share {
  const void* mutex = nullptr;  // nullptr: none
  const job* who = nullptr;
  const void* guard = nullptr;
};

/// All shares of one mutex are in one of them.
struct bucket {
  static constexpr int shares_max = 8;
  spin_lock lock;  // guards what follows
  share shares[shares_max];
};

constexpr std::size_t buckets_count = 64;
constinit bucket buckets[buckets_count];

bucket& bucket_of(const void* mutex) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(mutex);
  return buckets[(at >> 4 ^ at >> 12) % buckets_count];
}

}  // namespace

void note_share(const void* mutex, const job* who, const void* guard) noexcept {
  if (who == nullptr) return;
  bucket& b = bucket_of(mutex);
  const spin_guard held(b.lock);
  for (share& s : b.shares) {
    if (s.mutex != nullptr) continue;
    s = {mutex, who, guard};
    return;
  }
}

void forget_share(const void* mutex, const void* guard) noexcept {
  bucket& b = bucket_of(mutex);
  const spin_guard held(b.lock);
  for (share& s : b.shares) {
    if (s.mutex == mutex && s.guard == guard) s = {};
  }
}

bool has_share(const void* mutex, const job& who) noexcept {
  bucket& b = bucket_of(mutex);
  const spin_guard held(b.lock);
  for (const share& s : b.shares) {
    if (s.mutex == mutex && s.who == &who) return true;
  }
  return false;
}

}  // namespace weft::detail
