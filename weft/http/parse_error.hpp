// Why a request was refused, and the status that answers it.
#pragma once

#include <weft/http/status.hpp>

#include <cstdint>
#include <string_view>

namespace weft::http {

enum class parse_errc : std::uint8_t {
  bad_request_line,
  bad_method,
  unknown_method,
  bad_target,
  target_too_long,
  bad_version,
  unsupported_version,
  bad_line_ending,
  obs_fold,
  bad_field,
  too_many_fields,
  headers_too_large,
  bad_host,
  bad_content_length,
  length_conflict,
  bad_transfer_coding,
  unknown_transfer_coding,
  bad_expectation,
  body_too_large,
  bad_chunk,
  chunk_extensions_too_large,
  bad_trailer,
  truncated,
};

struct parse_error {
  parse_errc code;
  friend bool operator==(parse_error, parse_error) = default;
};

/// The status to answer with. After any of them the connection has to be closed: where the next
/// request would begin is not known.
[[nodiscard]] status answer(parse_error e) noexcept;

/// One English sentence without a full stop, for logs. Never quotes the request.
[[nodiscard]] std::string_view message(parse_error e) noexcept;

}  // namespace weft::http
