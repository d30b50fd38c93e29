// worker: a thread in its role of running jobs.
//
// A turn: LIFO slot, run queue, the branches on its work deque, injector; every 61st the injector and
// the oldest branch come first; every 61st, or after 50 us, a look at timers and driver that does not
// block. Nothing to do: search (steal half of somebody's queue, or a branch), then look at the injector
// again, spin a little, and sleep in the driver's wait if operations are in flight there, else on a
// futex, until the next timer is due.
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

 private:
  static void thread_main(void* self);
  void loop() noexcept;
  job* next() noexcept;
  void push_back(job& ready) noexcept;
  job* waiting_longest() noexcept;
  job* from_injector(unsigned most) noexcept;
  job* search() noexcept;
  job* steal() noexcept;
  job* spin() noexcept;
  void run(job& next) noexcept;
  void look_around() noexcept;
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
  bool searching_ = false;
  bool completing_ = false;  // inside the driver or the timers: what wakes goes to the run queue
};

/// The worker that the calling thread is, or nullptr.
inline worker* current_worker() noexcept { return this_thread_state().worker; }

}  // namespace weft::detail
