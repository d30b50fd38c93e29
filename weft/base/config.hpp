// config: what the compiler and the machine are. The only file (besides sources named after a
// platform) in which a platform macro may be tested; everybody else asks for a WEFT_* name.
#pragma once

#if defined(__x86_64__)
#define WEFT_X86_64 1
#else
#define WEFT_X86_64 0
#endif

#if defined(__SANITIZE_THREAD__)
#define WEFT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif
#ifndef WEFT_TSAN
#define WEFT_TSAN 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define WEFT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#endif
#ifndef WEFT_ASAN
#define WEFT_ASAN 0
#endif

// Set by the build: 1 routes weft::atomic to the interleaving checker (weft/testing/model).
#ifndef WEFT_MODEL
#define WEFT_MODEL 0
#endif

// Set by test builds: no internal park has a time-out that is not a user's deadline, so that a lost
// wake is a hang (and a red test), never a hiccup of some milliseconds.
#ifndef WEFT_INFINITE_TIMEOUTS
#define WEFT_INFINITE_TIMEOUTS 0
#endif

// Set by test builds: counts what is alive (base/census.hpp), and lets tests see every await
// through a hook (task/await_hook.hpp).
#ifndef WEFT_CENSUS
#define WEFT_CENSUS 0
#endif

#define WEFT_NOINLINE __attribute__((noinline))
#define WEFT_ALWAYS_INLINE inline __attribute__((always_inline))
#define WEFT_LIKELY(x) __builtin_expect(!!(x), 1)
#define WEFT_UNLIKELY(x) __builtin_expect(!!(x), 0)

// Clang checks with it that what a combinator borrows outlives the await; GCC has no such check.
#if defined(__clang__)
#define WEFT_LIFETIMEBOUND [[clang::lifetimebound]]
#else
#define WEFT_LIFETIMEBOUND
#endif

// For a call through a coroutine's own function pointer: the standard library's no-op coroutine has
// one of another type than the sanitizer expects.
#if defined(__clang__)
#define WEFT_CALLS_COROUTINES __attribute__((no_sanitize("function")))
#else
#define WEFT_CALLS_COROUTINES
#endif

// Whether the size of a coroutine's frame is a multiple of its alignment: of GCC's it is; of Clang's it is
// not (72 bytes with a local that is aligned to 32).
#if defined(__clang__)
#define WEFT_FRAME_SIZE_TELLS_ALIGNMENT 0
#else
#define WEFT_FRAME_SIZE_TELLS_ALIGNMENT 1
#endif

// A call that must not leave a frame behind. GCC has no such promise before 15; there
// -foptimize-sibling-calls, which weft's build exports, has the same effect.
#if defined(__clang__)
#define WEFT_MUSTTAIL [[clang::musttail]]
#else
#define WEFT_MUSTTAIL
#endif
