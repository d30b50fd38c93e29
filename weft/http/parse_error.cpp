#include <weft/http/parse_error.hpp>

namespace weft::http {

status answer(parse_error e) noexcept {
  switch (e.code) {
    case parse_errc::unknown_method:
    case parse_errc::unknown_transfer_coding:
      return status::not_implemented;
    case parse_errc::target_too_long:
      return status::uri_too_long;
    case parse_errc::unsupported_version:
      return status::http_version_not_supported;
    case parse_errc::too_many_fields:
    case parse_errc::headers_too_large:
      return status::request_header_fields_too_large;
    case parse_errc::bad_expectation:
      return status::expectation_failed;
    case parse_errc::body_too_large:
      return status::content_too_large;
    default:
      return status::bad_request;
  }
}

std::string_view message(parse_error e) noexcept {
  switch (e.code) {
    case parse_errc::bad_request_line:
      return "the request line is malformed";
    case parse_errc::bad_method:
      return "the method is not a token";
    case parse_errc::unknown_method:
      return "the method is not known";
    case parse_errc::bad_target:
      return "the request target is malformed";
    case parse_errc::target_too_long:
      return "the request target is too long";
    case parse_errc::bad_version:
      return "the protocol version is malformed";
    case parse_errc::unsupported_version:
      return "only HTTP/1.0 and HTTP/1.1 are supported";
    case parse_errc::bad_line_ending:
      return "a line does not end in CR LF";
    case parse_errc::obs_fold:
      return "a field is continued on a second line";
    case parse_errc::bad_field:
      return "a header field is malformed";
    case parse_errc::too_many_fields:
      return "there are too many header fields";
    case parse_errc::headers_too_large:
      return "the header section is too large";
    case parse_errc::bad_host:
      return "the Host field is missing, repeated or malformed";
    case parse_errc::bad_content_length:
      return "Content-Length is not one decimal number";
    case parse_errc::length_conflict:
      return "the message states its length in two ways";
    case parse_errc::bad_transfer_coding:
      return "Transfer-Encoding is malformed";
    case parse_errc::unknown_transfer_coding:
      return "the transfer coding is not supported";
    case parse_errc::bad_expectation:
      return "the expectation is not supported";
    case parse_errc::body_too_large:
      return "the body is too large";
    case parse_errc::bad_chunk:
      return "the chunked body is malformed";
    case parse_errc::chunk_extensions_too_large:
      return "the chunk extensions are too large";
    case parse_errc::bad_trailer:
      return "the trailer section is malformed";
    case parse_errc::truncated:
      return "the connection ended inside a request";
  }
  return "unknown error";
}

}  // namespace weft::http
