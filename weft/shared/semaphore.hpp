// shared_semaphore: permits that several processes share, in memory that they share.
//
//   auto s = weft::shared_semaphore::create_at(memory, 4);     // one process; result<>
//   auto s = weft::shared_semaphore::open_at(memory);          // the others
//   co_await s->acquire();   ...   s->release();
//
//   Threads   any number of processes and threads. Open it anew after a fork()
//   Fairness  none across processes: when permits are given back all who wait look, and the first takes.
//             Who wants many may wait long beside those who want few
//   Killed    a process may be killed at any instruction: the permits that it holds are given back, by
//             who has waited for shared_options::look_after. So are those of a handle that goes away
//   Cost      acquire: a lock and a look at 64 records; release: two read-modify-writes; a system call
//             only where somebody waits
//   Cancel    a stopped acquire() has taken nothing
//   Limits    64 handles at a time, of processes of one process-id namespace
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "weft/shared/attachment.hpp"
#include "weft/shared/permits.hpp"

namespace weft {

namespace shared {

struct semaphore_front : front {
  permits owned;
};

class semaphore_end final : public attachment {
 public:
  semaphore_end(semaphore_front& s, shared_options how) noexcept : attachment(s, how), s_(s) {}
  ~semaphore_end() override { detach(); }
  task<> acquire(std::uint32_t n);
  bool try_acquire(std::uint32_t n) noexcept;
  bool blocking_acquire(std::uint32_t n, std::int64_t deadline_ns) noexcept;
  void release(std::uint32_t n) noexcept;
  std::uint32_t available() const noexcept { return s_.owned.free(); }
  std::uint32_t held() const noexcept { return s_.owned.held(index()); }

 private:
  void give_back(unsigned i) noexcept override;
  bool take(std::uint32_t n) noexcept { return s_.owned.take(index(), n); }
  semaphore_front& s_;
};

}  // namespace shared

class shared_semaphore {
 public:
  static constexpr std::size_t bytes_needed = sizeof(shared::semaphore_front);

  /// Makes one with `permits` in `memory`, which is zero, and opens it. Errors: as shared_queue
  static result<shared_semaphore> create_at(std::span<std::byte> memory, std::uint32_t permits,
                                            shared_options how = {});
  static result<shared_semaphore> open_at(std::span<std::byte> memory, shared_options how = {});

  /// Waits for `n` permits at once, and takes them.
  task<> acquire(std::uint32_t n = 1) { return end_->acquire(n); }
  /// False also if another process holds the lock for unusually long.
  bool try_acquire(std::uint32_t n = 1) noexcept { return end_->try_acquire(n); }
  /// In a plain thread, without help of another one. Errors: errc::timed_out
  result<void> blocking_acquire(std::uint32_t n = 1, std::int64_t deadline_ns = never_ns) noexcept {
    if (end_->blocking_acquire(n, deadline_ns)) return {};
    return std::unexpected(make_error_code(errc::timed_out));
  }
  /// Gives back `n` that this handle has taken. Never waits.
  void release(std::uint32_t n = 1) noexcept { end_->release(n); }

  /// A moment's truth.
  std::uint32_t available() const noexcept { return end_->available(); }
  /// By this handle.
  std::uint32_t held() const noexcept { return end_->held(); }

 private:
  explicit shared_semaphore(std::unique_ptr<shared::semaphore_end> end) noexcept
      : end_(std::move(end)) {}
  std::unique_ptr<shared::semaphore_end> end_;
};

}  // namespace weft
