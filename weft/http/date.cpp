#include <weft/http/date.hpp>

#include <weft/http/syntax.hpp>

#include <algorithm>

namespace weft::http {
namespace {

constexpr std::int64_t seconds_a_day = 86'400;
constexpr std::int64_t first_second = -62'135'596'800;  // 0001-01-01 00:00:00
constexpr std::int64_t last_second = 253'402'300'799;   // 9999-12-31 23:59:59

constexpr std::string_view day_names = "SunMonTueWedThuFriSat";
constexpr std::string_view month_names = "JanFebMarAprMayJunJulAugSepOctNovDec";

struct civil {
  int year, month, day;  // month and day from 1
};

constexpr bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

constexpr int days_in(int year, int month) {
  constexpr std::array<int, 12> days = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return days[static_cast<std::size_t>(month - 1)] + (month == 2 && is_leap(year) ? 1 : 0);
}

// Days from 0001-01-01 to the first day of `year`.
constexpr std::int64_t days_before_year(int year) {
  const std::int64_t past = year - 1;
  return past * 365 + past / 4 - past / 100 + past / 400;
}

constexpr std::int64_t epoch_day = days_before_year(1970);

constexpr std::int64_t days_of(civil date) {
  std::int64_t days = days_before_year(date.year) - epoch_day;
  for (int month = 1; month < date.month; ++month) days += days_in(date.year, month);
  return days + date.day - 1;
}

constexpr civil civil_of(std::int64_t unix_days) {
  const std::int64_t day = unix_days + epoch_day;  // from 0001-01-01, never negative
  // The average year is a little short or long, so the guess is off by one year at most.
  int year = static_cast<int>(day * 400 / 146'097) + 1;
  if (days_before_year(year) > day) --year;
  if (days_before_year(year + 1) <= day) ++year;
  int left = static_cast<int>(day - days_before_year(year));
  int month = 1;
  while (left >= days_in(year, month)) left -= days_in(year, month++);
  return {year, month, left + 1};
}

void put_number(char* at, int value, int digits) noexcept {
  for (int i = digits - 1; i >= 0; --i, value /= 10) at[i] = static_cast<char>('0' + value % 10);
}

void put_text(char* at, std::string_view text) noexcept { std::copy(text.begin(), text.end(), at); }

// Reads a date from its front; every function takes what it has read off, or says no.
struct reader {
  std::string_view rest;

  bool literal(std::string_view text) {
    if (!rest.starts_with(text)) return false;
    rest.remove_prefix(text.size());
    return true;
  }
  bool number(std::size_t digits, int& value) {
    if (rest.size() < digits) return false;
    value = 0;
    for (const char c : rest.substr(0, digits)) {
      if (!is_digit(c)) return false;
      value = value * 10 + (c - '0');
    }
    rest.remove_prefix(digits);
    return true;
  }
  bool month(int& value) {
    for (int i = 0; i < 12; ++i) {
      if (literal(month_names.substr(static_cast<std::size_t>(i) * 3, 3))) {
        value = i + 1;
        return true;
      }
    }
    return false;
  }
  bool word(std::size_t& size) {
    size = 0;
    while (size < rest.size() && to_lower(rest[size]) >= 'a' && to_lower(rest[size]) <= 'z') ++size;
    rest.remove_prefix(size);
    return size >= 3;
  }
  bool clock(int& seconds) {
    int h = 0, m = 0, s = 0;
    if (!number(2, h) || !literal(":") || !number(2, m) || !literal(":") || !number(2, s))
      return false;
    seconds = h * 3600 + m * 60 + s;
    return h < 24 && m < 60 && s <= 60;
  }
};

}  // namespace

void format_date(std::int64_t unix_seconds, std::array<char, date_bytes>& out) noexcept {
  const std::int64_t time = std::clamp(unix_seconds, first_second, last_second);
  std::int64_t days = time / seconds_a_day;
  std::int64_t second = time % seconds_a_day;
  if (second < 0) {
    second += seconds_a_day;
    --days;
  }
  const civil date = civil_of(days);
  const auto weekday = static_cast<std::size_t>((days % 7 + 7 + 4) % 7);  // 1970-01-01: a Thursday
  char* at = out.data();
  put_text(at, "Sun, 00 Jan 0000 00:00:00 GMT");
  put_text(at, day_names.substr(weekday * 3, 3));
  put_number(at + 5, date.day, 2);
  put_text(at + 8, month_names.substr(static_cast<std::size_t>(date.month - 1) * 3, 3));
  put_number(at + 12, date.year, 4);
  put_number(at + 17, static_cast<int>(second / 3600), 2);
  put_number(at + 20, static_cast<int>(second / 60 % 60), 2);
  put_number(at + 23, static_cast<int>(second % 60), 2);
}

std::optional<std::int64_t> parse_date(std::string_view text) noexcept {
  reader in{text};
  civil date{};
  int seconds = 0;
  std::size_t weekday_size = 0;
  if (!in.word(weekday_size)) return std::nullopt;

  if (in.literal(", ")) {
    if (!in.number(2, date.day)) return std::nullopt;
    if (in.literal(" ")) {  // Sun, 06 Nov 1994 08:49:37 GMT
      if (!in.month(date.month) || !in.literal(" ") || !in.number(4, date.year))
        return std::nullopt;
    } else {  // Sunday, 06-Nov-94 08:49:37 GMT
      if (!in.literal("-") || !in.month(date.month) || !in.literal("-") ||
          !in.number(2, date.year)) {
        return std::nullopt;
      }
      date.year += date.year < 70 ? 2000 : 1900;
    }
    if (!in.literal(" ") || !in.clock(seconds) || !in.literal(" GMT")) return std::nullopt;
  } else {  // Sun Nov  6 08:49:37 1994
    if (!in.literal(" ") || !in.month(date.month) || !in.literal(" ")) return std::nullopt;
    if (!(in.literal(" ") ? in.number(1, date.day) : in.number(2, date.day))) return std::nullopt;
    if (!in.literal(" ") || !in.clock(seconds) || !in.literal(" ") || !in.number(4, date.year)) {
      return std::nullopt;
    }
  }
  if (!in.rest.empty() || date.year < 1 || date.day < 1 ||
      date.day > days_in(date.year, date.month)) {
    return std::nullopt;
  }
  return days_of(date) * seconds_a_day + seconds;
}

}  // namespace weft::http
