// worker: a thread in its role of running jobs.
//
// A turn: LIFO slot, run queue, the branches on its work deque, injector, the line of those that stood behind one
// that held its worker, and never ran, or gave way only when they were asked to (beginners_); every 61st the
// injector or that line, and the oldest branch come first; every 61st, or after 50 us, a look at timers and driver
// that does not block. Nothing to do: search (steal half of somebody's queue, or a branch), then look at the injector
// again, spin a little, and sleep in the driver's wait if operations are in flight there, else on a
// futex, until the next timer is due.
//
// What the end of a job wakes is most often its maker, which joined it and made others beside it. Then
// the LIFO slot waits while those are first in the run queue, so that the maker goes on once and not
// once for each of them: half the turns, and most joins need not wait.
//
// That is the usual turn, of jobs of normal priority that may run anywhere. As long as there are others
// here, each turn begins with them: jobs of high priority, then, every second turn, one that is pinned
// to this worker. Jobs of background priority run when nothing else is here, and one turn in 64.
//
// Fairness  in turns of a busy worker; each has its test in fairness_test.cpp:
//   61  the first in the injector starts, or the oldest branch
//   61  timers and I/O are looked at, however many jobs yield
//    8  the inbox is emptied and the first of its jobs starts; and the first of high priority that came
//       from outside does (16 if this worker has others of that priority)
//    4  the run queue has its turn, however fast two jobs wake each other through the LIFO slot
//   16  the others have one turn, whatever there is of high priority
//   64  background has one turn, for a job from here and one from outside by turns
//   Two that fall on the same turn cost each other one. Jobs in front of it in its line come first. What is counted
//   for it goes with the processor, so it holds also where each turn loses the worker (handoff_turns_test.cpp).
//
// A job that holds it for too long loses the processor to another thread, and goes on without: lost.cpp.
//
// Without a thread of its own (current_thread, guest) it is whichever thread drives it: one at a
// time, see seat.hpp.
#pragma once

#include "weft/os/thread.hpp"
#include "weft/runtime/backtrace.hpp"
#include "weft/runtime/core.hpp"
#include "weft/runtime/handover.hpp"
#include "weft/task/fork.hpp"
#include "weft/task/lost_processor.hpp"

namespace weft::detail {

/// A look at the injector before what lies at a worker. Prime, so that it meets no pattern of the load.
inline constexpr unsigned injector_every_turns = 61;

class worker : private fork_port {
 public:
  worker(runtime_core& core, processor& first);
  /// A spare: its thread waits for a processor.
  explicit worker(runtime_core& core);
  /// Throws weft::error: the system refuses the thread.
  void start();
  /// Waits for its thread's end, if it has one.
  void join() noexcept {
    if (thread_.joinable()) thread_.join();
  }

  runtime_core& core() const noexcept { return core_; }
  using fork_port::current_turn;

  // For whoever has the seat of a worker without a thread.

  /// The calling thread is the worker until `leave` is set. Sets it itself at `until_ns` (of the
  /// machine's monotonic clock; never_ns).
  void drive(atomic<bool>& leave, std::int64_t until_ns) noexcept;
  /// The calling thread is the worker for at most `turns_max` turns, and never waits. True: there
  /// is more to do. False: the worker is at rest: the driver's descriptor tells of what comes, but
  /// for timers, which are due at rest_until_ns().
  [[nodiscard]] bool run_ready(unsigned turns_max) noexcept;
  std::int64_t rest_until_ns() const noexcept { return rest_until_ns_; }

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

  unsigned index() const noexcept { return processor_->index; }

  // --- Losing the processor, see lost.cpp

  using fork_port::pin;
  handover<class processor> bed;  // where its thread waits while it is a spare

