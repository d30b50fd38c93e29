#include <weft/http/parser.hpp>

#include <weft/base/config.hpp>
#include <weft/http/syntax.hpp>

#include <llhttp/llhttp.h>

#include <algorithm>
#include <bit>
#include <cstring>

#if !LLHTTP_STRICT_MODE
#error "weft/http needs llhttp in strict mode: use the target `llhttp` of cmake/llhttp.cmake"
#endif

// How the work is divided. This file collects the head line by line, so that every limit and every
// line ending is checked at the byte where it is broken; llhttp then parses the whole head once,
// from memory that does not move. It therefore needs no state between feeds, and what was fed in
// how many pieces cannot matter to it. Bodies are framed here and in chunk_decoder.
//
// H1  The head so far is whole lines before line_at_; each of them ended in CR LF.
// H2  the first empty line after the request line is the end of the head, for us and for llhttp
//     alike: end_of_head() refuses a head in which llhttp stopped at another byte.
// H3  The head so far is in head_; only while feed() runs, and if nothing of it came before, it is looked at
//     where it lies. What is left of it then is copied, so that most heads, which come whole, never are.

namespace weft::http {
namespace {

constexpr std::size_t version_bytes = 8;  // "HTTP/1.1"

std::string_view text_of(std::span<const char> bytes) noexcept {
  return {bytes.data(), bytes.size()};
}

// The first CR or LF, or `end`. Most lines are short: cheaper than two calls for each.
const char* find_cr_or_lf(const char* at, const char* end) noexcept {
  constexpr std::uint64_t ones = 0x0101010101010101;
  for (; end - at >= 8; at += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, at, sizeof eight);
    if constexpr (std::endian::native == std::endian::big) eight = std::byteswap(eight);
    // A bit of each that is less than 0x0e, as these are; and perhaps of some behind such a one.
    std::uint64_t may_be = (eight - ones * 0x0e) & ~eight & ones * 0x80;
    for (; may_be != 0; may_be &= may_be - 1) {
      const char* const found = at + std::countr_zero(may_be) / 8;
      if (*found == '\r' || *found == '\n') return found;
    }
  }
  for (; at != end; ++at) {
    if (*at == '\r' || *at == '\n') return at;
  }
  return end;
}

/// As assign(), for a short text in line.
void put(std::string& to, std::string_view text) {
  to.resize_and_overwrite(text.size(), [text](char* at, std::size_t) noexcept {
    std::memcpy(at, text.data(), text.size());
    return text.size();
  });
}

parse_errc error_of(llhttp_errno_t code) noexcept {
  switch (code) {
    case HPE_INVALID_METHOD:
      return parse_errc::unknown_method;
    case HPE_INVALID_URL:
      return parse_errc::bad_target;
    case HPE_INVALID_VERSION:
    case HPE_INVALID_CONSTANT:
      return parse_errc::bad_version;
    case HPE_LF_EXPECTED:
    case HPE_CR_EXPECTED:
      return parse_errc::bad_line_ending;
    case HPE_UNEXPECTED_CONTENT_LENGTH:
      return parse_errc::length_conflict;
    case HPE_INVALID_CONTENT_LENGTH:
      return parse_errc::bad_content_length;
    case HPE_INVALID_TRANSFER_ENCODING:
      return parse_errc::bad_transfer_coding;
    default:
      return parse_errc::bad_field;
  }
}

// Some Transfer-Encoding is not exactly "chunked": is it nonsense (400), or a coding we lack (501)?
// Reads the lines and not the stored fields, for llhttp may have stopped before the last of them.
parse_errc judge_transfer_coding(std::string_view fields) noexcept {
  bool chunked_seen = false;
  bool unknown_seen = false;
  while (!fields.empty()) {
    const std::size_t end = fields.find("\r\n");
    const std::string_view line = fields.substr(0, end);
    fields.remove_prefix(end == std::string_view::npos ? fields.size() : end + 2);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    if (equals_ignore_case(line.substr(0, colon), "content-length"))
      return parse_errc::length_conflict;
    if (!equals_ignore_case(line.substr(0, colon), "transfer-encoding")) continue;
    std::string_view rest = line.substr(colon + 1);
    std::string_view item;
    while (next_list_item(rest, item)) {
      // Anything behind chunked, a second chunked too, is a framing error, no missing feature.
      if (chunked_seen) return parse_errc::bad_transfer_coding;
      if (equals_ignore_case(item, "chunked")) {
        chunked_seen = true;
      } else if (is_token(trim(item.substr(0, item.find(';'))))) {
        unknown_seen = true;
      } else {
        return parse_errc::bad_transfer_coding;
      }
    }
  }
  return unknown_seen ? parse_errc::unknown_transfer_coding : parse_errc::bad_transfer_coding;
}

}  // namespace

