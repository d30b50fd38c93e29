// How a job finds its account: while accounts are on, each block of the frame pool has a line in
// front of it, which says what account the block was booked to; and a job's account is the one that
// its own block was booked to. So a job has no word for it, inherits it by being allocated, and
// cannot outlive it unseen. job_kind::in_block says which jobs begin a block; the others (a plain
// thread in block_on, jobs of tests) have no account.
//
// Invariants
//   I1  All blocks of a process have a header, or none has: settled once, by the first block or by
//       switch_frame_accounts_on() before it. The thread's in-line lists stay empty and closed while
//       they have one (frame_pool.cpp), so every block comes through here.
//   I2  A block is booked out of the account that its header names, whoever frees it: so the sum of an
//       account is that of the blocks that name it or an account below it.
//   I3  An account's state is there while something uses it, by `users_`: blocks, each of which uses the
//       parents as well, the object frame_account, and accounts that it is the parent of. So a job that
//       nobody joined may free its block when the object is long gone.
//   I4  notice is not called, nor running, after the object is gone: telling_ is locked around it.
// Orderings
//   P1  drop: users_ down (release)  ->  the last drop (acquire): all that others did to the state.
//   Else relaxed: the counts order nothing. Each sum is exact at any moment, and so is most_, because
//   who brought the sum to a value is who raises most_ to it.
//
// Rejected
//   A word in job: all jobs would pay for what few programs use.
//   A side table of jobs: needs an entry at each spawn and an end, and a lock; the header is needed
//     anyway, for frames that are freed by other jobs.
//   An assertion that the tree has ended before its account: a job whose handle was dropped ends when
//     it can, and its block is freed after shutdown() saw its end.
//   A word of the thread, exchanged with the running job: the scheduler would pay when it is off.
#include "weft/task/frame_account.hpp"

#include <cstdlib>
#include <new>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/base/config.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/task/current.hpp"
#include "weft/task/frame_pool.hpp"

namespace weft {
namespace {

using detail::account_state;
using detail::accounting;
using detail::frame_accounting;
using detail::frame_class_bytes;
using detail::frame_class_of;
using detail::pooled_frame_bytes_max;

accounting asked_for() noexcept {
  const char* asked = std::getenv("WEFT_FRAME_ACCOUNTS");
  return asked != nullptr && __builtin_strcmp(asked, "on") == 0 ? accounting::on : accounting::off;
}

/// I1. What it is from now on.
accounting settle(accounting wanted) noexcept {
  accounting seen = accounting::unsettled;
  return frame_accounting.compare_exchange(seen, wanted, order::relaxed, order::relaxed) ? wanted
                                                                                         : seen;
}

/// In front of each block.
struct header {
  account_state* account;  // nullptr: nobody's
  const void* block;
  std::size_t bytes;
};
static_assert(sizeof(header) <= cache_line);

header& header_of(const void* block) noexcept {
  auto* const h = reinterpret_cast<header*>(const_cast<char*>(static_cast<const char*>(block)) -
                                            sizeof(header));
  WEFT_ASSERT(h->block == block, "what was taken for a block of the frame pool is none");
  return *h;
}

account_state* account_of(const job* who) noexcept {
  while (who != nullptr && !who->in_block()) who = who->part_of();
  return who != nullptr ? header_of(who).account : nullptr;
}

account_state* current_account() noexcept {
  return frame_accounting.load(order::relaxed) == accounting::on ? account_of(current_job())
                                                                 : nullptr;
}

constinit thread_local account_state* next_account = nullptr;

/// What a block of `bytes` takes of the pool when it has no header.
constexpr std::size_t counted_bytes(std::size_t bytes) noexcept {
  return bytes <= pooled_frame_bytes_max ? frame_class_bytes(frame_class_of(bytes))
                                         : (bytes + cache_line - 1) & ~(cache_line - 1);
}

// So that the block is aligned as without a header: as its size says (see thread_state.hpp), or as asked.
constexpr std::size_t front(std::size_t alignment) noexcept {
  return alignment > cache_line ? alignment : cache_line;
}

}  // namespace

const char* frame_limit_error::what() const noexcept {
  return "a frame_account's bytes_limit was reached";
}

namespace detail {

constinit atomic<accounting> frame_accounting{accounting::unsettled};

class account_state {
 public:
  account_state(const frame_account_options& options, account_state* parent) noexcept
      : options_(options), parent_(parent) {
    if (parent_ != nullptr) parent_->users_.fetch_add(user, order::relaxed);
  }

  std::size_t bytes() const noexcept { return bytes_.load(order::relaxed); }
  std::size_t blocks() const noexcept { return users_.load(order::relaxed) % user; }
  std::size_t most() const noexcept { return most_.load(order::relaxed); }
  void forget_most() noexcept { most_.store(bytes(), order::relaxed); }

  /// False: it, or an account above it, refuses, and nothing is booked. As deep as they are nested.
  [[nodiscard]] bool book(std::size_t bytes, bool may_refuse) noexcept;
  /// Of a block. The account may be gone afterwards.
  static void book_out(account_state* from, std::size_t bytes) noexcept;
  /// The object is gone.
  void close() noexcept;

 private:
  static constexpr std::size_t user = std::size_t{1} << 48;  // above the blocks in users_
  static void drop(account_state* used, std::size_t users) noexcept;
  [[nodiscard]] bool reserve(std::size_t bytes, bool may_refuse, std::size_t& sum) noexcept;
  void raise_most(std::size_t sum) noexcept;

