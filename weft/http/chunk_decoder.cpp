#include <weft/http/chunk_decoder.hpp>

#include <weft/http/syntax.hpp>

#include <algorithm>
#include <array>
#include <string_view>

namespace weft::http {
namespace {

std::unexpected<parse_error> fail(parse_errc code) { return std::unexpected(parse_error{code}); }

// Fields that say how to read the message, who it is for or who sent it. In a trailer they come
// after they have been acted upon, and a receiver that merges them would act differently
// (RFC 9110 section 6.5.1).
bool is_forbidden_trailer(std::string_view name) noexcept {
  constexpr std::array<std::string_view, 11> names = {
      "content-length", "transfer-encoding", "host",   "connection",  "trailer", "te", "expect",
      "authorization",  "content-encoding",  "cookie", "content-type"};
  return std::any_of(names.begin(), names.end(),
                     [&](std::string_view n) { return equals_ignore_case(n, name); });
}

}  // namespace

std::expected<std::size_t, parse_error> chunk_decoder::feed(std::span<const char> bytes,
                                                            const limits& limit,
                                                            std::uint64_t& body_room,
                                                            std::string& out) {
  std::size_t at = 0;
  while (at < bytes.size() && state_ != state::done) {
    const char c = bytes[at];
    switch (state_) {
      case state::size: {
        if (const int digit = hex_value(c); digit >= 0) {
          if (digits_ == chunk_size_digits_max) return fail(parse_errc::bad_chunk);
          ++digits_;
          left_ = left_ << 4 | static_cast<std::uint64_t>(digit);
        } else if (digits_ == 0) {
          return fail(parse_errc::bad_chunk);
        } else if (c == ';') {
          ++extension_bytes_;
          state_ = state::extension;
        } else if (c == '\r') {
          state_ = state::size_lf;
        } else {
          return fail(parse_errc::bad_chunk);  // "1 ", "0x1", "1\n"
        }
        ++at;
        break;
      }
      case state::extension: {
        // Extensions are ignored, so only two things matter: what ends the line, and how many
        // bytes a client can make us read for nothing.
        if (c == '\r') {
          state_ = state::size_lf;
        } else if (is_control(c) && c != '\t') {
          return fail(parse_errc::bad_chunk);
        } else {
          ++extension_bytes_;
        }
        if (extension_bytes_ > limit.chunk_extension_bytes) {
          return fail(parse_errc::chunk_extensions_too_large);
        }
        ++at;
        break;
      }
      case state::size_lf: {
        if (c != '\n') return fail(parse_errc::bad_chunk);
        ++at;
        if (const auto known = size_known(body_room); !known) return std::unexpected(known.error());
        break;
      }
      case state::data: {
        const std::uint64_t here = std::min<std::uint64_t>(left_, bytes.size() - at);
        const auto count = static_cast<std::size_t>(here);
        out.append(bytes.data() + at, count);
        at += count;
        left_ -= here;
        body_room -= here;
        if (left_ == 0) state_ = state::data_cr;
        break;
      }
      case state::data_cr: {
        if (c != '\r') return fail(parse_errc::bad_chunk);
        ++at;
        state_ = state::data_lf;
        break;
      }
      case state::data_lf: {
        if (c != '\n') return fail(parse_errc::bad_chunk);
        ++at;
        digits_ = 0;
        left_ = 0;
        state_ = state::size;
        break;
      }
      case state::trailer: {
        if (++trailer_bytes_ > limit.trailer_bytes) return fail(parse_errc::headers_too_large);
        line_.push_back(c);
        ++at;
        if (c == '\n') {
          if (const auto line = trailer_line(limit); !line) return std::unexpected(line.error());
        }
        break;
      }
      case state::done:
        break;
    }
  }
  return at;
}

void chunk_decoder::reset() noexcept {
  state_ = state::size;
  digits_ = 0;
  left_ = 0;
  extension_bytes_ = trailer_bytes_ = trailer_fields_ = 0;
  line_.clear();
}

std::expected<void, parse_error> chunk_decoder::size_known(std::uint64_t body_room) noexcept {
  if (left_ > body_room) return fail(parse_errc::body_too_large);
  state_ = left_ == 0 ? state::trailer : state::data;
  return {};
}

std::expected<void, parse_error> chunk_decoder::trailer_line(const limits& limit) {
  std::string_view line = line_;
  line.remove_suffix(1);
  if (line.empty() || line.back() != '\r') return fail(parse_errc::bad_line_ending);
  line.remove_suffix(1);
  if (line.empty()) {
    state_ = state::done;
    return {};
  }
  if (++trailer_fields_ > limit.trailer_fields) return fail(parse_errc::too_many_fields);
  if (line.front() == ' ' || line.front() == '\t') return fail(parse_errc::obs_fold);
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) ||
      !is_field_value(line.substr(colon + 1)) || is_forbidden_trailer(line.substr(0, colon))) {
    return fail(parse_errc::bad_trailer);
  }
  line_.clear();  // checked and dropped: no handler can act on a field that came too late
  return {};
}

}  // namespace weft::http
