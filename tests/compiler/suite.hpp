// One row for each pattern, and what this compiler with these flags is known to make of it.
#pragma once

#include <span>

#if defined(__has_feature)
#define CONFORMANCE_HAS_FEATURE(x) __has_feature(x)
#else
#define CONFORMANCE_HAS_FEATURE(x) 0
#endif

namespace conformance {

// What the expectations of the rows are written in.
namespace built_with {

#if defined(__clang__)
inline constexpr bool gcc12 = false;
inline constexpr bool clang = true;
#else
// Every GCC counts, not only 12: the day a later one is tried, each row that it has repaired
// says so, and that is how the end of a rule is learned.
inline constexpr bool gcc12 = true;
inline constexpr bool clang = false;
#endif

#if defined(__OPTIMIZE__)
inline constexpr bool optimized = true;
#else
inline constexpr bool optimized = false;
#endif

#if defined(__SANITIZE_ADDRESS__) || CONFORMANCE_HAS_FEATURE(address_sanitizer)
inline constexpr bool asan = true;
#else
inline constexpr bool asan = false;
#endif

#if defined(__SANITIZE_THREAD__) || CONFORMANCE_HAS_FEATURE(thread_sanitizer)
inline constexpr bool tsan = true;
#else
inline constexpr bool tsan = false;
#endif

}  // namespace built_with

enum class verdict { good, bad };

constexpr verdict bad_if(bool known_bad) { return known_bad ? verdict::bad : verdict::good; }

inline constexpr verdict good = verdict::good;
inline constexpr verdict bad_on_gcc12 = bad_if(built_with::gcc12);

struct pattern {
  const char* id;    // the hazard, as in README.md
  const char* name;  // what is written in the coroutine
  void (*body)();    // runs in a process of its own
  verdict expected = good;
};

// One table a file; main.cpp runs them in this order.
std::span<const pattern> captures();
std::span<const pattern> aggregates();
std::span<const pattern> ternaries();
std::span<const pattern> conditions();
std::span<const pattern> symmetric_transfer();
std::span<const pattern> alignment();
std::span<const pattern> allocation();
std::span<const pattern> lifetimes();
std::span<const pattern> exceptions();
std::span<const pattern> thread_locals();

}  // namespace conformance
