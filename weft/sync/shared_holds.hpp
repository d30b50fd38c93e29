// shared_holds: which jobs read in which shared_mutex, as far as is known for sure: so that one that
// waits for itself is told. For builds without NDEBUG; the others call nothing of it.
//
//   Threads  any
//   Memory   a table of fixed size. Who finds no room there is not watched
//   Certain  a share counts as its job's while its guard stays where lock_shared() put it, whoever lets it
//            go. A guard that is moved, which may be to another job, is nobody's from then on
#pragma once

namespace weft {

class job;

namespace detail {

/// `who` has a share of `mutex` now, by `guard`. nullptr: a thread without a job, which is not watched.
void note_share(const void* mutex, const job* who, const void* guard) noexcept;
/// `guard` gives it up, or is moved.
void forget_share(const void* mutex, const void* guard) noexcept;
[[nodiscard]] bool has_share(const void* mutex, const job& who) noexcept;

}  // namespace detail
}  // namespace weft
