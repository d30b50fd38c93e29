#include "weft/shared/queue.hpp"

#include <new>

namespace weft::shared {
namespace {

constexpr std::uint64_t kind = 0x7765'6674'7175'0001;  // "weftqu", layout 1
constexpr std::size_t first_place = (sizeof(queue_front) + alignment - 1) / alignment * alignment;

}  // namespace

std::size_t queue_end::bytes_needed(std::size_t message_bytes, std::size_t capacity) noexcept {
  return first_place + message_bytes * capacity;
}

result<std::unique_ptr<queue_end>> queue_end::create(std::span<std::byte> memory,
                                                     std::size_t message_bytes,
                                                     std::size_t capacity, shared_options how) {
  std::size_t bytes = 0;
  if (capacity == 0 || __builtin_mul_overflow(message_bytes, capacity, &bytes) ||
      bytes > memory.size()) {
    return std::unexpected(std::make_error_code(std::errc::invalid_argument));
  }
  if (auto may = may_create(memory, bytes_needed(message_bytes, capacity)); !may) {
    return std::unexpected(may.error());
  }
  auto& q = *::new (static_cast<void*>(memory.data())) queue_front;
  q.message_bytes = static_cast<std::uint32_t>(message_bytes);
  q.capacity = capacity;
  created(q, kind);
  return open(memory, message_bytes, how);
}

result<std::unique_ptr<queue_end>> queue_end::open(std::span<std::byte> memory,
                                                   std::size_t message_bytes, shared_options how) {
  if (auto may = may_open(memory, sizeof(queue_front), kind); !may) {
    return std::unexpected(may.error());
  }
  auto& q = *std::launder(reinterpret_cast<queue_front*>(memory.data()));
  if (q.message_bytes != message_bytes ||
      memory.size() < bytes_needed(message_bytes, static_cast<std::size_t>(q.capacity))) {
    return std::unexpected(std::make_error_code(std::errc::invalid_argument));
  }
  auto made = std::make_unique<queue_end>(q, how);
  if (auto attached = made->attach(); !attached) return std::unexpected(attached.error());
  return made;
}

std::byte* queue_end::place(std::uint64_t number) noexcept {
  return reinterpret_cast<std::byte*>(&q_) + first_place + number * q_.message_bytes;
}

queue_end::outcome queue_end::put(const void* from, std::uint32_t* heard) noexcept {
  if (heard != nullptr) *heard = q_.room.listen();
  if (q_.closed.load(order::relaxed) != 0) return outcome::closed;
  if (!q_.places.has_room(q_.capacity)) return outcome::not_now;
  std::memcpy(place(q_.places.to_write(q_.capacity)), from, q_.message_bytes);
  q_.places.commit_put();
  return outcome::done;
}

queue_end::outcome queue_end::take(void* to, std::uint32_t* heard) noexcept {
  if (heard != nullptr) *heard = q_.messages.listen();
  if (!q_.places.has_message()) {
    return q_.closed.load(order::relaxed) != 0 ? outcome::closed : outcome::not_now;
  }
  std::memcpy(to, place(q_.places.to_read(q_.capacity)), q_.message_bytes);
  q_.places.commit_take();
  return outcome::done;
}

queue_end::outcome queue_end::try_send(const void* from) noexcept {
  if (!lock_now()) return outcome::not_now;
  const outcome how = put(from, nullptr);
  unlock();
  if (how == outcome::done) changed(q_.messages);
  return how;
}

queue_end::outcome queue_end::try_receive(void* to) noexcept {
  if (!lock_now()) return outcome::not_now;
  const outcome how = take(to, nullptr);
  unlock();
  if (how == outcome::done) changed(q_.room);
  return how;
}

// What waits looks once without listening: who listens costs the other side a system call.

task<queue_end::outcome> queue_end::send(const void* from) {
  co_await stop_check();
  std::uint32_t heard = 0;
  for (std::uint32_t* listens = nullptr;; listens = &heard) {
    co_await lock();
    const outcome how = put(from, listens);
    unlock();
    if (how == outcome::done) changed(q_.messages);
    if (how != outcome::not_now) co_return how;
    if (listens != nullptr) co_await sleep_in(q_.room, heard);
  }
}

task<queue_end::outcome> queue_end::receive(void* to) {
  co_await stop_check();
  std::uint32_t heard = 0;
  for (std::uint32_t* listens = nullptr;; listens = &heard) {
    co_await lock();
    const outcome how = take(to, listens);
    unlock();
    if (how == outcome::done) changed(q_.room);
    if (how != outcome::not_now) co_return how;
    if (listens != nullptr) co_await sleep_in(q_.messages, heard);
  }
}

queue_end::outcome queue_end::blocking_send(const void* from, std::int64_t deadline_ns) noexcept {
  for (std::uint32_t heard = 0;;) {
    blocking_lock();
    const outcome how = put(from, &heard);
    unlock();
    if (how == outcome::done) changed(q_.messages);
    if (how != outcome::not_now) return how;
    if (!blocking_sleep_in(q_.room.word(), heard, deadline_ns)) return outcome::not_now;
  }
}

queue_end::outcome queue_end::blocking_receive(void* to, std::int64_t deadline_ns) noexcept {
  for (std::uint32_t heard = 0;;) {
    blocking_lock();
    const outcome how = take(to, &heard);
    unlock();
    if (how == outcome::done) changed(q_.room);
    if (how != outcome::not_now) return how;
    if (!blocking_sleep_in(q_.messages.word(), heard, deadline_ns)) return outcome::not_now;
  }
}

void queue_end::close() noexcept {
  blocking_lock();
  q_.closed.store(1, order::relaxed);
  unlock();
  changed(q_.messages);
  changed(q_.room);
}

}  // namespace weft::shared
