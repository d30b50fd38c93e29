#include <weft/http/response.hpp>

#include <weft/base/assert.hpp>
#include <weft/http/date.hpp>
#include <weft/http/syntax.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <utility>

namespace weft::http {
namespace {

void append_decimal(std::string& out, std::uint64_t value) {
  std::array<char, 20> digits;
  std::size_t at = digits.size();
  do {
    digits[--at] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  out.append(digits.data() + at, digits.size() - at);
}

// Writes at the end of a string, where room was made: less than a call of append() for each piece.
class head_writer {
 public:
  explicit head_writer(char* at) noexcept : at_(at) {}
  [[nodiscard]] char* at() const noexcept { return at_; }

  // In line where the size is known, as of a literal's.
  WEFT_ALWAYS_INLINE void put(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void put_field(std::string_view name, std::string_view value) noexcept {
    put(name);
    put(": ");
    if (!value.empty()) put(value);
    put("\r\n");
  }
  void put_decimal(std::uint64_t value) noexcept {
    std::array<char, 20> digits;
    std::size_t at = digits.size();
    do {
      digits[--at] = static_cast<char>('0' + value % 10);
      value /= 10;
    } while (value != 0);
    for (; at != digits.size(); ++at) *at_++ = digits[at];
  }

 private:
  char* at_;
};

// The fields that write_head() has a say in. Most others differ from them in length already.
enum class known : unsigned char { other, date, connection, framing };

WEFT_ALWAYS_INLINE known which(std::string_view name) noexcept {
  switch (name.size()) {
    case 4:
      return equals_ignore_case(name, "date") ? known::date : known::other;
    case 10:
      return equals_ignore_case(name, "connection") ? known::connection : known::other;
    case 14:
      return equals_ignore_case(name, "content-length") ? known::framing : known::other;
    case 17:
      return equals_ignore_case(name, "transfer-encoding") ? known::framing : known::other;
    default:
      return known::other;
  }
}

// Of a head without its fields, the longest it can be: 12 of the version and code, the reason (at most 31),
// what is written here of Date, Content-Length or Transfer-Encoding, Connection, and the line ends.
constexpr std::size_t head_bytes_own = 192;

std::uint64_t length_of(const response& r) noexcept {
  switch (r.kind) {
    case body_kind::text:
      return r.text.size();
    case body_kind::file:
    case body_kind::kept:
      return r.file_bytes;
    case body_kind::empty:
    case body_kind::stream:
      break;
  }
  return 0;
}

}  // namespace

void response::set_text(http::status s, std::string_view type, std::string body) {
  status = s;
  kind = body_kind::text;
  text = std::move(body);
  if (!type.empty() && is_field_value(type)) headers.append("Content-Type", trim(type));
}

response response::with_text(http::status s, std::string_view type, std::string text) {
  response r;
  r.set_text(s, type, std::move(text));
  return r;
}

response response::with_status(http::status s) {
  if (never_has_body(s) || s == status::reset_content) {  // 205 announces its empty body
    response r;
    r.status = s;
    return r;
  }
  std::string text;
  append_decimal(text, code(s));
  text.append(" ").append(reason(s)).append("\n");
  return with_text(s, "text/plain; charset=utf-8", std::move(text));
}

namespace {

// The fields that a handler has set, as far as write_head() asks.
struct fields_seen {
  std::size_t bytes = 0;
  bool date = false, connection = false, framing = false;
};

fields_seen look_at(const headers& fields) noexcept {
  fields_seen seen;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const auto [name, value] = fields[i];
    seen.bytes += name.size() + value.size() + 4;
    const known field = which(name);
    if (WEFT_LIKELY(field == known::other)) continue;
    seen.date = seen.date || field == known::date;
    seen.connection = seen.connection || field == known::connection;
    seen.framing = seen.framing || field == known::framing;
  }
  return seen;
}

// Grown as append() grows it: to what is just needed, it would be copied each time.
WEFT_NOINLINE void grow(std::string& out, std::size_t size) {
  out.reserve(std::max(size, 2 * out.capacity()));
}

/// Appends what `write` puts into a head_writer, at most `bytes`.
template <class Write>
WEFT_ALWAYS_INLINE void append_written(std::string& out, std::size_t bytes, Write write) {
  const std::size_t before = out.size();
  if (WEFT_UNLIKELY(out.capacity() - before < bytes)) grow(out, before + bytes);
  out.resize_and_overwrite(before + bytes, [&](char* text, std::size_t) noexcept {
    head_writer head(text + before);
    write(head);
    const auto size = static_cast<std::size_t>(head.at() - text);
    WEFT_ASSERT(size <= before + bytes, "the head of a response is longer than was planned");
    return size;
  });
}

/// A version 1.1 response with nothing unusual about it. `fields`: as they are sent.
void write_usual_head(std::string& out, std::uint64_t length, std::string_view date,
                      std::string_view fields) {
  append_written(out, head_bytes_own + date_bytes + fields.size(), [&](head_writer& head) noexcept {
    head.put("HTTP/1.1 200 OK\r\nDate: ");
    head.put({date.data(), date_bytes});
    head.put("\r\nContent-Length: ");
    head.put_decimal(length);
    head.put("\r\n");
    head.put(fields);
    head.put("\r\n");
  });
}

}  // namespace

head_result write_head(std::string& out, const response& r, const head_options& options) {
  const bool http_1_1 = options.version == http_version::http_1_1;
  const bool bodiless = never_has_body(r.status);
  const bool stream = r.kind == body_kind::stream && !bodiless;
  const fields_seen seen = look_at(r.headers);
  const bool closes = seen.connection && r.headers.has_token("connection", "close");
  head_result result{options.keep_alive && !closes, stream && http_1_1,
                     !bodiless && !options.head_only && r.kind != body_kind::empty};
  // Only the end of the connection can end such a body.
  if (stream && !http_1_1) result.keep_alive = false;
  const auto lines = r.headers.lines();
  const bool as_they_are = lines && !seen.connection && !seen.framing;
  if (r.status == status::ok && http_1_1 && result.keep_alive && !stream && as_they_are &&
      !seen.date && options.date.size() == date_bytes) {
    write_usual_head(out, length_of(r), options.date, *lines);
    return result;
  }

  const bool upgrade = r.status == status::switching_protocols;
  // An interim response says nothing about the connection: the final one does.
  const bool interim = code(r.status) < 200 && !upgrade;
  const std::size_t bytes = head_bytes_own + options.date.size() + seen.bytes;
  append_written(out, bytes, [&](head_writer& head) noexcept {
    // Always 1.1, also to a 1.0 client: the version is the sender's own (RFC 9110 section 6.2).
    head.put("HTTP/1.1 ");
    head.put_decimal(code(r.status) % 1000);
    head.put(" ");
    head.put(reason(r.status));
    head.put("\r\n");
    if (!interim && !seen.date && !options.date.empty()) head.put_field("Date", options.date);
    if (result.chunked) {
      head.put_field("Transfer-Encoding", "chunked");
    } else if (!stream && code(r.status) >= 200 && r.status != status::no_content &&
               !(r.status == status::not_modified && r.kind == body_kind::empty)) {
      // 304 may state the length of the body it stands for, but not 0 because it has none itself.
      head.put("Content-Length: ");
      head.put_decimal(length_of(r));
      head.put("\r\n");
    }
    if (upgrade) {
      head.put_field("Connection", "upgrade");
    } else if (!interim && !result.keep_alive) {
      head.put_field("Connection", "close");
    } else if (!interim && !http_1_1) {
      head.put_field("Connection", "keep-alive");  // 1.0 closes unless told
    }
    for (std::size_t i = 0; i < r.headers.size(); ++i) {
      const auto [name, value] = r.headers[i];
      const known field = which(name);
      if (field != known::framing && field != known::connection) head.put_field(name, value);
    }
    head.put("\r\n");
  });
  return result;
}

void write_chunk_head(std::string& out, std::uint64_t bytes) {
  if (bytes == 0) return;
  std::array<char, 16> digits;
  std::size_t at = digits.size();
  for (; bytes != 0; bytes >>= 4) digits[--at] = "0123456789abcdef"[bytes & 15];
  out.append(digits.data() + at, digits.size() - at).append("\r\n");
}

}  // namespace weft::http
