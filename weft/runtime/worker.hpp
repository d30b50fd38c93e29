// worker: a thread in its role of running jobs.
//
// A turn: LIFO slot, run queue, the branches on its work deque, injector; every 61st the injector and
// the oldest branch come first; every 61st, or after 50 us, a look at timers and driver that does not
// block. Nothing to do: search (steal half of somebody's queue, or a branch), then look at the injector
// again, spin a little, and sleep in the driver's wait if operations are in flight there, else on a
// futex, until the next timer is due.
//
// What the end of a job wakes is most often its maker, which joined it and made others beside it. Then
// the LIFO slot waits while those are first in the run queue, so that the maker goes on once and not
// once for each of them: half the turns, and most joins need not wait.
#pragma once

#include "weft/os/thread.hpp"
#include "weft/runtime/core.hpp"
#include "weft/task/fork.hpp"

namespace weft::detail {

class worker : private fork_port {
 public:
  worker(runtime_core& core, processor& first);
  void start();
  /// Waits for its thread's end, if it has one.
  void join() noexcept {
    if (thread_.joinable()) thread_.join();
  }

  runtime_core& core() const noexcept { return core_; }

  /// Holds the processor for a block of runtime code that was entered from user code.
  class pinned {
   public:
    WEFT_ALWAYS_INLINE explicit pinned(worker& w) noexcept
        : worker_(w),
          was_pinned_(w.pin.is_pinned()),
          owned_(w.pin.pin() == pin_state::pin_result::owned) {}
    WEFT_ALWAYS_INLINE ~pinned() {
      if (!was_pinned_) worker_.pin.unpin();
    }
    pinned(const pinned&) = delete;
    pinned& operator=(const pinned&) = delete;
    /// nullptr: the processor was taken away; work goes to the injector instead.
    class processor* processor() const noexcept { return owned_ ? worker_.processor_ : nullptr; }

   private:
    worker& worker_;
    const bool was_pinned_;
    const bool owned_;
  };

  /// `running` gives way. True: nobody else is ready here, and it has its next turn already. False:
  /// somebody is, or it is time to look around. The processor is pinned.
  [[nodiscard]] bool begin_next_turn_of(job& running) noexcept;
  /// A job became ready on this worker. The processor is pinned.
  void push(job& ready, wake_kind why) noexcept;
  /// A job that never ran: behind the others.
  void push_new(job& made) noexcept {
    push_back(made);
    if (WEFT_UNLIKELY(core_.idle_.may_have_to_notify(idle::pusher::worker))) {
      core_.wake_one(idle::pusher::worker);
    }
  }
  /// From now until the next call, what is woken is woken by the end of a job born so; {}: of none.
  void waking_at_the_end_of(job::birth born) noexcept { ending_ = born; }

 private:
  static void thread_main(void* self);
  void loop() noexcept;
  job* next() noexcept;
  /// Into the run queue; what it has no room for goes to the injector.
  void push_back(job& ready) noexcept {
    struct overflow {
      injector<job>& to;
      counter& moved;
      void push_batch(job* first, job* last, unsigned count) noexcept {
        moved.add(count);
        to.push_batch(first, last, count);
      }
    } sink{core_.injected_, processor_->figures.overflowed};
    processor_->ready.push_back(&ready, sink);
  }
  job* waiting_longest() noexcept;
  job* from_injector(unsigned most) noexcept;
  job* search() noexcept;
  job* steal() noexcept;
  job* spin() noexcept;
  void run(job& next) noexcept;
  void look_around() noexcept;
  bool sits_out() const noexcept;
  void sit_out() noexcept;
  void serve_own(std::int64_t deadline_ns) noexcept;
  void give_away() noexcept;
  void sleep() noexcept;

  runtime_core& core_;
  processor* processor_;
  os::thread thread_;
  unsigned until_clock_ = 1;     // turns
  unsigned until_injector_ = 1;  // turns
  std::int64_t last_look_ns_ = 0;
  std::int64_t last_fired_ns_ =
      INT64_MIN / 2;  // when timers fired, and this thread was awake for them
  unsigned lifo_in_a_row_ = 0;
  job::birth ending_;
  std::uint8_t siblings_first_ = 0;  // turns that the job in the LIFO slot leaves to its children
  std::uint8_t their_maker_ = 0;
  bool searching_ = false;
  bool completing_ = false;  // inside the driver or the timers: what wakes goes to the run queue
};

/// The worker that the calling thread is, or nullptr.
inline worker* current_worker() noexcept { return this_thread_state().worker; }

}  // namespace weft::detail
