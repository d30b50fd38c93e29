// promise: what every weft coroutine has in front of its frame: who awaits it, which job it is part
// of, and, at a boundary, where a stop ends.
//
// Tasks awaited inside a job are nested calls by symmetric transfer: no queue, no atomic, no
// reference count. A stopped job unwinds by destroying frames: unwind() destroys them from the
// innermost one up to the nearest boundary, which it resumes. Nothing is thrown. The memory of such a
// frame stays until the task goes that owns it, for that one to see that the frame is gone.
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>

#include "weft/task/frame_pool.hpp"
#include "weft/task/job.hpp"
#include "weft/task/result_slot.hpp"

namespace weft {

namespace detail {
class await_chain;
}

/// Where a stop ends: a job's root, catch_stop, a branch. It is resumed like a coroutine: its front is
/// that of a coroutine's frame, as far as resuming needs one. A bare one is not told that it was a stop:
/// the task that returned to it has no result then.
class bare_boundary {
 public:
  bare_boundary(const bare_boundary&) = delete;
  bare_boundary& operator=(const bare_boundary&) = delete;

  std::coroutine_handle<> handle() noexcept { return std::coroutine_handle<>::from_address(this); }
  /// For the innermost frames that return here, in the place of a promise: only its address is used.
  promise_base& as_parent() noexcept;

 protected:
  explicit bare_boundary(void (*resume)(void*)) noexcept : resume_(resume) {}
  /// What is called when it is resumed the next time.
  void resume_by(void (*resume)(void*)) noexcept { resume_ = resume; }
  ~bare_boundary() = default;

 private:
  [[maybe_unused]] void (*resume_)(void*);  // read by who resumes the handle
};

class boundary : public bare_boundary {
 public:
  bool stopped() const noexcept { return stopped_; }

 protected:
  using bare_boundary::bare_boundary;
  ~boundary() = default;

 private:
  friend std::coroutine_handle<> unwind(promise_base& innermost) noexcept;
  bool stopped_ = false;
};

/// One in the middle of a job, beside which stands who goes on behind it: a backtrace does not end there.
class inner_boundary : public boundary {
 public:
  promise_base* outer() const noexcept { return outer_; }

 protected:
  using boundary::boundary;
  ~inner_boundary() = default;
  promise_base* outer_ = nullptr;
};

class promise_base {
 public:
  promise_base() noexcept : job_(nullptr) {}
  promise_base(const promise_base&) = delete;
  promise_base& operator=(const promise_base&) = delete;

  std::coroutine_handle<> handle() noexcept {
    return std::coroutine_handle<promise_base>::from_promise(*this);
  }
  /// Not of a task that has its result.
  job* owner() const noexcept { return job_; }
  promise_base* parent() const noexcept {
    return reinterpret_cast<promise_base*>(above_ & ~bits);  // NOLINT(performance-no-int-to-ptr)
  }

  /// `parent` awaits this coroutine from now on, as a nested call in the same job.
  void attach(promise_base& parent) noexcept {
    above_ = reinterpret_cast<std::uintptr_t>(&parent);
    job_ = parent.job_;
  }
  /// It returns to `edge`, where a stop ends, too.
  void attach(boundary& edge, job& owner) noexcept {
    above_ = reinterpret_cast<std::uintptr_t>(&edge.as_parent()) | under_edge;
    job_ = &owner;
  }
  void attach(inner_boundary& edge, job& owner) noexcept {
    above_ = reinterpret_cast<std::uintptr_t>(&edge.as_parent()) | under_inner_edge;
    job_ = &owner;
  }
  void attach(bare_boundary& edge, job& owner) noexcept {
    above_ = reinterpret_cast<std::uintptr_t>(&edge.as_parent()) | under_bare_edge;
    job_ = &owner;
  }
  /// This coroutine is the outermost of `owner`.
  void become_root(job& owner) noexcept { job_ = &owner; }
  /// Destroys a frame that is suspended, or frees what a stop has left of it. By its owner.
  WEFT_ALWAYS_INLINE static void destroy(void* frame) noexcept {
    // The compiler is not to know which frame it is: it would call that one's function, and not what a
    // stop has put in its place.
    asm("" : "+r"(frame));
    std::coroutine_handle<>::from_address(frame).destroy();
  }
  /// The frame, to which a stop has come, is about to be destroyed by its owner: it ends nothing more.
  void abandon() noexcept { above_ = 0; }
  /// A stop has destroyed it, and only its memory is left.
  static bool is_gone(void* frame) noexcept { return *destroyer(frame) == &free_rest; }

  static void* operator new(std::size_t bytes) {
    return allocate_frame(detail::frame_bytes(bytes));
  }
  static void* operator new(std::size_t bytes, std::align_val_t a) {
    return allocate_frame(detail::frame_bytes(bytes, a));
  }
  static void operator delete(void* frame, std::size_t bytes) noexcept {
    give_back(frame, detail::frame_bytes(bytes));
  }
  static void operator delete(void* frame, std::size_t bytes, std::align_val_t a) noexcept {
    give_back(frame, detail::frame_bytes(bytes, a));
  }

 protected:
  ~promise_base() {}
  /// In unhandled_exception(). What a destructor throws while a stop destroys the frame may come there
  /// (that depends on the compiler), and would go on to resume who waits for the frame: the stop does so.
  /// Not inline: a coroutine would keep the address of the thread's state across its awaits.
  WEFT_NOINLINE void check_not_unwinding() noexcept;
  /// Of a coroutine whose result is void, in the place of its owner.
  detail::result_slot<void>& end_without_value() noexcept { return end_; }

