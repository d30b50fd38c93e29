#include <weft/http/response.hpp>

#include <weft/http/syntax.hpp>

#include <array>
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

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

std::uint64_t length_of(const response& r) noexcept {
  switch (r.kind) {
    case body_kind::text:
      return r.text.size();
    case body_kind::file:
      return r.file_bytes;
    case body_kind::empty:
    case body_kind::stream:
      break;
  }
  return 0;
}

}  // namespace

response response::with_text(http::status s, std::string_view type, std::string text) {
  response r;
  r.status = s;
  r.kind = body_kind::text;
  r.text = std::move(text);
  if (!type.empty()) r.headers.set("Content-Type", type);
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

head_result write_head(std::string& out, const response& r, const head_options& options) {
  const bool http_1_1 = options.version == http_version::http_1_1;
  const bool bodiless = never_has_body(r.status);
  const bool stream = r.kind == body_kind::stream && !bodiless;
  head_result result{options.keep_alive && !r.headers.has_token("connection", "close"),
                     stream && http_1_1,
                     !bodiless && !options.head_only && r.kind != body_kind::empty};
  // Only the end of the connection can end such a body.
  if (stream && !http_1_1) result.keep_alive = false;
  const bool upgrade = r.status == status::switching_protocols;
  // An interim response says nothing about the connection: the final one does.
  const bool interim = code(r.status) < 200 && !upgrade;

  // Always 1.1, also to a 1.0 client: the version is the sender's own (RFC 9110 section 6.2).
  out.append("HTTP/1.1 ");
  append_decimal(out, code(r.status) % 1000);
  out.append(" ").append(reason(r.status)).append("\r\n");

  if (!interim && !options.date.empty() && !r.headers.contains("date")) {
    append_field(out, "Date", options.date);
  }
  if (result.chunked) {
    append_field(out, "Transfer-Encoding", "chunked");
  } else if (!stream && code(r.status) >= 200 && r.status != status::no_content &&
             !(r.status == status::not_modified && r.kind == body_kind::empty)) {
    // 304 may state the length of the body it stands for, but not 0 because it has none itself.
    out.append("Content-Length: ");
    append_decimal(out, length_of(r));
    out.append("\r\n");
  }
  if (upgrade) {
    append_field(out, "Connection", "upgrade");
  } else if (!interim && !result.keep_alive) {
    append_field(out, "Connection", "close");
  } else if (!interim && !http_1_1) {
    append_field(out, "Connection", "keep-alive");  // 1.0 closes unless told
  }
  for (std::size_t i = 0; i < r.headers.size(); ++i) {
    const auto [name, value] = r.headers[i];
    if (equals_ignore_case(name, "content-length") ||
        equals_ignore_case(name, "transfer-encoding") || equals_ignore_case(name, "connection")) {
      continue;
    }
    append_field(out, name, value);
  }
  out.append("\r\n");
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