  const frame_account_options options_;
  account_state* const parent_;
  atomic<std::size_t> bytes_{0};
  atomic<std::size_t> users_{user};  // I3
  atomic<std::size_t> most_{0};
  spin_lock telling_;  // I4
  bool closed_ = false;
};

bool account_state::reserve(std::size_t bytes, bool may_refuse, std::size_t& sum) noexcept {
  const std::size_t limit = options_.bytes_limit;
  if (!may_refuse || limit == frame_account_options::no_bound) {
    sum = bytes_.fetch_add(bytes, order::relaxed) + bytes;
    return true;
  }
  std::size_t seen = bytes_.load(order::relaxed);
  do {
    if (seen > limit || bytes > limit - seen) return false;
  } while (!bytes_.compare_exchange_weak(seen, seen + bytes, order::relaxed, order::relaxed));
  sum = seen + bytes;
  return true;
}

void account_state::raise_most(std::size_t sum) noexcept {
  std::size_t seen = most_.load(order::relaxed);
  do {
    if (seen >= sum) return;
  } while (!most_.compare_exchange_weak(seen, sum, order::relaxed, order::relaxed));
  if (options_.notice == nullptr || seen > options_.notice_bytes || sum <= options_.notice_bytes) {
    return;
  }
  spin_guard guard(telling_);
  if (!closed_) options_.notice(options_.context);
}

bool account_state::book(std::size_t bytes, bool may_refuse) noexcept {
  std::size_t sum = 0;
  if (!reserve(bytes, may_refuse, sum)) return false;
  if (parent_ != nullptr && !parent_->book(bytes, may_refuse)) {
    bytes_.fetch_sub(bytes, order::relaxed);
    return false;
  }
  users_.fetch_add(1, order::relaxed);
  raise_most(sum);
  return true;
}

void account_state::book_out(account_state* from, std::size_t bytes) noexcept {
  while (from != nullptr) {
    account_state* const above = from->parent_;  // the block uses that one, too
    from->bytes_.fetch_sub(bytes, order::relaxed);
    drop(from, 1);
    from = above;
  }
}

void account_state::drop(account_state* used, std::size_t users) noexcept {
  while (used != nullptr && used->users_.fetch_sub(users, order::acq_rel) == users) {  // P1
    account_state* const above = used->parent_;
    delete used;
    used = above;
    users = user;
  }
}

void account_state::close() noexcept {
  {
    spin_guard guard(telling_);
    closed_ = true;
  }
  drop(this, user);
}

}  // namespace detail

frame_account::frame_account(const frame_account_options& options)
    : state_(new account_state(
          options, options.parent != nullptr ? options.parent->state_ : current_account())) {}
frame_account::~frame_account() { state_->close(); }

std::size_t frame_account::bytes() const noexcept { return state_->bytes(); }
std::size_t frame_account::blocks() const noexcept { return state_->blocks(); }
std::size_t frame_account::most_bytes() const noexcept { return state_->most(); }
void frame_account::forget_most() noexcept { state_->forget_most(); }
bool frame_account::is_current() const noexcept { return current_account() == state_; }

void switch_frame_accounts_on() noexcept {
  const accounting settled = settle(accounting::on);
  WEFT_ASSERT(settled == accounting::on,
              "switch_frame_accounts_on() was called after the first frame or job was made, and "
              "those have no account; call it before, first in main(), or set "
              "WEFT_FRAME_ACCOUNTS=on in the environment");
}

bool frame_accounts_on() noexcept {
  const accounting now = frame_accounting.load(order::relaxed);
  return (now == accounting::unsettled ? asked_for() : now) == accounting::on;
}

namespace detail {

bool settle_frame_accounts() noexcept { return settle(asked_for()) == accounting::on; }

void next_block_account::give(const frame_account* account) noexcept {
  next_account = account != nullptr ? account->state_ : nullptr;
}

void* allocate_accounted(std::size_t bytes, std::size_t alignment, const job* payer) {
  account_state* account = nullptr;
  if (payer != nullptr) {
    account = account_of(payer);
  } else if (next_account != nullptr) {
    account = std::exchange(next_account, nullptr);
  } else {
    account = account_of(current_job());
  }
  const std::size_t counted = counted_bytes(bytes);
  if (account != nullptr && !account->book(counted, payer == nullptr)) throw frame_limit_error();
  const std::size_t before = front(alignment);
  void* memory = nullptr;
  try {
    memory = alignment > cache_line ? ::operator new(before + bytes, std::align_val_t{alignment})
                                    : allocate_block(before + bytes);
  } catch (...) {
    account_state::book_out(account, counted);
    throw;
  }
  char* const block = static_cast<char*>(memory) + before;
  ::new (block - sizeof(header)) header{account, block, bytes};
  return block;
}

void free_accounted(void* block, std::size_t bytes, std::size_t alignment) noexcept {
  header& h = header_of(block);
  WEFT_ASSERT(h.bytes == bytes, "a frame was freed twice, or with a size that is not its own");
  account_state* const account = h.account;
  h.block = nullptr;
  const std::size_t before = front(alignment);
  char* const memory = static_cast<char*>(block) - before;
  if (alignment > cache_line) {
    ::operator delete(memory, std::align_val_t{alignment});
  } else {
    free_block(memory, before + bytes);
  }
  account_state::book_out(account, counted_bytes(bytes));
}

}  // namespace detail
}  // namespace weft
