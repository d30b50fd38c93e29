// result: what an operation gives that the outside world can make fail.
//
//   result<T>   std::expected<T, std::error_code>; [[nodiscard]] comes with what gives one
//   error       what value() and ok() throw: a std::system_error that knows its place
//   errc        weft's own codes, for what no errno says
#pragma once

#include <expected>
#include <source_location>
#include <system_error>

namespace weft {

template <class T>
using result = std::expected<T, std::error_code>;

/// weft's own error codes; those of the operating system stay std::errc / system_category.
enum class errc {
  timed_out = 1,  // a timeout or deadline expired before the operation was done
  closed,         // the other end, or the object itself, was closed
  shutting_down,  // the runtime is ending and takes no new work
  would_not_end,  // jobs were still running when the grace of shutdown() was over
  not_found,      // no such thing
  too_large,      // a limit was exceeded; the message of the caller names it
  no_runtime,     // called on a thread that belongs to no runtime
};

/// The category of errc, "weft". errc::timed_out compares equal to std::errc::timed_out.
const std::error_category& weft_category() noexcept;
std::error_code make_error_code(errc e) noexcept;

namespace detail {
template <class>
inline constexpr bool is_result = false;
template <class T>
inline constexpr bool is_result<std::expected<T, std::error_code>> = true;
}  // namespace detail

/// For [[nodiscard]]. GCC 12 says it of a call only, not of what co_await gives.
#define WEFT_RESULT_MESSAGE \
  "it may have failed: look at the result, pass it to ok(), or say static_cast<void>"

/// Thrown by ok() in a task that does not return a result, and by value().
class error : public std::system_error {
 public:
  explicit error(std::error_code code, const char* what = "weft",
                 std::source_location raised = std::source_location::current())
      : std::system_error(code, what), raised_(raised) {}
  /// Where in the user's code it was raised.
  const std::source_location& where() const noexcept { return raised_; }

 private:
  std::source_location raised_;
};

/// The value, or throws weft::error, whose where() is the caller.
template <class T>
T value(result<T>&& r, std::source_location raised = std::source_location::current()) {
  if (!r) throw error(r.error(), "weft::value", raised);
  if constexpr (!std::is_void_v<T>) return std::move(*r);
}

}  // namespace weft

template <>
struct std::is_error_code_enum<weft::errc> : std::true_type {};
