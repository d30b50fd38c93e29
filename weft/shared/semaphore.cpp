// Protocol: permits.hpp
#include "weft/shared/semaphore.hpp"

#include <new>

namespace weft {
namespace shared {

void semaphore_end::release(std::uint32_t n) noexcept {
  s_.owned.give(index(), n);
  changed(s_.owned.given());
}

void semaphore_end::give_back(unsigned i) noexcept {
  if (s_.owned.give_all(i)) changed(s_.owned.given());
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
    if (listens) heard = s_.owned.given().listen();
    const bool taken = take(n);
    unlock();
    if (taken) co_return;
    if (listens) co_await sleep_in(s_.owned.given(), heard);
  }
}

bool semaphore_end::blocking_acquire(std::uint32_t n, std::int64_t deadline_ns) noexcept {
  for (;;) {
    blocking_lock();
    const std::uint32_t heard = s_.owned.given().listen();
    const bool taken = take(n);
    unlock();
    if (taken) return true;
    if (!blocking_sleep_in(s_.owned.given().word(), heard, deadline_ns)) return false;
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
  s.owned.set_total(permits);
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
