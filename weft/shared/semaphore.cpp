// What is free is never written down: it is the total less what the records hold. So a process that is
// killed leaves one number, its own, which whoever takes its record over sets to 0.
//   I1  held[i] rises only under the lock, by one store, after a look that found enough: together they
//       never hold more than the total. It may fall at any time.
//   No wake is lost: who waits listens before it looks (P3 of members.hpp); a release that is killed
//   between its two steps is made good for by look_after.
#include "weft/shared/semaphore.hpp"

#include <new>

#include "weft/base/assert.hpp"

namespace weft {
namespace shared {

std::uint32_t semaphore_end::available() const noexcept {
  std::uint32_t taken = 0;
  for (const auto& one : s_.held) taken += one.load(order::seq_cst);  // behind listen(), see P3
  const std::uint32_t total = s_.total.load(order::relaxed);
  return taken < total ? total - taken : 0;
}

bool semaphore_end::take(std::uint32_t n) noexcept {
  if (available() < n) return false;
  s_.held[index()].fetch_add(n, order::relaxed);
  return true;
}

void semaphore_end::release(std::uint32_t n) noexcept {
  std::uint32_t mine = s_.held[index()].load(order::relaxed);
  do {
    WEFT_ASSERT(mine >= n, "a shared_semaphore was given back more than this handle has taken");
  } while (!s_.held[index()].compare_exchange_weak(mine, mine - n, order::seq_cst, order::relaxed));
  changed(s_.given);
}

void semaphore_end::give_back(unsigned i) noexcept {
  if (s_.held[i].exchange(0, order::seq_cst) != 0) changed(s_.given);
}

bool semaphore_end::try_acquire(std::uint32_t n) noexcept {
  if (!lock_now()) return false;
  const bool taken = take(n);
  unlock();
  return taken;
}

task<> semaphore_end::acquire(std::uint32_t n) {
  co_await stop_check();
  std::uint32_t heard = 0;
  for (bool listens = false;; listens = true) {
    co_await lock();
    if (listens) heard = s_.given.listen();
    const bool taken = take(n);
    unlock();
    if (taken) co_return;
    if (listens) co_await sleep_in(s_.given, heard);
  }
}

bool semaphore_end::blocking_acquire(std::uint32_t n, std::int64_t deadline_ns) noexcept {
  for (;;) {
    blocking_lock();
    const std::uint32_t heard = s_.given.listen();
    const bool taken = take(n);
    unlock();
    if (taken) return true;
    if (!blocking_sleep_in(s_.given.word(), heard, deadline_ns)) return false;
  }
}

namespace {
constexpr std::uint64_t kind = 0x7765'6674'7365'0001;  // "weftse", layout 1
}

}  // namespace shared

result<shared_semaphore> shared_semaphore::create_at(std::span<std::byte> memory,
                                                     std::uint32_t permits, shared_options how) {
  if (auto may = shared::may_create(memory, bytes_needed); !may) {
    return std::unexpected(may.error());
  }
  auto& s = *::new (static_cast<void*>(memory.data())) shared::semaphore_front;
  s.total.store(permits, order::relaxed);
  shared::created(s, shared::kind);
  return open_at(memory, how);
}

result<shared_semaphore> shared_semaphore::open_at(std::span<std::byte> memory,
                                                   shared_options how) {
  if (auto may = shared::may_open(memory, bytes_needed, shared::kind); !may) {
    return std::unexpected(may.error());
  }
  auto& s = *std::launder(reinterpret_cast<shared::semaphore_front*>(memory.data()));
  auto made = std::make_unique<shared::semaphore_end>(s, how);
  if (auto attached = made->attach(); !attached) return std::unexpected(attached.error());
  return shared_semaphore(std::move(made));
}

}  // namespace weft
