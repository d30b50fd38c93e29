#include "weft/net/address.hpp"

#include <cstring>

namespace weft::net {
namespace {

constexpr int groups = 8;  // of an IPv6 address, 16 bits each

std::unexpected<std::error_code> bad() noexcept {
  return std::unexpected(std::make_error_code(std::errc::invalid_argument));
}

/// Reads a number of at most `digits_max` digits off the front of `text`; -1: there is none.
long take_number(std::string_view& text, unsigned base, unsigned digits_max) noexcept {
  long value = 0;
  unsigned digits = 0;
  while (!text.empty()) {
    const char c = text.front();
    unsigned digit = base;
    if (c >= '0' && c <= '9') digit = static_cast<unsigned>(c - '0');
    if (c >= 'a' && c <= 'f') digit = static_cast<unsigned>(c - 'a' + 10);
    if (c >= 'A' && c <= 'F') digit = static_cast<unsigned>(c - 'A' + 10);
    if (digit >= base) break;
    if (++digits > digits_max) return -1;
    value = value * static_cast<long>(base) + static_cast<long>(digit);
    text.remove_prefix(1);
  }
  return digits != 0 ? value : -1;
}

bool take_char(std::string_view& text, char c) noexcept {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

/// All of `text` must be a dotted address. A leading zero is refused: some take it for octal.
bool read_v4(std::string_view text, unsigned char* out) noexcept {
  for (int i = 0; i < 4; ++i) {
    if (i != 0 && !take_char(text, '.')) return false;
    const bool zero = !text.empty() && text.front() == '0';
    const std::size_t before = text.size();
    const long n = take_number(text, 10, 3);
    if (n < 0 || n > 255 || (zero && before - text.size() > 1)) return false;
    out[i] = static_cast<unsigned char>(n);
  }
  return text.empty();
}

bool read_v6(std::string_view text, unsigned char* out) noexcept {
  unsigned char head[16] = {};  // what stands before "::", or all
  unsigned char tail[16] = {};
  int head_bytes = 0;
  int tail_bytes = 0;
  bool gap = false;
  if (text.starts_with("::")) {
    gap = true;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    unsigned char* const to = gap ? tail : head;
    int& bytes = gap ? tail_bytes : head_bytes;
    if (head_bytes + tail_bytes >= 2 * groups) return false;
    if (text.find(':') == std::string_view::npos && text.find('.') != std::string_view::npos) {
      if (head_bytes + tail_bytes > 2 * groups - 4 || !read_v4(text, to + bytes)) return false;
      bytes += 4;
      break;
    }
    const long n = take_number(text, 16, 4);
    if (n < 0) return false;
    to[bytes++] = static_cast<unsigned char>(n >> 8);
    to[bytes++] = static_cast<unsigned char>(n & 0xff);
    if (text.empty()) break;
    if (!take_char(text, ':') || text.empty()) return false;  // a single ':' at the end
    if (take_char(text, ':')) {
      if (gap) return false;
      gap = true;
    }
  }
  const int bytes = head_bytes + tail_bytes;
  if (gap ? bytes > 2 * groups - 2 : bytes != 2 * groups) return false;
  std::memset(out, 0, 16);
  std::memcpy(out, head, static_cast<std::size_t>(head_bytes));
  std::memcpy(out + 16 - tail_bytes, tail, static_cast<std::size_t>(tail_bytes));
  return true;
}

std::string write_v4(const unsigned char* b) {
  std::string text = std::to_string(b[0]);
  for (int i = 1; i < 4; ++i) text += "." + std::to_string(b[i]);
  return text;
}

std::string write_v6(const unsigned char* b) {
  static constexpr unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (std::memcmp(b, mapped, sizeof mapped) == 0) return "::ffff:" + write_v4(b + 12);
  unsigned group[groups];
  for (int i = 0; i < groups; ++i) group[i] = static_cast<unsigned>(b[2 * i] << 8 | b[2 * i + 1]);
  int best = -1;  // the longest run of zeros, at least two, the first of equals
  int best_length = 1;
  for (int i = 0; i < groups; ++i) {
    int n = 0;
    while (i + n < groups && group[i + n] == 0) ++n;
    if (n > best_length) {
      best = i;
      best_length = n;
    }
    if (n > 0) i += n - 1;
  }
  std::string text;
  for (int i = 0; i < groups; ++i) {
    if (i == best) {
      text += "::";
      i += best_length - 1;
      continue;
    }
    if (!text.empty() && !text.ends_with(':')) text += ':';
    static constexpr char digits[] = "0123456789abcdef";
    bool started = false;
    for (int shift = 12; shift >= 0; shift -= 4) {
      const unsigned digit = group[i] >> shift & 0xf;
      started = started || digit != 0 || shift == 0;
      if (started) text += digits[digit];
    }
  }
  return text;
}

}  // namespace

address address::v4(unsigned char a, unsigned char b, unsigned char c, unsigned char d) noexcept {
  address made;
  const unsigned char bytes[4] = {a, b, c, d};
  std::memcpy(made.bytes_, bytes, sizeof bytes);
  return made;
}

address address::v6(const unsigned char* bytes, std::uint32_t scope) noexcept {
  address made;
  std::memcpy(made.bytes_, bytes, sizeof made.bytes_);
  made.scope_ = scope;
  made.is_v6_ = true;
  return made;
}

address address::any_v6() noexcept {
  static constexpr unsigned char zero[16] = {};
  return v6(zero);
}

address address::loopback_v6() noexcept {
  static constexpr unsigned char one[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return v6(one);
}

bool address::is_loopback() const noexcept {
  return is_v6_ ? *this == loopback_v6() : bytes_[0] == 127;
}

result<address> address::parse(std::string_view text) noexcept {
  address made;
  if (text.find(':') == std::string_view::npos) {
    if (!read_v4(text, made.bytes_)) return bad();
    return made;
  }
  made.is_v6_ = true;
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos) {
    std::string_view number = text.substr(percent + 1);
    const long scope = take_number(number, 10, 9);
    if (scope < 0 || !number.empty()) return bad();
    made.scope_ = static_cast<std::uint32_t>(scope);
    text = text.substr(0, percent);
  }
  if (!read_v6(text, made.bytes_)) return bad();
  return made;
}

std::string address::to_string() const {
  if (!is_v6_) return write_v4(bytes_);
  std::string text = write_v6(bytes_);
  if (scope_ != 0) text += "%" + std::to_string(scope_);
  return text;
}

result<endpoint> endpoint::parse(std::string_view text) noexcept {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  std::string_view number = text.substr(colon + 1);
  const long port = take_number(number, 10, 5);
  if (port < 0 || port > 65535 || !number.empty()) return bad();
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto parsed = address::parse(host);
  if (!parsed || parsed->is_v6() != bracketed) return bad();
  return endpoint{*parsed, static_cast<std::uint16_t>(port)};
}

std::string endpoint::to_string() const {
  const std::string host = address.to_string();
  return (address.is_v6() ? "[" + host + "]:" : host + ":") + std::to_string(port);
}

os::socket_address to_system(const endpoint& e) noexcept {
  if (e.address.is_v6()) {
    std::uint8_t ip[16];
    std::memcpy(ip, e.address.bytes(), sizeof ip);
    return os::make_ipv6(ip, e.port, e.address.scope());
  }
  std::uint8_t ip[4];
  std::memcpy(ip, e.address.bytes(), sizeof ip);
  return os::make_ipv4(ip, e.port);
}

result<endpoint> from_system(const os::socket_address& a) noexcept {
  const os::ip_endpoint raw = os::take_apart(a);
  switch (raw.family) {
    case os::address_family::ipv4:
      return endpoint{address::v4(raw.ip[0], raw.ip[1], raw.ip[2], raw.ip[3]), raw.port};
    case os::address_family::ipv6:
      return endpoint{address::v6(raw.ip, raw.scope), raw.port};
    case os::address_family::none:
    case os::address_family::other:
      break;
  }
  return std::unexpected(std::make_error_code(std::errc::address_family_not_supported));
}

}  // namespace weft::net
