// job: what a scheduler runs: one logical thread of control. And operation: what a job waits in.
//
// A job is on at most one queue at a time, so queues never allocate. It is suspended in at most one
// operation at a time, so one word is enough to stop it: the stop slot.
//
//   Threads  stop(), stop_requested() and an operation's finish() from any; everything else by the
//            thread that runs the job
//   Cost     waiting: one compare-exchange to arm, one to complete; no allocation, no refcount
//   Memory   64 bytes, inside the block of memory that root.hpp makes
//   Protocol top of job.cpp
#pragma once

#include <coroutine>
#include <cstdint>
#include <exception>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/task/job_locals.hpp"
#include "weft/task/priority.hpp"
#include "weft/task/result_slot.hpp"

namespace weft {

class job;
class operation;
class promise_base;
class timer_set;

/// Why a job becomes ready: it decides the queue.
enum class wake_kind : std::uint8_t {
  spawned,  // never ran
  woken,    // its operation ended
  yielded,  // it was running and gives way to the others
};

/// Where ready jobs go. A runtime is one; so is the loop of a plain thread in block_on().
class scheduler {
 public:
  /// Takes a ready job. Threads: any. The job may run, end and be gone before this returns.
  virtual void schedule(job& ready, wake_kind why) noexcept = 0;
  /// `running`, which the calling thread runs, would give way to others. True: there are none, it goes
  /// on as if its turn had come again. False, also where that is not known: schedule() it.
  virtual bool goes_on(job& running) noexcept {
    static_cast<void>(running);
    return false;
  }
  /// A new job, not yet ready: from now on it counts as alive, and listings show it.
  virtual void enlist(job& made) noexcept { static_cast<void>(made); }
  /// Both in one: a new job that is ready.
  virtual void launch(job& made) noexcept {
    enlist(made);
    schedule(made, wake_kind::spawned);
  }
  /// A job ended, on the calling thread: listings forget it, then `hand_over` gives its result to
  /// whoever waits, which may be the end of it, then it counts no more. Gives what `hand_over` gave.
  virtual bool retire(job& ended, bool (*hand_over)(job&) noexcept) noexcept {
    return hand_over(ended);
  }
  /// A job that nobody will join ended by an exception. By default the program ends.
  virtual void panicked(job& ended, std::exception_ptr error) noexcept;
  /// What a job's handle that may go later than this scheduler finds it by (live_home.hpp); asked of a
  /// job that failed. 0: all handles of its jobs go before it.
  virtual std::uintptr_t number() noexcept { return 0; }
  /// Timers that the calling job may arm, and the clock they go by. Threads: the one running a job.
  virtual timer_set& timers() noexcept;
  /// Units: nanoseconds of the monotonic clock, or of a virtual one.
  virtual std::int64_t now_ns() noexcept;

 protected:
  scheduler() noexcept = default;
  ~scheduler() = default;
};

/// What a suspended job waits in; lives in the frame of whoever waits.
///
///     idle -> armed -> (completed | withdrawn)       exactly one of the two, exactly once
///
/// Two words: many stand in a frame that waits for long.
///
/// Whoever decides that it is over (its completer, or withdraw()) calls finish() once; that is the
/// last access, for the frame may be gone the moment after.
class operation {
 public:
  operation(const operation&) = delete;
  operation& operator=(const operation&) = delete;

  /// Asks the operation to end because its job is being stopped. Called at most once, by the
  /// stopping thread; the operation stays alive until this returns. Answers through finish(), now
  /// or later: finish(true) if nothing happened, finish(false) if completion had already won.
  virtual void withdraw() noexcept = 0;
  /// One or two words for listings: "sleep", "accept".
  virtual const char* what() const noexcept = 0;

  /// The job that waits in it; nullptr if it was never armed.
  job* owner() const noexcept;
  bool was_stopped() const noexcept { return (word_ & stopped) != 0; }
  /// The coroutine that waits in it. Valid while it is armed.
  promise_base& armed_by() const noexcept { return waiter(); }

 protected:
  operation() noexcept {}
  ~operation() = default;

  /// Ends the operation and wakes its job. The last access.
  void finish(bool stopped) noexcept;
  /// What to resume, of one that was armed or yielded in so that it goes on by itself.
  virtual std::coroutine_handle<> go_on(promise_base& waiter) noexcept;

 private:
  friend class job;
  friend std::coroutine_handle<> after(operation& op) noexcept;
  // Beside the address of the waiter, which is a multiple of 8.
  static constexpr std::uintptr_t stopped = 1;
  static constexpr std::uintptr_t shielded = 2;  // not in the stop slot: a stop waits for it to end
  static constexpr std::uintptr_t goes_on_itself = 4;
  static constexpr std::uintptr_t bits = 7;
  promise_base& waiter() const noexcept {
    return *reinterpret_cast<promise_base*>(word_ & ~bits);  // NOLINT(performance-no-int-to-ptr)
  }
  bool is_shielded() const noexcept { return (word_ & shielded) != 0; }