// What llhttp reports while it parses one head.
struct request_parser::head_sink {
  headers* out = nullptr;
  std::string_view name;
  std::string_view value;

  static head_sink& of(llhttp_t* parser) noexcept { return *static_cast<head_sink*>(parser->data); }

  // llhttp has checked the bytes of both (the fuzzer asserts it), so this need not again.
  void store() {
    out->append(name, trim(value));
    value = {};
  }
};

std::expected<std::size_t, parse_error> request_parser::feed(std::span<const char> bytes) {
  switch (stage_) {
    case parse_stage::failed:
      return std::unexpected(error_);
    case parse_stage::complete:
      return 0;
    case parse_stage::body:
      return feed_body(bytes);
    case parse_stage::idle:
    case parse_stage::head:
      break;
  }
  return feed_head(bytes);
}

std::expected<void, parse_error> request_parser::finish() {
  if (stage_ == parse_stage::failed) return std::unexpected(error_);
  if (stage_ == parse_stage::head || stage_ == parse_stage::body)
    return fail(parse_errc::truncated);
  return {};
}

request request_parser::take() {
  request out = std::exchange(message_, {});
  next();
  return out;
}

void request_parser::next() noexcept {
  stage_ = parse_stage::idle;
  message_.clear();
  head_.clear();
  line_at_ = fields_at_ = fields_ = blank_lines_ = 0;
  body_room_ = body_left_ = 0;
  body_begun_ = false;
  chunks_.reset();
}

std::unexpected<parse_error> request_parser::fail(parse_errc code) noexcept {
  stage_ = parse_stage::failed;
  error_ = {code};
  return std::unexpected(error_);
}

// -- the head ---------------------------------------------------------------------------------

// What the head so far may have. One byte more may be taken: it is the byte that proves the limit broken.
std::size_t request_parser::head_bytes_max() const noexcept {
  return fields_at_ == 0 ? limit_.method_bytes + 1 + limit_.url_bytes + 1 + version_bytes + 2
                         : fields_at_ + limit_.header_bytes;
}

// `text` is the last line of `head`, without its end.
WEFT_ALWAYS_INLINE std::optional<parse_errc> request_parser::end_of_line(std::string_view head,
                                                                         std::string_view text) {
  if (fields_at_ == 0) {
    if (!text.empty()) {
      if (const auto error = end_of_request_line(text)) return error;
      fields_at_ = head.size();
      return std::nullopt;
    }
    if (++blank_lines_ > leading_blank_lines_max) return parse_errc::bad_request_line;
    head_.clear();
    line_at_ = 0;
    return std::nullopt;
  }

  if (text.empty()) return end_of_head(head);
  if (text.front() == ' ' || text.front() == '\t') return parse_errc::obs_fold;
  if (text.front() == ':') return parse_errc::bad_field;  // llhttp takes an empty name
  if (++fields_ > limit_.header_fields) return parse_errc::too_many_fields;
  return std::nullopt;
}

