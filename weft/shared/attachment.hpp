// attachment: this process's place among the members of a piece of shared memory. What shared_queue and
// shared_semaphore have in common: waiting, and seeing to it that nobody waits for the dead.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "weft/base/result.hpp"
#include "weft/base/time.hpp"
#include "weft/shared/members.hpp"
#include "weft/task/current.hpp"
#include "weft/task/task.hpp"
#include "weft/task/wait_list.hpp"

namespace weft {

struct shared_options {
  /// Who has waited for so long looks whether a process has ended that it may be waiting for.
  std::chrono::nanoseconds look_after = std::chrono::milliseconds(100);
};

namespace shared {

/// At the beginning of the memory.
struct front {
  atomic<std::uint64_t> kind{0};  // written last, by who creates it (release); read first (acquire)
  std::uint64_t processes_of = 0;  // os::process_namespace()
  members all;
};
inline constexpr std::size_t alignment = 64;

/// Fills `memory` with a T, made by T(args), and says that it is there.
/// Errors: std::errc::invalid_argument (too small, not aligned to 64), file_exists
result<void> may_create(std::span<std::byte> memory, std::size_t needed) noexcept;
void created(front& f, std::uint64_t kind) noexcept;
/// Errors: errc::not_found (nothing of this kind is there, yet), invalid_argument (too small),
/// operation_not_supported (it was made in another process-id namespace)
result<void> may_open(std::span<std::byte> memory, std::size_t needed, std::uint64_t kind) noexcept;

/// Ends the task here if it was stopped: before an operation that may not wait.
class stop_check {
 public:
  stop_check() noexcept {}
  bool await_ready() const noexcept {
    const job* const me = current_job();
    return me == nullptr || !detail::sees_stop(*me);
  }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) const noexcept {
    return unwind(waiter.promise());
  }
  void await_resume() const noexcept {}
};

class attachment {
 public:
  attachment(front& f, shared_options how) noexcept;
  attachment(const attachment&) = delete;
  attachment& operator=(const attachment&) = delete;
  virtual ~attachment() = default;

  /// Errors: errc::too_large: members::count_max processes have it open
  result<void> attach() noexcept;
  /// By the derived class's destructor, or never: then it is as if the process had ended.
  void detach() noexcept;

  bool lock_now() noexcept;       // spins for a while, no more
  task<> lock();                  // a stop ends it; then it has not locked
  void blocking_lock() noexcept;  // for what must be done
  void unlock() noexcept;
  void changed(signal_word& s) noexcept;

  /// Sleeps while `s` is as listen() said, or for look_after; sees to the dead then.
  task<> sleep_in(signal_word& s, std::uint32_t heard);
  /// The same in a plain thread. False: `deadline_ns` has passed.
  bool blocking_sleep_in(atomic<std::uint32_t>& word, std::uint32_t value,
                         std::int64_t deadline_ns) noexcept;
  /// Takes over what processes that have ended have left. Result: how many there were.
  unsigned see_to_the_dead() noexcept;

  unsigned index() const noexcept { return index_; }

 protected:
  /// Record `i` was of a process that has ended, and is ours now: gives back what it had.
  virtual void give_back(unsigned i) noexcept = 0;

 private:
  front& front_;
  const std::int64_t look_after_ns_;
  const std::uint64_t identity_;
  unsigned index_ = members::none;
};

}  // namespace shared
}  // namespace weft
