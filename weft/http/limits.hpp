// What one request may cost before it is refused. The defaults are the ones documented for the
// server; each is enforced while bytes arrive, never after they have been stored.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weft::http {

struct limits {
  std::size_t method_bytes = 32;                  ///< longer: 400
  std::size_t url_bytes = 8 * 1024;               ///< request target; longer: 414
  std::size_t header_bytes = 64 * 1024;           ///< all field lines with their CRLFs; more: 431
  std::size_t header_fields = 100;                ///< more: 431
  std::uint64_t body_bytes = 1024 * 1024;         ///< after chunk decoding; more: 413
  std::size_t chunk_extension_bytes = 16 * 1024;  ///< summed over the message; more: 400
  std::size_t trailer_bytes = 16 * 1024;          ///< all trailer lines; more: 431
  std::size_t trailer_fields = 100;               ///< more: 431
};

/// Empty lines passed over before a request line (RFC 9112 section 2.2 asks for at least one; old
/// clients send one after a POST body). More of them is someone keeping a connection busy: 400.
inline constexpr std::size_t leading_blank_lines_max = 4;

/// Digits of a chunk size, leading zeros counted: what 64 bits need.
inline constexpr std::size_t chunk_size_digits_max = 16;

}  // namespace weft::http
