// Protocol
//
// Everything is under lock_.
//
//   I1  A reader waits only if it knows the number, and there is a sender.
//   I2  Who joins the line writes down the number of that moment (since_), so along the line these
//       never fall: the first one that has the number of now has none behind it to be woken.
//   I3  Senders never come back once there is none: a sender is made of a sender. So after that nobody
//       begins to wait, and wake_line() comes to an end.
//   I4  A handle holds it until its last access; the one that lets go last frees it.
//
// No wake is lost: whoever raises the number looks for readers in the same hold of the lock (I1: those
// in line do not know it), and wakes all that joined before. One that it does not find has looked later,
// and saw the new number.
//
// Rejected: to hand the message to the reader with the wake. Every reader gets it, at its own time, and
// copies it itself; who is stopped after the wake, or loses a race, has then taken nothing.
#include "weft/channel/news.hpp"

namespace weft::detail {

void wake_older(spin_lock& lock, line_of_waiters& line,
                const plain<std::uint64_t>& number) noexcept {
  constexpr unsigned batch_max = 32;  // taken in one hold of the lock
  for (bool more = true; more;) {
    line_of_waiters taken;
    {
      const patient_guard guard(lock);
      unsigned n = 0;
      while (n < batch_max && !line.empty() &&
             WEFT_MUTATE("news.wake.who_knows_it_too",
                         static_cast<numbered_waiter&>(line.front()).since_ != number.get(),
                         true)) {
        if (line_waiter* const w = take_front(line)) taken.push_back(*w);
        ++n;
      }
      more = n == batch_max;
    }
    while (!taken.empty()) taken.pop_front().wake();
  }
}

void news::add_sender() noexcept {
  const patient_guard guard(lock_);
  senders_.set(senders_.get() + 1);
  hold();
}

bool news::drop_sender() noexcept {
  {
    const patient_guard guard(lock_);
    senders_.set(senders_.get() - 1);
    if (WEFT_MUTATE("news.drop_sender.wakes_nobody", senders_.get() != 0, true)) return let_go();
  }
  wake_line(lock_, readers_, [](line_waiter&) noexcept {});
  return let_go_now();
}

}  // namespace weft::detail
