// atomic: the one door to shared memory. In normal builds a thin shell over the compiler's builtins
// (15 ms to include, where <atomic> costs 430); under WEFT_MODEL each operation is a step that the
// interleaving checker (weft/testing/model) schedules, so lock-free code is explored unchanged.
//
//   atomic<T>   a word that several threads touch; every access names its memory order
//   plain<T>    an ordinary variable that the checker watches for data races; free in normal builds
//   fence       as std::atomic_thread_fence
//   WEFT_MUTATE(id, good, bad)   `good`, except in a model run that asks for the mutant `id`:
//                                the proof that the model would notice
//
//   After  tokio's loom directory (one seam, two implementations)
#pragma once

#include <cstdint>
#include <type_traits>

#include "weft/base/config.hpp"

namespace weft {

enum class order : int {
  relaxed = __ATOMIC_RELAXED,
  acquire = __ATOMIC_ACQUIRE,
  release = __ATOMIC_RELEASE,
  acq_rel = __ATOMIC_ACQ_REL,
  seq_cst = __ATOMIC_SEQ_CST,
};

template <class T>
concept atomic_word = std::is_trivially_copyable_v<T> && (sizeof(T) <= 8);

}  // namespace weft

#if WEFT_MODEL

namespace weft::model::hook {

// Implemented by weft/testing/model. A location is named by a number that its atomic carries.
enum class rmw : int { exchange, add, sub, bit_and, bit_or };

unsigned create(std::uint64_t initial) noexcept;
void destroy(unsigned location) noexcept;
std::uint64_t load(unsigned location, order o) noexcept;
void store(unsigned location, std::uint64_t value, order o) noexcept;
std::uint64_t update(unsigned location, rmw kind, std::uint64_t operand, unsigned bytes,
                     order o) noexcept;
bool compare_exchange(unsigned location, std::uint64_t& expected, std::uint64_t desired,
                      order success, order failure, bool weak) noexcept;
void fence(order o) noexcept;
void heavy_fence() noexcept;  // membarrier: every thread executes a seq_cst fence here
unsigned create_plain() noexcept;
void destroy_plain(unsigned cell) noexcept;
void plain_read(unsigned cell) noexcept;
void plain_write(unsigned cell) noexcept;
void pause() noexcept;               // a spinner steps back until another thread has moved
const void* this_thread() noexcept;  // an address that is no other's: its threads are fibers of one
/// What a thread_local is elsewhere: the running thread's, zero when an execution begins. One a thread.
void* own(unsigned bytes) noexcept;
bool mutant(const char* id) noexcept;

}  // namespace weft::model::hook

namespace weft {

template <atomic_word T>
class atomic {
 public:
  atomic() noexcept : atomic(T()) {}
  explicit atomic(T initial) noexcept : location_(model::hook::create(pack(initial))) {}
  ~atomic() { model::hook::destroy(location_); }
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  T load(order o) const noexcept { return unpack(model::hook::load(location_, o)); }
  void store(T v, order o) noexcept { model::hook::store(location_, pack(v), o); }
  T exchange(T v, order o) noexcept { return apply(model::hook::rmw::exchange, pack(v), o); }
  T fetch_add(T v, order o) noexcept { return apply(model::hook::rmw::add, pack(v), o); }
  T fetch_sub(T v, order o) noexcept { return apply(model::hook::rmw::sub, pack(v), o); }
  T fetch_and(T v, order o) noexcept { return apply(model::hook::rmw::bit_and, pack(v), o); }
  T fetch_or(T v, order o) noexcept { return apply(model::hook::rmw::bit_or, pack(v), o); }
  bool compare_exchange(T& expected, T desired, order success, order failure) noexcept {
    return exchange_if(expected, desired, success, failure, false);
  }
  bool compare_exchange_weak(T& expected, T desired, order success, order failure) noexcept {
    return exchange_if(expected, desired, success, failure, true);
  }

 private:
  static std::uint64_t pack(T v) noexcept {
    std::uint64_t bits = 0;
    __builtin_memcpy(&bits, &v, sizeof(T));
    return bits;
  }
  static T unpack(std::uint64_t bits) noexcept {
    T v;
    __builtin_memcpy(&v, &bits, sizeof(T));
    return v;
  }
  T apply(model::hook::rmw kind, std::uint64_t operand, order o) noexcept {
    return unpack(model::hook::update(location_, kind, operand, sizeof(T), o));
  }
  bool exchange_if(T& expected, T desired, order s, order f, bool weak) noexcept {
    std::uint64_t e = pack(expected);
    const bool done = model::hook::compare_exchange(location_, e, pack(desired), s, f, weak);
    if (!done) expected = unpack(e);
    return done;
  }
  unsigned location_;
};

template <class T>
class plain {
 public:
  plain() noexcept : value_(), cell_(model::hook::create_plain()) {}
  explicit plain(T initial) noexcept : value_(initial), cell_(model::hook::create_plain()) {}
  ~plain() { model::hook::destroy_plain(cell_); }
  plain(const plain&) = delete;
  plain& operator=(const plain&) = delete;
  T get() const noexcept {
    model::hook::plain_read(cell_);
    return value_;
  }
  void set(T v) noexcept {
    model::hook::plain_write(cell_);
    value_ = v;
  }

