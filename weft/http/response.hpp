// What a handler answers, and how its head is written.
#pragma once

#include <weft/http/headers.hpp>
#include <weft/http/request.hpp>
#include <weft/http/status.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace weft::fs {
class file;
}

namespace weft::http {

enum class body_kind : std::uint8_t {
  empty,
  text,    ///< response::text
  file,    ///< `file_bytes` bytes of `file` from `file_at`
  kept,    ///< `file_bytes` bytes of `kept` from `file_at`
  stream,  ///< length not known: chunked in 1.1, up to the end of the connection in 1.0. For
           ///< write_head(); http::server has no source for it and answers 500
};

struct response {
  http::status status = http::status::ok;
  http::headers headers;
  body_kind kind = body_kind::empty;
  std::string text;
  std::shared_ptr<const fs::file> file;     ///< open; not needed where only the head is sent
  std::shared_ptr<const std::string> kept;  ///< a text that others send, too: it is not copied
  std::uint64_t file_at = 0;                ///< bytes
  std::uint64_t file_bytes = 0;             ///< bytes

  /// With a text body and its Content-Type; "" sends no type.
  [[nodiscard]] static response with_text(http::status s, std::string_view type, std::string text);
  /// Of one that is as new: makes it what with_text() gives.
  void set_text(http::status s, std::string_view type, std::string body);

  /// A short plain-text page saying the code and its phrase; empty where no body is allowed.
  [[nodiscard]] static response with_status(http::status s);
};

struct head_options {
  http_version version = http_version::http_1_1;  ///< the request's
  bool keep_alive = true;      ///< what the server wants; write_head() may have to decide otherwise
  bool head_only = false;      ///< the request was HEAD: the head as for GET, no body after it
  std::string_view date = {};  ///< from date_cache; "" writes no Date
};

struct head_result {
  bool keep_alive;  ///< false: close the connection after this response
  bool chunked;     ///< the body goes out in chunks (write_chunk_head, last_chunk)
  bool has_body;    ///< body bytes follow the head
};

/// Appends the head of `r`, with its empty line, to `out`.
///
/// The framing is written here and only here: Content-Length, Transfer-Encoding and Connection that
/// a handler has set are not sent ("Connection: close" is obeyed, "upgrade" is kept for 101), so a
/// response can never announce another length than the one it has.
head_result write_head(std::string& out, const response& r, const head_options& options);

/// The bytes before a chunk of `bytes` bytes; after the chunk comes "\r\n". Never for 0 bytes,
/// which would end the body: nothing is then written.
void write_chunk_head(std::string& out, std::uint64_t bytes);

/// Ends a chunked body.
inline constexpr std::string_view last_chunk = "0\r\n\r\n";

/// What "Expect: 100-continue" waits for.
inline constexpr std::string_view continue_head = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace weft::http