 private:
  friend class relay_promise;
  friend class detail::await_chain;
  friend std::coroutine_handle<> unwind(promise_base& innermost) noexcept;
  // Of above_, beside the address of the parent, which is a multiple of 8.
  static constexpr std::uintptr_t under_edge = 1;  // the parent is a boundary's front
  static constexpr std::uintptr_t is_relay = 2;    // part of the frame above it: a relay_promise
  static constexpr std::uintptr_t is_edge = 4;     // such a one, which has the boundary beside it
  // What is under a boundary is not known to be a relay, so those bits say which kind of boundary it is.
  static constexpr std::uintptr_t under_bare_edge = under_edge | is_edge;
  static constexpr std::uintptr_t under_inner_edge = under_edge | is_relay;
  static constexpr std::uintptr_t bits = 7;
  bare_boundary& edge() const noexcept;
  using destroy_function = void(void*);
  /// Where a frame says how it is destroyed.
  static destroy_function** destroyer(void* frame) noexcept {
    return static_cast<destroy_function**>(frame) + 1;
  }
  static void free_rest(void* frame) noexcept;
  [[noreturn]] static void destructor_threw() noexcept;
  WEFT_ALWAYS_INLINE static void give_back(void* frame, std::size_t bytes) noexcept {
    detail::thread_state& thread = detail::this_thread_state();
    if (WEFT_UNLIKELY(frame == thread.unwinding)) {
      thread.unwound_bytes = bytes;
    } else {
      free_frame(frame, bytes, thread);
    }
  }

  std::uintptr_t above_ = 0;
  union {
    job* job_;
    // A task<> that has ended is nobody's any more, and says here how it ended: a word less in the
    // frames of most tasks. Their promise destroys it.
    detail::result_slot<void> end_;
  };
};

/// The promise of a relay: in the chain of awaiters like any other, but no frame of its own.
class relay_promise final : public promise_base {
 public:
  relay_promise() noexcept { above_ = is_relay; }
  void attach(promise_base& parent) noexcept {
    promise_base::attach(parent);
    above_ |= is_relay;
  }
  /// A stop ends at `edge`, which is part of the same object.
  void attach(promise_base& parent, boundary& edge) noexcept {
    promise_base::attach(parent);
    above_ |= is_relay | is_edge;
    edge_ = &edge;
  }

 private:
  friend class promise_base;
  boundary* edge_ = nullptr;
};

inline bare_boundary& promise_base::edge() const noexcept {
  if ((above_ & under_inner_edge) == is_relay)
    return *static_cast<const relay_promise*>(this)->edge_;
  return *reinterpret_cast<bare_boundary*>(reinterpret_cast<unsigned char*>(parent()) -
                                           2 * sizeof(void*));
}

inline promise_base& bare_boundary::as_parent() noexcept {
  // Where from_promise() would look for it, for the handle to be that of this object.
  return *reinterpret_cast<promise_base*>(reinterpret_cast<unsigned char*>(this) +
                                          2 * sizeof(void*));
}

/// A promise of ours, whose frame can be found from its promise_base: the base must stand first and
/// the promise must not be aligned more than a frame's header is.
template <class P>
concept weft_promise = std::derived_from<P, promise_base> && alignof(P) <= 2 * sizeof(void*);

/// The job of `innermost` was stopped: destroys the frames below the nearest boundary's own,
/// innermost first and one by one (a deep chain needs no deep stack). Result: what to resume, the
/// boundary. Called from await_suspend it destroys the caller's frame: return it and touch nothing.
std::coroutine_handle<> unwind(promise_base& innermost) noexcept;

/// For await_suspend: `op` is done at once. Goes straight on while the job has budget, else gives
/// way to the other jobs first. It does not look for a stop: what is done is not undone.
std::coroutine_handle<> ready_at_once(operation& op, promise_base& waiter) noexcept;

inline job* operation::owner() const noexcept { return word_ <= bits ? nullptr : waiter().owner(); }

/// What to resume when `op`, from which its job was woken, has ended.
inline std::coroutine_handle<> after(operation& op) noexcept {
  promise_base& waiter = op.waiter();
  if (WEFT_LIKELY((op.word_ & (operation::stopped | operation::goes_on_itself)) == 0)) {
    return waiter.handle();
  }
  return op.was_stopped() ? unwind(waiter) : op.go_on(waiter);
}

/// The awaiting side of an operation, typed by the class that implements it:
///   std::coroutine_handle<> start(promise_base& waiter) noexcept;
/// which arms it and returns noop, or ready_at_once(...), or unwind(waiter) if the stop came first.
template <class Self, class Base = operation>
class awaitable_operation : public Base {
 public:
  bool await_ready() const noexcept {
    if constexpr (requires(const Base& b) { b.await_ready(); }) {
      return Base::await_ready();
    } else {
      return false;
    }
  }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    static_assert(weft_promise<P>,
                  "weft's operations can be awaited in a weft::task (or by weft::block_on in a "
                  "plain thread), not in a coroutine of another library");
    return static_cast<Self*>(this)->start(waiter.promise());
  }

 protected:
  using Base::Base;
  awaitable_operation() noexcept
    requires std::default_initializable<Base>
  = default;
  ~awaitable_operation() = default;
};

}  // namespace weft
