// HTTP dates (RFC 9110 section 5.6.7), without a locale, a time zone or the C library's calendar.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weft::http {

/// "Sun, 06 Nov 1994 08:49:37 GMT"
inline constexpr std::size_t date_bytes = 29;

/// Writes the preferred form. Units: seconds since 1970-01-01 UTC. A time outside the years
/// 1 to 9999 is moved to the nearest one that can be written.
void format_date(std::int64_t unix_seconds, std::array<char, date_bytes>& out) noexcept;

/// Reads all three forms a server must accept: the preferred one, RFC 850's and asctime's.
/// Result: nothing for anything else or a day that does not exist. The day of the week must be a
/// word, but whether it is the right one is not checked: nothing depends on it.
/// RFC 850's two-digit year is read as 1970 to 2069.
/// A leap second (":60") is read as the second after.
[[nodiscard]] std::optional<std::int64_t> parse_date(std::string_view text) noexcept;

/// The Date field's value, written once a second however many responses ask for it.
/// Threads: one cache a thread.
class date_cache {
 public:
  /// Valid until the next call.
  [[nodiscard]] std::string_view at(std::int64_t unix_seconds) noexcept {
    if (unix_seconds != second_ || !filled_) {
      format_date(unix_seconds, text_);
      second_ = unix_seconds;
      filled_ = true;
    }
    return {text_.data(), text_.size()};
  }

 private:
  std::array<char, date_bytes> text_{};
  std::int64_t second_ = 0;
  bool filled_ = false;
};

}  // namespace weft::http