  // By the monitor, of a thread that it sees in user code.
  const os::thread_clock& clock() const noexcept { return clock_; }
  bool says_it_blocks(std::uint64_t turn) const noexcept {
    return blocks_in_.load(order::relaxed) == turn;
  }
  /// It is where no processor may be taken from it.
  bool keeps_processor() const noexcept { return keeps_.load(order::relaxed) != 0; }
  /// `stays_from_ns`: from when on it is to be told of, if it has not come back; 0: it is not.
  void may_lose_since(std::int64_t ns, std::int64_t stays_from_ns) noexcept {
    held_since_ns_.store(ns, order::relaxed);
    stays_from_ns_.store(stays_from_ns, order::relaxed);
  }
  std::int64_t held_since_ns() const noexcept { return held_since_ns_.load(order::relaxed); }
  /// 0: it has not lost its processor, or is not to be told of.
  std::int64_t stays_from_ns() const noexcept { return stays_from_ns_.load(order::relaxed); }
  void is_told_of() noexcept { stays_from_ns_.store(0, order::relaxed); }
  void tell_of_loss() noexcept;
  void take_usual_slices() noexcept;

  // By the thread, in a job.
  /// The one that it has, or had when the job began: for what any thread may do with it.
  class processor& last_processor() const noexcept { return *processor_; }
  /// It has found that it has no processor, and `running` is still there; `at`: the coroutine that
  /// found it out, if it is known.
  void note_loss(const job* running, promise_base* at = nullptr) noexcept;
  /// It is about to block in a call. Gives the processor away if that has anything to do. Result: what
  /// has_blocked() wants to have.
  std::uint64_t begins_to_block() noexcept;
  void has_blocked(std::uint64_t before) noexcept;

  /// A job became ready on this worker. The processor is pinned.
  void push(job& ready, wake_kind why) noexcept;
  /// A job that never ran: behind the others.
  void push_new(job& made) noexcept {
    if (WEFT_UNLIKELY(!made.is_usual())) return push_other(made, wake_kind::spawned);
    push_behind(made, priority::normal);
    if (WEFT_UNLIKELY(core_.idle_.may_have_to_notify(idle::pusher::worker))) {
      core_.wake_one(idle::pusher::worker);
    }
  }
  /// From now until the next call, what is woken is woken by the end of a job born so; {}: of none.
  void waking_at_the_end_of(job::birth born) noexcept { ending_ = born; }

 private:
  class driven;
  static constexpr std::uint64_t no_turn = ~std::uint64_t{0};
  static void thread_main(void* self);
  class at_rest;
  void live() noexcept;
  void adopt(class processor& given) noexcept;
  void put_beginners_behind(const job* ran = nullptr) noexcept;
  bool put_pinned_beginners_behind(const job* ran) noexcept;
  void take_short_slices() noexcept;
  bool lose() noexcept;
  void loop() noexcept;
  bool turn() noexcept;
  job* next() noexcept;
  job* special_turn() noexcept;
  job* due() noexcept;
  job* usual() noexcept;
  job* on_clock() noexcept;
  job* high_from_outside() noexcept;
  job* the_rest() noexcept;
  job* beside_the_usual() noexcept;
  job* by_priority() noexcept;
  job* take(priority of) noexcept;
  job* take_high() noexcept;
  job* take_background() noexcept;
  void take_arrivals() noexcept;
  void note_others() noexcept;
  void look_soon() noexcept;
  void end_long_turn(const job* ran) noexcept;
  bool has_work() const noexcept;
  bool has_anything_to_do() const noexcept;
  void push_other(job& ready, wake_kind why) noexcept;
  void queue(job& ready) noexcept;
  /// Into the run queue of its priority; what that has no room for goes to the injector.
  WEFT_ALWAYS_INLINE void push_behind(job& ready, priority of) noexcept {
    processor_->queue_of(of).push_back(&ready, overflow_[static_cast<unsigned>(of)]);
  }
  void queue_usual(job& ready) noexcept;
  job* waiting_longest() noexcept;
  job* from_injector(unsigned most, priority of = priority::normal) noexcept;
  job* take_injected(unsigned most, priority of) noexcept;
  bool has_beginners() const noexcept {
    return !core_.beginners_.empty() || !processor_->pinned_beginners.empty();
  }
  job* take_beginner() noexcept;
  job* begin_another() noexcept;
  job* overdue_beginner() noexcept;
  job* search() noexcept;
  job* steal() noexcept;
  job* steal_from(priority of) noexcept;
  job* steal_foreground() noexcept;
  job* look_out() noexcept;
  job* steal_lifo() noexcept;
  bool run(job& next) noexcept;
  enum class timers : bool { all, when_worth_it };
  unsigned room_for_ready() const noexcept;
  void look_around(timers which = timers::all) noexcept;
  std::int64_t timers_wake_ns() const noexcept;
  bool sits_out() const noexcept;
  void sit_out() noexcept;
  void serve_own(std::int64_t deadline_ns) noexcept;
  bool run_pinned() noexcept;
  void give_away() noexcept;
  bool fall_asleep() noexcept;
  std::int64_t next_look_ns(bool& skipped) noexcept;
  void sleep() noexcept;
  bool lie_down() noexcept;
  void get_up() noexcept;

