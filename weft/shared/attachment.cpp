#include "weft/shared/attachment.hpp"

#include <algorithm>

#include "weft/base/assert.hpp"
#include "weft/base/chrono.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/process.hpp"
#include "weft/runtime/futex.hpp"

namespace weft::shared {
namespace {

constexpr auto everybody = futex_scope::process_shared;
constexpr std::uint32_t all_of_them = UINT32_MAX;
constexpr int spins_max = 100;
constexpr int yields_max = 10;

}  // namespace

result<void> may_create(std::span<std::byte> memory, std::size_t needed) noexcept {
  if (memory.size() < needed || reinterpret_cast<std::uintptr_t>(memory.data()) % alignment != 0) {
    return std::unexpected(std::make_error_code(std::errc::invalid_argument));
  }
  const auto* const there = reinterpret_cast<const front*>(memory.data());
  if (there->kind.load(order::acquire) != 0) {
    return std::unexpected(std::make_error_code(std::errc::file_exists));
  }
  return {};
}

void created(front& f, std::uint64_t kind) noexcept {
  f.processes_of = os::process_namespace();
  f.kind.store(kind, order::release);
}

result<void> may_open(std::span<std::byte> memory, std::size_t needed,
                      std::uint64_t kind) noexcept {
  if (memory.size() < std::max(needed, sizeof(front)) ||
      reinterpret_cast<std::uintptr_t>(memory.data()) % alignment != 0) {
    return std::unexpected(std::make_error_code(std::errc::invalid_argument));
  }
  const auto* const there = reinterpret_cast<const front*>(memory.data());
  if (there->kind.load(order::acquire) != kind) {
    return std::unexpected(make_error_code(errc::not_found));
  }
  if (there->processes_of != os::process_namespace()) {
    return std::unexpected(std::make_error_code(std::errc::operation_not_supported));
  }
  return {};
}

attachment::attachment(front& f, shared_options how) noexcept
    : front_(f), look_after_ns_(from_chrono(how.look_after)), identity_(os::process_identity()) {}

result<void> attachment::attach() noexcept {
  index_ = front_.all.attach(identity_);
  if (index_ == members::none && see_to_the_dead() != 0) index_ = front_.all.attach(identity_);
  if (index_ == members::none) return std::unexpected(make_error_code(errc::too_large));
  return {};
}

void attachment::detach() noexcept {
  if (index_ == members::none) return;
  give_back(index_);
  front_.all.detach(index_);
  index_ = members::none;
}

bool attachment::lock_now() noexcept {
  for (int i = 0; i < spins_max + yields_max; ++i) {
    if (front_.all.try_lock(index_)) return true;
    if (i < spins_max) {
      cpu_pause();
    } else {
      spin_wait_yield();
    }
  }
  return false;
}

task<> attachment::lock() {
  while (!lock_now()) {
    std::uint32_t value = 0;
    if (!front_.all.contend(value)) continue;
    const auto how = co_await futex_wait_for(front_.all.lock_word(), value,
                                             std::chrono::nanoseconds(look_after_ns_), everybody);
    if (how == futex_status::timed_out) see_to_the_dead();
  }
}

void attachment::blocking_lock() noexcept {
  while (!lock_now()) {
    std::uint32_t value = 0;
    if (!front_.all.contend(value)) continue;
    static_cast<void>(blocking_sleep_in(front_.all.lock_word(), value, never_ns));
  }
}

void attachment::unlock() noexcept {
  if (front_.all.unlock()) futex_wake(front_.all.lock_word(), all_of_them, everybody);
}

void attachment::changed(signal_word& s) noexcept {
  if (s.changed()) futex_wake(s.word(), all_of_them, everybody);
}

task<> attachment::sleep_in(signal_word& s, std::uint32_t heard) {
  const auto how =
      co_await futex_wait_for(s.word(), heard, std::chrono::nanoseconds(look_after_ns_), everybody);
  if (how == futex_status::timed_out) see_to_the_dead();
}

bool attachment::blocking_sleep_in(atomic<std::uint32_t>& word, std::uint32_t value,
                                   std::int64_t deadline_ns) noexcept {
  const std::int64_t slice = saturating_add_ns(os::monotonic_ns(), look_after_ns_);
  const bool last = deadline_ns <= slice;
  const auto how = blocking_futex_wait(word, value, everybody, last ? deadline_ns : slice);
  if (how != futex_status::timed_out) return true;
  see_to_the_dead();
  return !last;
}

unsigned attachment::see_to_the_dead() noexcept {
  unsigned found = 0;
  for (unsigned i = 0; i < members::count_max; ++i) {
    const std::uint64_t who = front_.all.who(i);
    if (who == 0 || who == identity_ || os::process_is_alive(who)) continue;
    if (!front_.all.take_over(i, who, identity_)) continue;
    futex_wake(front_.all.lock_word(), all_of_them, everybody);
    give_back(i);
    front_.all.detach(i);
    ++found;
  }
  return found;
}

}  // namespace weft::shared
