// account_state: what a frame_account counts, and whom it tells. It is there as long as somebody uses it,
// which may be longer than the frame_account.
//
//   bytes_     booked, of blocks that are there
//   reserved_  of one that has a limit: bytes_, and what is being looked at whether it may be booked:
//              accounts above may refuse it still. Nobody is shown it
//   users_     blocks, plus `user` for each account below and for the object
//
// Invariants
//   I1  bytes_ is the sum of the blocks that name this account or one below it; so most_, too, is
//       of bytes that were booked, and no refused one is in it.
//   I2  reserved_ >= bytes_ at any moment as its owner sees it: it is raised before, and lowered after.
//       So booked bytes that may be refused never pass the limit. Two that look at the same moment may
//       both be refused where one alone would have had room.
//   I3  The state is there while something uses it, by users_.
//   I4  notice is not called, nor running, after close(): telling_ is locked around it.
//   I5  A block is in the account above before it is in this one, and leaves it later: so most_ of an
//       account is at least that of each below. (It may be more than their sum by the blocks that are
//       on the way in or out: one for each thread.)
// Orderings
//   P1  drop: users_ down (release)  ->  the last drop (acquire): all that others did to the state.
//   P2  book_out: reserved_ down (release)  ->  reserve: up (acquire): that bytes_ went down before, so
//       that who was let in by that does not bring bytes_ above the limit. (G2 of
//       testing/model/memory.hpp: the checker does not see this one missing.)
//   P3  bytes_ up or down (release)  ->  bytes_ up or down (acquire): that who is counted here is counted
//       above (I5).
//   Else relaxed: the counts order nothing. Each sum is exact at any moment, and so is most_, because
//   who brought the sum to a value is who raises most_ to it. (forget_most() beside a booking may forget
//   that one, too.)
#pragma once

#include <cstddef>

#include "weft/base/atomic.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/task/frame_account.hpp"

namespace weft::detail {

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

  /// False: it, or an account above it, refuses, and nothing is booked.
  [[nodiscard]] bool book(std::size_t bytes, bool may_refuse) noexcept;
  /// Of a block. The account may be gone afterwards.
  static void book_out(account_state* from, std::size_t bytes) noexcept;
  /// The object is gone.
  void close() noexcept;

 private:
  static constexpr std::size_t user = std::size_t{1} << 48;  // above the blocks in users_
  bool has_limit() const noexcept {
    return options_.bytes_limit != frame_account_options::no_bound;
  }
  static void drop(account_state* used, std::size_t users) noexcept;
  [[nodiscard]] bool reserve(std::size_t bytes, bool may_refuse) noexcept;
  void add(std::size_t bytes) noexcept;
  void raise_most(std::size_t sum) noexcept;

  const frame_account_options options_;
  account_state* const parent_;
  atomic<std::size_t> bytes_{0};
  atomic<std::size_t> reserved_{0};
  atomic<std::size_t> users_{user};  // I3
  atomic<std::size_t> most_{0};
  spin_lock telling_;  // I4
  plain<bool> closed_{false};
};

/// This one alone; of one without a limit nothing is noted.
inline bool account_state::reserve(std::size_t bytes, bool may_refuse) noexcept {
  if (!has_limit()) return true;
  if (!may_refuse) {
    reserved_.fetch_add(bytes, order::relaxed);
    return true;
  }
  const std::size_t limit = options_.bytes_limit;
  std::size_t seen = reserved_.load(order::relaxed);
  do {
    if (WEFT_MUTATE("account.reserve.over_the_limit", seen > limit || bytes > limit - seen,
                    false)) {
      return false;
    }
  } while (!reserved_.compare_exchange_weak(seen, seen + bytes,
                                            order::acquire,  // P2
                                            order::relaxed));
  return true;
}

inline void account_state::raise_most(std::size_t sum) noexcept {
  std::size_t seen = most_.load(order::relaxed);
  do {
    if (seen >= sum) return;
  } while (!most_.compare_exchange_weak(seen, sum, order::relaxed, order::relaxed));
  if (options_.notice == nullptr || seen > options_.notice_bytes || sum <= options_.notice_bytes) {
    return;
  }
  spin_guard guard(telling_);
  if (!closed_.get() || WEFT_MUTATE("account.notice.of_a_closed_one", false, true)) {
    options_.notice(options_.context);
  }
}

/// As deep as they are nested.
inline void account_state::add(std::size_t bytes) noexcept {
  const bool above_first = WEFT_MUTATE("account.book.child_first", true, false);
  if (parent_ != nullptr && above_first) parent_->add(bytes);  // I5
  users_.fetch_add(1, order::relaxed);
  const std::size_t sum = bytes_.fetch_add(bytes, order::acq_rel) + bytes;  // P3
  raise_most(WEFT_MUTATE("account.most.of_what_is_reserved", sum, reserved_.load(order::relaxed)));
  if (parent_ != nullptr && !above_first) parent_->add(bytes);
}

inline bool account_state::book(std::size_t bytes, bool may_refuse) noexcept {
  for (account_state* a = this; a != nullptr; a = a->parent_) {
    if (a->reserve(bytes, may_refuse)) continue;
    for (account_state* b = this; b != a; b = b->parent_) {
      if (b->has_limit() && !WEFT_MUTATE("account.refused.stays_reserved", false, true)) {
        b->reserved_.fetch_sub(bytes, order::relaxed);
      }
    }
    return false;
  }
  add(bytes);
  return true;
}

inline void account_state::book_out(account_state* from, std::size_t bytes) noexcept {
  while (from != nullptr) {
    account_state* const above = from->parent_;     // the block uses that one, too
    from->bytes_.fetch_sub(bytes, order::acq_rel);  // P3, I5: before those above
    if (from->has_limit()) {
      from->reserved_.fetch_sub(bytes, order::release);  // P2
    }
    drop(from, 1);
    from = above;
  }
}

inline void account_state::drop(account_state* used, std::size_t users) noexcept {
  while (used != nullptr &&
         used->users_.fetch_sub(users, WEFT_MUTATE("account.drop.relaxed", order::acq_rel,
                                                   order::relaxed)) == users) {  // P1
    account_state* const above = used->parent_;
    delete used;
    used = above;
    users = user;
  }
}

inline void account_state::close() noexcept {
  {
    spin_guard guard(telling_);
    closed_.set(true);
  }
  drop(this, user);
}

}  // namespace weft::detail
