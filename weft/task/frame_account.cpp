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
//   Of an account itself: account_state.hpp.
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
#include "weft/base/setting.hpp"
#include "weft/task/account_state.hpp"
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
  return detail::is_set_to("WEFT_FRAME_ACCOUNTS", "on", "off") ? accounting::on : accounting::off;
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
