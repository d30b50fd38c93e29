// Promise: however a stream is cut, the same requests come out, or the same error; no request that
// comes out has a framing another program could read differently; and all limits hold.
#include <weft/http/parser.hpp>
#include <weft/http/syntax.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using namespace weft::http;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

// Small, so that a fuzzer reaches them.
constexpr limits small{.method_bytes = 8,
                       .url_bytes = 64,
                       .header_bytes = 512,
                       .header_fields = 10,
                       .body_bytes = 256,
                       .chunk_extension_bytes = 32,
                       .trailer_bytes = 64,
                       .trailer_fields = 3};

void check_request(const request& r, const limits& limit) {
  check(r.target.size() <= limit.url_bytes, "url limit");
  check(r.method_name.size() <= limit.method_bytes && is_token(r.method_name), "method");
  check(r.headers.size() <= limit.header_fields, "field limit");
  check(r.body.size() <= limit.body_bytes, "body limit");
  check(!(r.chunked && r.content_length), "two lengths");
  check(r.chunked || r.body.size() == r.content_length.value_or(0), "length is not the body's");
  check(r.headers.count("content-length") <= 1, "Content-Length twice");
  check(r.headers.count("transfer-encoding") == (r.chunked ? 1u : 0u), "Transfer-Encoding");
  check(r.headers.count("host") <= 1, "Host twice");
  if (r.version == http_version::http_1_1) {
    check(r.headers.count("host") == 1, "no Host");
    check(is_valid_authority(r.authority()), "authority");
  }
  for (std::size_t i = 0; i < r.headers.size(); ++i) {
    check(is_token(r.headers[i].name) && is_field_value(r.headers[i].value), "field syntax");
  }
  for (const char c : r.target) check(!is_control(c) && c != ' ', "target bytes");
  check(parse_target(r.method, r.target).has_value(), "target");
  if (r.form == target_form::origin || r.form == target_form::absolute) {
    check(r.path().starts_with('/'), "path");
  }
}

std::string run(std::string_view stream, std::size_t piece, const limits& limit) {
  request_parser parser(limit);
  std::string out;
  while (!stream.empty()) {
    std::string_view part = stream.substr(0, piece);
    while (!part.empty()) {
      const parse_stage before = parser.stage();
      const auto used = parser.feed(part);
      if (!used) {
        check(parser.feed(part) == used, "an error is final");
        return out + "error " + std::string(message(used.error()));
      }
      check(*used <= part.size(), "consumed more than it was given");
      check(*used != 0 || before != parser.stage(), "no progress");
      part.remove_prefix(*used);
      stream.remove_prefix(*used);
      if (parser.stage() != parse_stage::complete) continue;
      const request r = parser.take();
      check_request(r, limit);
      out += r.method_name + ' ' + r.target + (r.keep_alive ? '+' : '-') + (r.chunked ? 'c' : 'l');
      for (std::size_t i = 0; i < r.headers.size(); ++i) {
        out.append(r.headers[i].name).append("=").append(r.headers[i].value).append("\n");
      }
      out += r.body + '\n';
    }
  }
  return parser.finish() ? out : out + "truncated";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  const std::string_view stream(reinterpret_cast<const char*>(data), size);
  for (const limits& limit : {small, limits{}}) {
    const std::string whole = run(stream, std::string_view::npos, limit);
    check(run(stream, 1, limit) == whole, "one byte at a time is different");
    check(run(stream, 1 + size % 7, limit) == whole, "small pieces are different");
  }
  return 0;
}
