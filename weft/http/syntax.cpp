#include <weft/http/syntax.hpp>

#include <array>
#include <cstddef>
#include <cstring>

namespace weft::http {
namespace {

constexpr std::array<bool, 256> make_token_table() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~"))
    table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr std::array<bool, 256> token_table = make_token_table();

/// Whether one of the eight bytes is a control character, HTAB too. Each half is true of a word if it is
/// true of one of its bytes: a borrow out of a byte that is none begins at one that is.
constexpr bool has_control(std::uint64_t eight) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101, tops = ones * 0x80;
  const std::uint64_t below_space = (eight - ones * 0x20) & ~eight;
  const std::uint64_t not_delete = eight ^ ones * 0x7f;  // 0 in a byte that is 0x7f
  const std::uint64_t is_delete = (not_delete - ones) & ~not_delete;
  return ((below_space | is_delete) & tops) != 0;
}
static_assert(has_control(0x2020201f20202020) && has_control(0x202020202020207f));
static_assert(!has_control(0x80ff7e2141202080));

template <class Word>
std::uint64_t word_at(const char* at) noexcept {
  Word word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

/// Whether it is likely to have one: HTAB may be.
bool may_have_control(std::string_view text) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  if (text.size() >= 8) {
    for (; end - at > 8; at += 8) {
      if (has_control(word_at<std::uint64_t>(at))) return true;
    }
    return has_control(word_at<std::uint64_t>(end - 8));
  }
  if (text.size() >= 4) {
    return has_control(word_at<std::uint32_t>(at) | word_at<std::uint32_t>(end - 4) << 32);
  }
  for (; at != end; ++at) {
    if (is_control(*at)) return true;
  }
  return false;
}

}  // namespace

bool is_token(std::string_view text) noexcept {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!token_table[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

bool is_field_value(std::string_view text) noexcept {
  if (!may_have_control(text)) return true;
  for (const char c : text) {
    if (is_control(c) && c != '\t') return false;
  }
  return true;
}

bool equals_ignore_case(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

bool next_list_item(std::string_view& rest, std::string_view& item) noexcept {
  while (!rest.empty()) {
    const std::size_t comma = rest.find(',');
    item = trim(rest.substr(0, comma));
    rest.remove_prefix(comma == std::string_view::npos ? rest.size() : comma + 1);
    if (!item.empty()) return true;
  }
  return false;
}

bool parse_decimal(std::string_view text, std::uint64_t& value) noexcept {
  constexpr std::size_t always_fit = 19;  // digits
  if (text.empty()) return false;
  std::uint64_t sum = 0;
  for (const char c : text) {
    if (!is_digit(c)) return false;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (text.size() > always_fit && sum > (UINT64_MAX - digit) / 10) return false;
    sum = sum * 10 + digit;
  }
  value = sum;
  return true;
}

}  // namespace weft::http