  std::uintptr_t word_ = 0;  // the coroutine that is resumed, or unwound from; and bits
};

/// What can be done with a job of one kind.
struct job_kind {
  void (*run)(job&) noexcept;
  // Of jobs that somebody stops together with others (see job::begins_unlisted()), else nullptr.
  bool (*list)(job&) noexcept = nullptr;  // it waits for the first time. False: it is to stop
  bool (*told_to_stop)(const job&) noexcept = nullptr;  // asked while it is not listed
  /// The job is the front of what allocate_frame() gave: see frame_account.cpp.
  bool in_block = false;
  /// Of one that is not: the job that it is a part of. nullptr: it is part of none.
  const job* (*part_of)(const job&) noexcept = nullptr;
  /// Of those that were given none.
  const char* name = "";
  // The rest is for backtraces alone (await_chain.hpp).
  /// Of a job that another one's await waits for as long as it lives: who waits. Asked by the job
  /// itself. nullptr: whoever waits for it may leave before it ends, or nobody does.
  promise_base* (*awaited_by)(const job&) noexcept = nullptr;
  /// It is a fiber: where its chain of awaiters ends its stack goes on.
  bool is_fiber = false;
};

/// Of a job that its scheduler does not run, because it is a thread of its own, or a test's.
inline constexpr job_kind idle_kind{[](job&) noexcept {}};

class job {
 public:
  union {
    job* next = nullptr;  // link of whatever queue it is in
    // Of a root_job of void, which makes it when it ends: it is in no queue any more.
    detail::result_slot<void> ended_with;
  };

  job(scheduler& home, const job_kind& kind) noexcept : home_(&home), kind_(&kind) {}
  job(const job&) = delete;
  job& operator=(const job&) = delete;

  /// Runs until it suspends or ends; it may be gone afterwards.
  void run() noexcept { kind_->run(*this); }

  enum class arm_result : std::uint8_t { armed, stopped };

  /// Makes `op`, in which `waiter` is about to be suspended, the thing that a stop withdraws. Call
  /// before the outside can complete it. stopped: the stop came first, and op must not start.
  [[nodiscard]] arm_result arm(operation& op, promise_base& waiter) noexcept {
    return arm(op, reinterpret_cast<std::uintptr_t>(&waiter));
  }
  /// The same; when it was completed op.go_on() is asked what to resume.
  [[nodiscard]] arm_result arm_to_go_on(operation& op, promise_base& waiter) noexcept {
    return arm(op, reinterpret_cast<std::uintptr_t>(&waiter) | operation::goes_on_itself);
  }

  /// Undoes arm() for an operation that nobody else can complete: it turned out to be ready.
  /// being_withdrawn: a stopper is inside withdraw(), which finds nothing to take back. The caller
  /// must stay suspended and answer in its place: finish(false) if it happened, else finish(true).
  enum class disarm_result : std::uint8_t { disarmed, being_withdrawn };
  [[nodiscard]] disarm_result disarm(operation& op) noexcept;

  /// Marks the job as stopped and withdraws what it waits in. Once; later calls do nothing.
  /// The caller keeps the job alive for the length of the call.
  void stop() noexcept;
  /// Whether stop() was called, also while a shield hides it. No ordering comes with it.
  bool stop_requested() const noexcept {
    const std::uintptr_t seen = slot_.load(order::relaxed);
    if (WEFT_LIKELY(seen == 0 || seen > slot_unlisted)) return false;  // none, or an operation
    return is_stop(seen);
  }

  /// Suspends in `op` without anybody to complete it, and is ready again at once, behind the
  /// others. A stop does not end it: it is seen at the next arm().
  void yield_in(operation& op, promise_base& waiter) noexcept {
    yield_in(op, reinterpret_cast<std::uintptr_t>(&waiter));
  }
  /// The same; op.go_on() is asked what to resume then.
  void yield_in_to_go_on(operation& op, promise_base& waiter) noexcept {
    yield_in(op, reinterpret_cast<std::uintptr_t>(&waiter) | operation::goes_on_itself);
  }

  /// By the job itself, when it has found out that it is to stop: nobody may have called stop(), and so
  /// nobody has told who watches it (stop_watch.hpp). Calls what users have left, so hold nothing.
  void tell_of_found_stop() noexcept;