 private:
  T value_;
  unsigned cell_;
};

inline void fence(order o) noexcept { model::hook::fence(o); }
inline void compiler_fence() noexcept {}  // the checker's threads run as the source says
inline void cpu_pause() noexcept { model::hook::pause(); }

}  // namespace weft

#define WEFT_MUTATE(id, good, bad) (::weft::model::hook::mutant(id) ? (bad) : (good))

#else

namespace weft {

namespace detail {
/// GCC's builtin still wants the order of success to be no weaker than that of failure.
constexpr int success_order(order success, order failure) noexcept {
  if (failure == order::seq_cst) return __ATOMIC_SEQ_CST;
  if (failure != order::acquire) return static_cast<int>(success);
  if (success == order::relaxed) return __ATOMIC_ACQUIRE;
  if (success == order::release) return __ATOMIC_ACQ_REL;
  return static_cast<int>(success);
}
}  // namespace detail

template <atomic_word T>
class atomic {
 public:
  constexpr atomic() noexcept : value_() {}
  constexpr explicit atomic(T initial) noexcept : value_(initial) {}
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;

  WEFT_ALWAYS_INLINE T load(order o) const noexcept {
    T v;
    __atomic_load(&value_, &v, static_cast<int>(o));
    return v;
  }
  WEFT_ALWAYS_INLINE void store(T v, order o) noexcept {
    __atomic_store(&value_, &v, static_cast<int>(o));
  }
  WEFT_ALWAYS_INLINE T exchange(T v, order o) noexcept {
    T old;
    __atomic_exchange(&value_, &v, &old, static_cast<int>(o));
    return old;
  }
  WEFT_ALWAYS_INLINE T fetch_add(T v, order o) noexcept {
    return __atomic_fetch_add(&value_, v, static_cast<int>(o));
  }
  WEFT_ALWAYS_INLINE T fetch_sub(T v, order o) noexcept {
    return __atomic_fetch_sub(&value_, v, static_cast<int>(o));
  }
  WEFT_ALWAYS_INLINE T fetch_and(T v, order o) noexcept {
    return __atomic_fetch_and(&value_, v, static_cast<int>(o));
  }
  WEFT_ALWAYS_INLINE T fetch_or(T v, order o) noexcept {
    return __atomic_fetch_or(&value_, v, static_cast<int>(o));
  }
  /// On failure `expected` holds what was there.
  WEFT_ALWAYS_INLINE bool compare_exchange(T& expected, T desired, order success,
                                           order failure) noexcept {
    return __atomic_compare_exchange(&value_, &expected, &desired, false,
                                     detail::success_order(success, failure),
                                     static_cast<int>(failure));
  }
  /// May fail although the value was the expected one; for loops that read it anew anyway.
  WEFT_ALWAYS_INLINE bool compare_exchange_weak(T& expected, T desired, order success,
                                                order failure) noexcept {
    return __atomic_compare_exchange(&value_, &expected, &desired, true,
                                     detail::success_order(success, failure),
                                     static_cast<int>(failure));
  }
  /// The word's address, for the kernel (futex). Not for ordinary access.
  T* address() noexcept { return &value_; }

 private:
  alignas(sizeof(T)) T value_;
};

template <class T>
class plain {
 public:
  constexpr plain() noexcept : value_() {}
  constexpr explicit plain(T initial) noexcept : value_(initial) {}
  plain(const plain&) = delete;
  plain& operator=(const plain&) = delete;
  T get() const noexcept { return value_; }
  void set(T v) noexcept { value_ = v; }

 private:
  T value_;
};

WEFT_ALWAYS_INLINE void fence(order o) noexcept {
#if WEFT_TSAN
  // The sanitizer does not follow fences; a read-modify-write of one word it does follow.
  static unsigned word;
  __atomic_fetch_add(&word, 0u, __ATOMIC_SEQ_CST);
  static_cast<void>(o);
#elif WEFT_X86_64
  // A locked instruction orders as mfence does and costs 6 ns instead of 14.
  if (o == order::seq_cst) {
    asm volatile("lock; orl $0, -4(%%rsp)" ::: "memory", "cc");
  } else {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
  }
#else
  __atomic_thread_fence(static_cast<int>(o));
#endif
}

/// The light side of a pair whose other side is os::heavy_fence(): only the compiler is held.
WEFT_ALWAYS_INLINE void compiler_fence() noexcept { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

/// Tells the core that this is a spin loop.
WEFT_ALWAYS_INLINE void cpu_pause() noexcept {
#if WEFT_X86_64
  __builtin_ia32_pause();
#endif
}

}  // namespace weft

#define WEFT_MUTATE(id, good, bad) (good)

#endif