std::expected<std::size_t, parse_error> request_parser::feed_head(std::span<const char> bytes) {
  const std::string_view in = text_of(bytes);
  return head_.empty() ? feed_whole_lines(in) : feed_collecting(in);
}

// Nothing of the head came before: see H3.
std::expected<std::size_t, parse_error> request_parser::feed_whole_lines(std::string_view in) {
  const char* begin = in.data();  // of the head
  const char* line = begin;
  const char* const end = begin + in.size();
  while (line != end) {
    const std::size_t cap = head_bytes_max();
    const std::size_t room = cap + 1 - static_cast<std::size_t>(line - begin);
    const char* const window_end = static_cast<std::size_t>(end - line) > room ? line + room : end;
    const char* const stop = find_cr_or_lf(line, window_end);
    const bool good = window_end - stop >= 2 && stop[0] == '\r' && stop[1] == '\n';
    // Else a CR or LF stands alone, which is said when the line is whole; or the rest has not come.
    const char* const lf = good ? stop + 1
                                : static_cast<const char*>(std::memchr(
                                      stop, '\n', static_cast<std::size_t>(window_end - stop)));
    const char* const next = lf != nullptr ? lf + 1 : window_end;
    const std::string_view head(begin, next);
    if (head.size() > cap) return fail(*over_limit(head));
    if (stage_ == parse_stage::idle && *begin != '\r' && *begin != '\n') stage_ = parse_stage::head;
    line_at_ = static_cast<std::size_t>(line - begin);
    line = next;
    if (lf == nullptr) break;
    if (!good) return fail(parse_errc::bad_line_ending);
    const std::string_view text(begin + line_at_, stop);
    line_at_ = head.size();
    if (const auto error = end_of_line(head, text)) return fail(*error);
    if (stage_ == parse_stage::body || stage_ == parse_stage::complete) {
      return static_cast<std::size_t>(line - in.data());
    }
    if (line_at_ == 0) begin = line;  // it was empty, and is forgotten
  }
  head_.assign(begin, static_cast<std::size_t>(end - begin));
  return in.size();
}

std::expected<std::size_t, parse_error> request_parser::feed_collecting(std::string_view in) {
  std::size_t at = 0;
  while (at < in.size()) {
    const std::size_t cap = head_bytes_max();
    const std::string_view window = in.substr(at, cap + 1 - head_.size());
    const std::size_t newline = window.find('\n');
    const std::size_t count = newline == std::string_view::npos ? window.size() : newline + 1;
    head_.append(window.substr(0, count));
    at += count;
    if (head_.size() > cap) return fail(*over_limit(head_));
    if (stage_ == parse_stage::idle && head_[0] != '\r' && head_[0] != '\n')
      stage_ = parse_stage::head;
    if (newline == std::string_view::npos) break;

    const std::string_view line =
        std::string_view(head_).substr(std::exchange(line_at_, head_.size()));
    // The first CR has to be the one before LF, so that no reader can see two lines in it.
    if (line.size() < 2 || line.find('\r') != line.size() - 2) {
      return fail(parse_errc::bad_line_ending);
    }
    if (const auto error = end_of_line(head_, line.substr(0, line.size() - 2))) {
      return fail(*error);
    }
    if (stage_ == parse_stage::body || stage_ == parse_stage::complete) break;
  }
  return at;
}