  scheduler& home() const noexcept { return *home_; }
  const job_kind& kind() const noexcept { return *kind_; }
  bool in_block() const noexcept { return kind_->in_block; }
  const job* part_of() const noexcept {
    return kind_->part_of != nullptr ? kind_->part_of(*this) : nullptr;
  }
  /// What it is suspended in, for listings: a guess, and not to be followed unless the job is known
  /// to be suspended.
  const operation* waiting_in() const noexcept { return waiting_.load(order::relaxed); }

  /// A shield hides the job from stop() while it is held. By the job itself only.
  void enter_shield() noexcept {
    WEFT_ASSERT(shields_ != UINT8_MAX, "shields are nested 255 deep; is one entered in a loop?");
    ++shields_;
  }
  void leave_shield() noexcept {
    WEFT_ASSERT(shields_ != 0, "a shield was left that had not been entered");
    --shields_;
  }
  bool shielded() const noexcept { return shields_ != 0; }

  /// Operations that are ready at once spend one unit each. False: none is left, and the job must
  /// give way to the others.
  [[nodiscard]] bool spend_budget() noexcept { return budget_ != 0 && budget_-- != 0; }
  void refill_budget(std::uint8_t units) noexcept { budget_ = units; }

  /// Where a job comes from, as far as schedulers want to know it: see worker.hpp. Hints: two makers
  /// may look the same, and 256 births later numbers come again.
  struct birth {
    std::uint8_t maker = 0;     // a hash of the address of the job that made it; 0: made by none
    std::uint8_t number = 0;    // among its children
    std::uint8_t children = 0;  // how many it has made itself
  };
  static std::uint8_t as_maker(const job& maker) noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(&maker);
    return static_cast<std::uint8_t>((at >> 4 ^ at >> 12) | 1);
  }
  void made_by(job& maker) noexcept {
    born.maker = as_maker(maker);
    born.number = ++maker.born.children;
  }

  // Which queues it goes to. Set before it is listed and ready for the first time, and then for life.
  void set_priority(weft::priority p) noexcept {
    placing_ = static_cast<std::uint16_t>((placing_ & ~placing_priority) | in_placing(p));
  }
  weft::priority priority() const noexcept {
    return static_cast<weft::priority>((placing_ & placing_priority) / placing_priority_unit ^
                                       usual_priority);
  }
  /// From now on only that worker runs it. One that does not exist is found out when it is queued.
  void pin_to(unsigned worker) noexcept {
    const unsigned number = worker < placing_worker ? worker : placing_worker;
    placing_ = static_cast<std::uint16_t>((placing_ & ~placing_worker) | number | placing_pinned);
  }
  bool is_pinned() const noexcept { return (placing_ & placing_pinned) != 0; }
  /// Valid if it is pinned.
  unsigned worker() const noexcept { return placing_ & placing_worker; }
  /// Of normal priority, for any worker: the case that must be fast.
  bool is_usual() const noexcept { return (placing_ & (placing_priority | placing_pinned)) == 0; }
  /// For a job that does a part of another one's work: runs as soon, and where that one must.
  void go_with(const job& other) noexcept {
    set_priority(other.priority());
    if (other.is_pinned()) pin_to(other.worker());
  }

  /// It is a branch of another job's operation: a shutdown stops that job, whose shield, if it has one,
  /// then holds for both. To be said before it is listed.
  void set_stopped_by_owner() noexcept { placing_ |= placing_stopped_by_owner; }
  bool stopped_by_owner() const noexcept { return (placing_ & placing_stopped_by_owner) != 0; }

  /// Read by listings.
  std::uint64_t id() const noexcept {
    const std::uintptr_t seen = about_.load(order::acquire);  // X1
    return WEFT_LIKELY(is_id(seen)) ? seen >> 1 : extras_at(seen).id.load(order::relaxed);
  }
  /// By its scheduler, when it is listed. Not 0, and below 2^63.
  void set_id(std::uint64_t id) noexcept {
    if (WEFT_UNLIKELY(has_extras())) {
      extras().id.store(id, order::relaxed);
    } else {
      about_.store(id << 1 | 1, order::relaxed);
    }
  }
  // Its scheduler's own, while it is listed. Of one that failed and has ended: scheduler::number().
  void* listed_as = nullptr;
  const char* name() const noexcept {
    const std::uintptr_t seen = about_.load(order::acquire);  // X1
    if (WEFT_LIKELY(is_id(seen))) return kind_->name;
    const char* const given = extras_at(seen).name.load(order::acquire);  // X2
    return given != nullptr ? given : kind_->name;
  }
  /// By whoever makes it, or by itself. A name is one of the things that few jobs have: it takes memory,
  /// and where there is none the job stays without.
  void set_name(const char* name) noexcept;