  /// Where a run queue puts what it has no room for.
  struct overflow {
    worker& self;
    const priority of;
    void push_batch(job* first, job* last, unsigned count) noexcept;
  };

  runtime_core& core_;
  processor* processor_;
  overflow overflow_[priority_count] = {
      {*this, priority::high}, {*this, priority::normal}, {*this, priority::background}};
  os::thread thread_;
  atomic<bool>* leave_;                  // loop() ends when it is set
  std::int64_t leave_at_ns_ = never_ns;  // then it is set, at the next look around
  std::int64_t rest_until_ns_ = never_ns;
  bool at_rest_ = false;  // see lie_down()
  // Turns. One count for all, so that a usual turn pays for one: the others are brought up to date
  // when it is over (due()).
  unsigned until_special_ = 1;
  unsigned special_span_ = 1;  // what until_special_ began with
  unsigned until_clock_ = 1;
  unsigned until_injector_ = 1;
  unsigned background_in_a_row_ = 0;
  unsigned pinned_turns_ = 0;  // of a worker that sits out
  bool has_others_ =
      false;  // jobs of high priority, or pinned ones that are not of background: the
              // next turn is a special one. May be true for nothing, never the reverse
  bool pinned_next_[priority_count] = {};  // before those that may run anywhere
  bool background_from_outside_next_ = false;
  bool beginner_next_ = false;   // the injector had its turn, and one that never ran has the next
  bool own_high_first_ = false;  // in the first turn with a processor
  std::uint64_t began_in_ = no_turn;  // the turn of the last of beginners_ that this thread took
  std::int64_t last_look_ns_ = 0;
  std::int64_t last_fired_ns_ =
      INT64_MIN / 2;  // when timers fired, and this thread was awake for them
  job::birth ending_;
  std::uint8_t siblings_first_ = 0;  // turns that the job in the LIFO slot leaves to its children
  std::uint8_t their_maker_ = 0;
  bool searching_ = false;
  unsigned io_of_last_look_ = 0;
  // Of handing over.
  thread_state* state_ = nullptr;  // of its thread
  os::thread_clock clock_;
  // The turn that is in a call of which begins_to_block() was told. A turn that ends in the middle of it, as a
  // fiber's does that awaits there, leaves nothing behind. Its thread
  atomic<std::uint64_t> blocks_in_{no_turn};
  atomic<std::uint32_t> keeps_{0};         // its thread
  atomic<bool> has_usual_slices_{true};    // a hint: both may set it
  atomic<std::int64_t> held_since_ns_{0};  // carried by the pin's state
  atomic<std::int64_t> stays_from_ns_{0};  // likewise
  lost_job lost_job_;
  backtrace lost_at_;
  std::uint64_t meant_to_in_ = no_turn;  // the turn that lost its processor so: no news to anybody
  bool completing_ = false;  // inside the driver or the timers: what wakes goes to the run queue
};

/// While it lives the worker sleeps, and the monitor need not look at it.
class worker::at_rest {
 public:
  explicit at_rest(worker& w) noexcept : worker_(w) { mark(1); }
  ~at_rest() {
    mark(0);
    if (monitor* const m = worker_.core_.monitor_.get()) m->rest().got_up();
  }
  at_rest(const at_rest&) = delete;
  at_rest& operator=(const at_rest&) = delete;

 private:
  void mark(std::uint32_t rests) noexcept {
    worker_.processor_->resting.store(rests, order::relaxed);
  }
  worker& worker_;
};

/// The worker that the calling thread is, or nullptr.
inline worker* current_worker() noexcept { return this_thread_state().worker; }

}  // namespace weft::detail