// Checked before the fields arrive, so that a client of another protocol hears at once.
std::optional<parse_errc> request_parser::end_of_request_line(std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::string_view name = line.substr(0, first);
  const method known = parse_method(name);
  if (name.size() > limit_.method_bytes || (known == method::other && !is_token(name))) {
    return parse_errc::bad_method;
  }
  if (first == std::string_view::npos) return parse_errc::bad_request_line;
  const std::size_t second = line.find(' ', first + 1);
  const std::string_view target =
      line.substr(first + 1, second == std::string_view::npos ? second : second - first - 1);
  if (target.size() > limit_.url_bytes) return parse_errc::target_too_long;
  if (second == std::string_view::npos) return parse_errc::bad_request_line;  // HTTP/0.9

  const std::string_view version = line.substr(second + 1);
  if (version.size() != version_bytes || !version.starts_with("HTTP/") || !is_digit(version[5]) ||
      version[6] != '.' || !is_digit(version[7])) {
    return parse_errc::bad_version;
  }
  if (version[5] != '1' || version[7] > '1') return parse_errc::unsupported_version;

  message_.version = version[7] == '1' ? http_version::http_1_1 : http_version::http_1_0;
  put(message_.method_name, name);
  message_.method = known;
  put(message_.target, target);
  const auto parts = parse_target(message_.method, message_.target);
  if (!parts) return parse_errc::bad_target;
  const char* base = message_.target.data();
  message_.form = parts->form;
  if (!parts->authority.empty()) {
    message_.authority_at_ = static_cast<std::size_t>(parts->authority.data() - base);
    message_.authority_size_ = parts->authority.size();
  }
  const std::size_t after = message_.authority_at_ + message_.authority_size_;
  message_.root_path_ =
      parts->form == target_form::absolute && (after == target.size() || target[after] == '?');
  if (!parts->path.empty() && !message_.root_path_) {
    message_.path_at_ = static_cast<std::size_t>(parts->path.data() - base);
    message_.path_size_ = parts->path.size();
  }
  if (!parts->query.empty()) {
    message_.query_at_ = static_cast<std::size_t>(parts->query.data() - base);
    message_.query_size_ = parts->query.size();
  }
  return std::nullopt;
}

// Which limit the byte after `cap` has broken.
std::optional<parse_errc> request_parser::over_limit(std::string_view head) const noexcept {
  if (fields_at_ != 0) return parse_errc::headers_too_large;
  const std::size_t space = head.substr(0, limit_.method_bytes + 1).find(' ');
  return space == std::string_view::npos ? parse_errc::bad_method : parse_errc::target_too_long;
}

std::optional<parse_errc> request_parser::end_of_head(std::string_view head) {
  if (const auto error = parse_fields(head)) return error;
  if (const auto error = check_fields(head)) return error;

  head_.clear();
  body_room_ = limit_.body_bytes;
  body_left_ = message_.content_length.value_or(0);
  stage_ = message_.chunked || body_left_ != 0 ? parse_stage::body : parse_stage::complete;
  return std::nullopt;
}

std::optional<parse_errc> request_parser::parse_fields(std::string_view head) {
  static const llhttp_settings_t settings = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    // Each span comes in one piece, because the head is fed in one piece. An empty name or value
    // still has its "complete" event, so fields are stored there.
    s.on_header_field = [](llhttp_t* p, const char* at, std::size_t size) {
      head_sink::of(p).name = {at, size};
      return 0;
    };
    s.on_header_value = [](llhttp_t* p, const char* at, std::size_t size) {
      head_sink::of(p).value = {at, size};
      return 0;
    };
    s.on_header_value_complete = [](llhttp_t* p) {
      head_sink::of(p).store();
      return 0;
    };
    // What follows is not llhttp's: bodies are framed by us.
    s.on_headers_complete = [](llhttp_t*) -> int { return HPE_PAUSED; };
    return s;
  }();

  head_sink sink;
  sink.out = &message_.headers;
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  parser.data = &sink;
  const llhttp_errno_t code = llhttp_execute(&parser, head.data(), head.size());
  if (code == HPE_INVALID_TRANSFER_ENCODING) {
    return judge_transfer_coding(head.substr(fields_at_));
  }
  if (code != HPE_PAUSED) return code == HPE_OK ? parse_errc::bad_field : error_of(code);
  // H2. And as many fields as lines.
  if (llhttp_get_error_pos(&parser) != head.data() + head.size()) return parse_errc::bad_field;
  if (message_.headers.size() != fields_) return parse_errc::bad_field;
  message_.chunked = (parser.flags & F_CHUNKED) != 0;
  if ((parser.flags & F_CONTENT_LENGTH) != 0) message_.content_length = parser.content_length;
  return std::nullopt;
}

