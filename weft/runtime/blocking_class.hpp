// blocking_class: one kind of blocking work, of which only so much is done at a time. Slow work of one
// kind then cannot take all threads of the pool; what there is too much of waits without a thread, in
// the tasks that brought it, which so bring no more.
//
//   weft::blocking_class lookups({.name = "dns", .at_most = 4});
//   const auto found = co_await weft::spawn_blocking(lookups, look_up, host);  // the fifth waits
//
//   weft::blocking_class reports({.at_most = 2, .waiting_max = 20});  // the 23rd is refused at once
//
//   Fairness  FIFO. When work ends its place goes to the first in line, which nobody can pass
//   Threads   any; it may be shared by several runtimes
//   Cost      two short locked sections for each work. The thread whose work ended goes on with the next
//             one of its runtime, no worker has a part in that
//   Errors    beyond waiting_max: weft::error out of the spawn_blocking(), whose code compares equal to
//             std::errc::resource_unavailable_try_again; the work has not begun
//   Cancel    a stopped one that waits has had no effect, and gives up its place in line
//   Memory    48 bytes; no allocation per wait: what waits are the tasks that brought it. Where those
//             come without end (a server's requests), waiting_max turns away who would wait too long
//   Lifetime  it outlives each spawn_blocking() that names it, else the program ends with a message
#pragma once

#include "weft/base/intrusive_list.hpp"
#include "weft/base/spin_lock.hpp"

namespace weft {

namespace detail {
class blocking_work;
struct blocking_tag {};
}  // namespace detail

struct blocking_class_options {
  /// What listings say that such work waits in. It must outlive the class.
  const char* name = "blocking";
  /// So many run, or wait for nothing but a thread. At least 1; more than
  /// runtime_options::max_blocking_threads never run at once in one runtime.
  unsigned at_most = 1;
  static constexpr unsigned no_bound = ~0u;
  /// So many wait for a place; who comes then is refused. 0: nobody waits.
  unsigned waiting_max = no_bound;
};

class blocking_class {
 public:
  using options = blocking_class_options;

  explicit blocking_class(options how) noexcept;
  ~blocking_class();
  blocking_class(const blocking_class&) = delete;
  blocking_class& operator=(const blocking_class&) = delete;

  const char* name() const noexcept { return name_; }
  unsigned at_most() const noexcept { return at_most_; }
  unsigned waiting_max() const noexcept { return waiting_max_; }
  /// How many have a place: at most at_most(). Like waiting(), a moment's truth, for listings and for
  /// who would rather turn a request away than wait.
  unsigned running() const noexcept;
  /// How many wait for a place.
  unsigned waiting() const noexcept;

 private:
  friend class detail::blocking_work;
  enum class entered : unsigned char { let_in, in_line, refused, withdrawn };
  [[nodiscard]] entered enter(detail::blocking_work& work) noexcept;
  enum class withdrawal : unsigned char { out_of_line, not_yet_seen, was_let_in, over };
  [[nodiscard]] withdrawal withdraw(detail::blocking_work& work) noexcept;
  /// Work that was let in has ended, or will not begin: who has its place now, or nullptr.
  [[nodiscard]] detail::blocking_work* leave() noexcept;

  const char* const name_;
  const unsigned at_most_;
  const unsigned waiting_max_;
  mutable spin_lock lock_;  // guards what follows, and each work's standing
  unsigned running_ = 0;
  unsigned waiting_ = 0;
  intrusive_list<detail::blocking_work, detail::blocking_tag> line_;
};

}  // namespace weft
