// frame_account: what a tree of jobs takes of memory for its coroutine frames and jobs, now and at
// most; it may be refused more than a limit, and told of when it passes a bound.
//
//   weft::frame_account account({.bytes_limit = 10 << 20});
//   auto handle = weft::spawn({.account = &account}, serve, std::move(connection));
//   co_await handle;
//   log(account.most_bytes());
//
// A job spawned with an account carries it, and so do the jobs that it makes, however it makes them:
// spawn, when_all, timeout, branches of fork_join that other workers steal. What they allocate is
// booked to it, and booked out of it wherever and by whomever it is freed. The totals of an account
// are part of its parent's.
//
//   Switch     off unless WEFT_FRAME_ACCOUNTS=on is in the environment or switch_frame_accounts_on()
//              is called first in main(). Accounts then count nothing and bound nothing
//   Counts     coroutine frames, jobs and the lists of what a job awaits at once, in cache lines as
//              the frame pool gives them. Not: what they allocate themselves, fibers, buffers
//   Lifetimes  an account may go before its tree: what is booked stays booked to its parents, and its
//              limit stays; only nobody can ask it any more, and it gives no notice
//   Threads    any
//   Cost       off: none. On: a line in front of each block, and atomic operations on the account and
//              on each of its parents, so more where many cores share one: see docs/guide/memory.md
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "weft/base/atomic.hpp"
#include "weft/base/config.hpp"

namespace weft {

class frame_account;
class job;

namespace detail {
class account_state;
class next_block_account;
}  // namespace detail

struct frame_account_options {
  static constexpr std::size_t no_bound = ~std::size_t{0};
  /// Has the totals of this one in its own. nullptr: the account of the job that makes this one, if
  /// it has any.
  const frame_account* parent = nullptr;
  /// What would bring it above is refused: frame_limit_error from where a coroutine is called or a job
  /// spawned. A branch of fork_join or when_all is booked all the same, for half a fork cannot be.
  std::size_t bytes_limit = no_bound;
  /// `notice` is called once, when most_bytes() passes this; again after forget_most(). It runs inside
  /// the allocation, on any thread, so it is short: it counts, logs, or calls stop() on a handle. It
  /// must not destroy the account.
  std::size_t notice_bytes = no_bound;
  void (*notice)(void* context) noexcept = nullptr;
  void* context = nullptr;
};

/// A limit was reached; the process has memory.
class frame_limit_error : public std::bad_alloc {
 public:
  const char* what() const noexcept override;
};

class frame_account {
 public:
  explicit frame_account(const frame_account_options& options = {});
  ~frame_account();
  frame_account(const frame_account&) = delete;
  frame_account& operator=(const frame_account&) = delete;

  /// Each is true for itself; they are of one moment when nothing of the tree runs.
  std::size_t bytes() const noexcept;
  std::size_t blocks() const noexcept;
  /// At any moment since the beginning, or forget_most().
  std::size_t most_bytes() const noexcept;
  void forget_most() noexcept;

  /// Whether the job that runs on the calling thread is booked to it.
  bool is_current() const noexcept;

 private:
  friend class detail::next_block_account;
  detail::account_state* const state_;
};

/// Every job and frame of the process is accounted for from now on. It asserts that there was none
/// before: call it first in main(). Calling it again does nothing.
void switch_frame_accounts_on() noexcept;
[[nodiscard]] bool frame_accounts_on() noexcept;

namespace detail {

enum class accounting : std::uint8_t { unsettled, off, on };
extern constinit atomic<accounting> frame_accounting;
bool settle_frame_accounts() noexcept;

/// Whether blocks have headers; the first block settles it. For the pool's slow paths.
[[nodiscard]] inline bool frames_are_accounted() noexcept {
  const accounting now = frame_accounting.load(order::relaxed);
  if (WEFT_LIKELY(now == accounting::off)) return false;
  return now == accounting::on || settle_frame_accounts();
}

/// A block with its header in front. `payer`: whose account it is booked to in the place of the
/// running job's, and without being refused.
[[nodiscard]] void* allocate_accounted(std::size_t bytes, std::size_t alignment, const job* payer);
void free_accounted(void* block, std::size_t bytes, std::size_t alignment) noexcept;

/// The next block that the thread allocates is booked to `account`, unless that is nullptr: a job's,
/// in whose block the account is found from then on.
class next_block_account {
 public:
  explicit next_block_account(const frame_account* account) noexcept : given_(account != nullptr) {
    if (given_) give(account);
  }
  ~next_block_account() {
    if (given_) give(nullptr);
  }
  next_block_account(const next_block_account&) = delete;
  next_block_account& operator=(const next_block_account&) = delete;

 private:
  static void give(const frame_account* account) noexcept;
  const bool given_;
};

}  // namespace detail
}  // namespace weft