// What a parser of single fields cannot see.
std::optional<parse_errc> request_parser::check_fields(std::string_view head) {
  const bool http_1_1 = message_.version == http_version::http_1_1;
  std::size_t hosts = 0, lengths = 0, codings = 0;
  bool close = false, keep = false;

  for (std::size_t i = 0; i < message_.headers.size(); ++i) {
    const auto [name, value] = message_.headers[i];
    switch (name.size()) {
      case std::string_view("host").size():
        if (!equals_ignore_case(name, "host")) break;
        if (++hosts > 1 || !is_valid_authority(value)) return parse_errc::bad_host;
        break;
      case std::string_view("expect").size():
        if (!equals_ignore_case(name, "expect") || !http_1_1) break;
        if (!equals_ignore_case(value, "100-continue")) return parse_errc::bad_expectation;
        message_.expects_continue = true;
        break;
      case std::string_view("connection").size(): {
        if (!equals_ignore_case(name, "connection")) break;
        std::string_view rest = value;
        std::string_view item;
        while (next_list_item(rest, item)) {
          close = close || equals_ignore_case(item, "close");
          keep = keep || equals_ignore_case(item, "keep-alive");
        }
        break;
      }
      case std::string_view("content-length").size(): {
        if (!equals_ignore_case(name, "content-length")) break;
        // llhttp has parsed it; this is the second opinion on the number that frames the stream.
        std::uint64_t length = 0;
        if (!parse_decimal(value, length)) return parse_errc::bad_content_length;
        if (++lengths > 1 || message_.content_length != length) return parse_errc::length_conflict;
        break;
      }
      case std::string_view("transfer-encoding").size():
        if (!equals_ignore_case(name, "transfer-encoding")) break;
        // llhttp judges the coding only after the head, where we have left it, and would let
        // "gzip, chunked" pass: we could not undo the gzip.
        if (++codings > 1 || !equals_ignore_case(value, "chunked")) {
          return judge_transfer_coding(head.substr(fields_at_));
        }
        break;
      default:
        break;
    }
  }

  if (http_1_1 && hosts == 0) return parse_errc::bad_host;
  if (lengths != 0 && codings != 0) return parse_errc::length_conflict;
  if ((lengths != 0) != message_.content_length.has_value()) return parse_errc::bad_content_length;
  if ((codings != 0) != message_.chunked) return parse_errc::bad_transfer_coding;
  // A 1.0 proxy in between does not know chunks and would forward them as the next request.
  if (codings != 0 && !http_1_1) return parse_errc::bad_transfer_coding;
  // A body of CONNECT has no meaning: its bytes could be taken for the tunnel's or for a request.
  if (message_.method == method::connect && (codings != 0 || lengths != 0)) {
    return parse_errc::length_conflict;
  }
  message_.keep_alive = !close && (http_1_1 || keep);
  if (!message_.chunked && message_.content_length.value_or(0) == 0)
    message_.expects_continue = false;
  return std::nullopt;
}

// -- the body ---------------------------------------------------------------------------------

std::expected<std::size_t, parse_error> request_parser::feed_body(std::span<const char> bytes) {
  if (message_.chunked) {
    const auto used = chunks_.feed(bytes, limit_, body_room_, message_.body);
    if (!used) return fail(used.error().code);
    if (chunks_.done()) stage_ = parse_stage::complete;
    return used;
  }
  // Not at the end of the head, so that set_body_limit() can come first.
  if (!body_begun_ && body_left_ > body_room_) return fail(parse_errc::body_too_large);
  body_begun_ = true;
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), body_left_));
  message_.body.append(bytes.data(), count);
  body_left_ -= count;
  if (body_left_ == 0) stage_ = parse_stage::complete;
  return count;
}

}  // namespace weft::http
