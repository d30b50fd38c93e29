// Turns a byte stream into HTTP/1 requests, one after the other, without I/O.
//
//   request_parser parser;
//   while (bytes are left or can be read) {
//     const auto used = parser.feed(bytes);
//     if (!used) -> answer(used.error()) and close
//     bytes = bytes.subspan(*used);
//     if (parser.stage() == parse_stage::complete) { handle(parser.message()); parser.next(); }
//   }
//
// Protocol: feed() stops after the head of a request that has a body, and after the last byte of
//   a request. What it did not consume is the caller's: the next pipelined request, or another
//   protocol after an upgrade. The result never depends on how the stream was cut into pieces.
// Strictness: there is no lenient mode. Refused are Content-Length with Transfer-Encoding, a second
//   Content-Length even if equal, folded fields, a bare CR or LF anywhere in the framing, white
//   space around the field name, signs and spaces in numbers, and a Host that is missing (1.1),
//   repeated or malformed. Every one of them is read differently by some other program, and that
//   difference is what request smuggling is made of.
// Memory: at most limits::url_bytes + header_bytes + what the body was allowed; a line that exceeds
//   its limit is refused at that byte and not stored further.
// Threads: none. One parser a connection.
#pragma once

#include <weft/http/chunk_decoder.hpp>
#include <weft/http/limits.hpp>
#include <weft/http/parse_error.hpp>
#include <weft/http/request.hpp>

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace weft::http {

enum class parse_stage : std::uint8_t {
  idle,      ///< no byte of the next request has come (empty lines do not count)
  head,      ///< inside the request line or the fields
  body,      ///< message() is there except for its body
  complete,  ///< message() is whole; next() or take() goes on
  failed,    ///< the stream cannot be trusted any more
};

class request_parser {
 public:
  explicit request_parser(const limits& limit = {}) : limit_(limit) {}

  /// Consumes a prefix of `bytes`. In stage complete it consumes nothing.
  /// Result: bytes consumed. Once failed, the same error again.
  [[nodiscard]] std::expected<std::size_t, parse_error> feed(std::span<const char> bytes);

  /// The stream ended. Result: an error (`truncated`) unless it ended between two requests.
  [[nodiscard]] std::expected<void, parse_error> finish();

  [[nodiscard]] parse_stage stage() const noexcept { return stage_; }

  /// The request so far; fields and target are there from stage body on.
  [[nodiscard]] const request& message() const noexcept { return message_; }

  /// The body bytes that have arrived since the last call: how a handler streams a large body.
  [[nodiscard]] std::string take_body() { return std::exchange(message_.body, {}); }

  /// In stage body, before the first byte of it is fed: this request's own limit.
  void set_body_limit(std::uint64_t bytes) noexcept { body_room_ = bytes; }

  /// Stage complete: hands the request over and waits for the next.
  [[nodiscard]] request take();

  /// Nothing has come since the last request, not even an empty line: as good as a new parser.
  [[nodiscard]] bool untouched() const noexcept {
    return stage_ == parse_stage::idle && head_.empty() && blank_lines_ == 0;
  }
  /// What it has allocated, used or not; bytes.
  [[nodiscard]] std::size_t kept_bytes() const noexcept {
    return head_.capacity() + message_.method_name.capacity() + message_.target.capacity() +
           message_.body.capacity() + message_.headers.kept_bytes() + chunks_.kept_bytes();
  }

  /// Stage complete: drops the request, keeps its memory, waits for the next.
  void next() noexcept;

 private:
  struct head_sink;

  std::unexpected<parse_error> fail(parse_errc code) noexcept;
  std::expected<std::size_t, parse_error> feed_head(std::span<const char> bytes);
  std::expected<std::size_t, parse_error> feed_body(std::span<const char> bytes);
  std::expected<std::size_t, parse_error> feed_whole_lines(std::string_view in);
  std::expected<std::size_t, parse_error> feed_collecting(std::string_view in);
  std::size_t head_bytes_max() const noexcept;
  std::optional<parse_errc> end_of_line(std::string_view head, std::string_view text);
  std::optional<parse_errc> end_of_request_line(std::string_view line);
  std::optional<parse_errc> over_limit(std::string_view head) const noexcept;
  std::optional<parse_errc> end_of_head(std::string_view head);
  std::optional<parse_errc> parse_fields(std::string_view head);
  std::optional<parse_errc> check_fields(std::string_view head);

  limits limit_;
  parse_stage stage_ = parse_stage::idle;
  parse_error error_{};
  request message_;
  std::string head_;           // request line and fields, CRLFs included, while they are collected
  std::size_t line_at_ = 0;    // where the unfinished line begins in head_
  std::size_t fields_at_ = 0;  // where the field lines begin; 0: still in the request line
  std::size_t fields_ = 0;
  std::size_t blank_lines_ = 0;
  std::uint64_t body_room_ = 0;  // body bytes that may still come
  std::uint64_t body_left_ = 0;  // of a body with Content-Length
  bool body_begun_ = false;
  chunk_decoder chunks_;
};

}  // namespace weft::http