  // Bindings of task_local. They are set before the job is launched, and then for life: so whoever makes a
  // job for it, a thief of a branch, too, may read them.
  void inherit_locals(const job& maker) {
    const std::uintptr_t seen =
        maker.about_.load(order::acquire);  // X1: it may name itself meanwhile
    if (WEFT_LIKELY(is_id(seen)) || extras_at(seen).locals.empty()) return;
    // Booked to the maker: this one may be no more than begun.
    make_extras(maker).locals.inherit(extras_at(seen).locals);
  }
  /// One that nobody else uses, and that is the job's from now on.
  void add_local(detail::local_binding& made) { make_extras(*this).locals.add(made); }
  /// The innermost one of that task_local, or nullptr.
  const detail::local_binding* find_local(const void* key) const noexcept {
    return WEFT_LIKELY(!has_extras()) ? nullptr : extras().locals.find(key);
  }

 protected:
  ~job() {
    if (WEFT_UNLIKELY(has_extras())) free_extras();
  }
  /// The operation that the job was woken from, or nullptr at its first run.
  operation* take_woken() noexcept {
    operation* const op = waiting_.load(order::relaxed);
    waiting_.store(nullptr, order::relaxed);
    return op;
  }
  /// Before it is launched: whoever stops it need not know it until it waits; kind().list() is called
  /// then. Most children of a scope never wait, and are on no list.
  void begins_unlisted() noexcept { slot_.store(slot_unlisted, order::relaxed); }
  /// By the job itself. False: kind().list() was called, or it was stopped.
  bool is_unlisted() const noexcept { return slot_.load(order::relaxed) == slot_unlisted; }

 private:
  friend class operation;
  [[nodiscard]] arm_result arm(operation& op, std::uintptr_t word) noexcept;
  void yield_in(operation& op, std::uintptr_t word) noexcept;
  void complete(operation& op) noexcept;
  WEFT_NOINLINE bool is_stop(std::uintptr_t seen) const noexcept;
  [[nodiscard]] WEFT_NOINLINE bool arm_listed(operation& op) noexcept;

  /// What few jobs have.
  struct extra {
    detail::job_locals locals;
    atomic<std::uint64_t> id{0};
    atomic<const char*> name{nullptr};  // nullptr: it was given none
  };
  static constexpr bool is_id(std::uintptr_t about) noexcept { return (about & 1) != 0; }
  static extra& extras_at(std::uintptr_t about) noexcept {
    return *reinterpret_cast<extra*>(about);  // NOLINT(performance-no-int-to-ptr)
  }
  // By whoever makes it, or by itself, as all that changes them.
  bool has_extras() const noexcept { return !is_id(about_.load(order::relaxed)); }
  extra& extras() const noexcept { return extras_at(about_.load(order::relaxed)); }
  extra& make_extras(const job& payer);
  WEFT_NOINLINE void free_extras() noexcept;

  static constexpr std::uintptr_t slot_unlisted = 4;  // see job.cpp
  // Its id twice, and one; or the address of an extra that has the id.
  // X1  make_extras: written (release)  ->  a listing, a thief of a branch: (acquire): the extra.
  // X2  set_name: name (release)  ->  a listing: (acquire): its letters.
  atomic<std::uintptr_t> about_{1};
  scheduler* home_;
  const job_kind* kind_;
  atomic<std::uintptr_t> slot_{0};       // see job.cpp
  atomic<operation*> waiting_{nullptr};  // written by the job; read by listings, never followed
  // Bits of placing_, which is written before the job is listed and by nobody later.
  static constexpr std::uint16_t placing_worker = 0x07ff;  // of a pinned one
  static constexpr std::uint16_t placing_pinned = 0x0800;
  static constexpr std::uint16_t placing_priority = 0x3000;  // such that a normal one's is 0
  static constexpr std::uint16_t placing_priority_unit = 0x1000;
  static constexpr std::uint16_t placing_stopped_by_owner = 0x4000;
  static constexpr unsigned usual_priority = static_cast<unsigned>(weft::priority::normal);
  static constexpr unsigned in_placing(weft::priority p) noexcept {
    return (static_cast<unsigned>(p) ^ usual_priority) * placing_priority_unit;
  }
  std::uint16_t placing_ = 0;
  std::uint8_t shields_ = 0;
  std::uint8_t budget_ = 0;

 public:
  birth born;  // `children`: written by the job itself
  // Of jobs that have no room of their own for them.
  bool ended : 1 = false;  // its function and arguments are gone, and its result is there
  bool was_stopped : 1 = false;
  bool claimed : 1 = false;  // the result was taken: an exception in it is no panic any more
};

}  // namespace weft
