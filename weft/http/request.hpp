// One parsed request: plain data that owns its bytes.
#pragma once

#include <weft/http/headers.hpp>
#include <weft/http/method.hpp>
#include <weft/http/target.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weft::http {

enum class http_version : std::uint8_t { http_1_0, http_1_1 };

class request {
 public:
  http::method method = method::get;
  http_version version = http_version::http_1_1;
  target_form form = target_form::origin;
  std::string method_name;  ///< as sent, also when `method` is `other`
  std::string target;       ///< as sent: nothing decoded
  http::headers headers;
  std::string body;  ///< decoded bytes that have arrived and were not taken

  bool keep_alive = true;         ///< the client allows another request on this connection
  bool expects_continue = false;  ///< sent "Expect: 100-continue" and waits before its body
  bool chunked = false;           ///< the body's length is not known in advance
  std::optional<std::uint64_t> content_length;  ///< as stated, bytes; never together with chunked

  /// Still percent-encoded. "" in authority and asterisk form.
  [[nodiscard]] std::string_view path() const noexcept {
    return root_path_ ? std::string_view("/") : slice(path_at_, path_size_);
  }
  /// After the first '?', still percent-encoded.
  [[nodiscard]] std::string_view query() const noexcept { return slice(query_at_, query_size_); }
  /// Host and port: of an absolute target, else of the Host field (RFC 9112 section 3.2.2: the
  /// target wins). "" only for HTTP/1.0 without either.
  [[nodiscard]] std::string_view authority() const noexcept;

  /// As new, with its memory kept for the next request.
  void clear() noexcept;

 private:
  friend class request_parser;

  // Offsets into `target`, not views: a request is moved, and a short string's bytes move with it.
  [[nodiscard]] std::string_view slice(std::size_t at, std::size_t size) const noexcept;

  std::size_t path_at_ = 0, path_size_ = 0;
  std::size_t query_at_ = 0, query_size_ = 0;
  std::size_t authority_at_ = 0, authority_size_ = 0;
  bool root_path_ = false;  // "http://host" has no path of its own; it means "/"
};

}  // namespace weft::http
