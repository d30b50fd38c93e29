// Promise: a range lies inside the file; a date that is read is written back as the same time; and
// no field value makes a conditional request do anything but pass, match or fail. Input: 8 bytes of
// file size, then the field's value.
#include <weft/http/conditional.hpp>
#include <weft/http/date.hpp>
#include <weft/http/range.hpp>
#include <weft/http/syntax.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

using namespace weft::http;

void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

void check_range(std::string_view value, std::uint64_t size) {
  const byte_range range = parse_range(value, size);
  if (range.kind != range_kind::part) return;
  check(size != 0 && range.count != 0, "empty part");
  check(range.first < size && range.count <= size - range.first, "part outside the file");
  // The canonical form of a part is read as that part.
  const std::string again =
      "bytes=" + std::to_string(range.first) + '-' + std::to_string(range.first + range.count - 1);
  const byte_range second = parse_range(again, size);
  check(
      second.kind == range_kind::part && second.first == range.first && second.count == range.count,
      "canonical form");
}

void check_date(std::string_view value) {
  const auto date = parse_date(value);
  if (!date) return;
  std::array<char, date_bytes> text;
  format_date(*date, text);
  // A leap second at the very end of year 9999 has no next second to be written as.
  if (*date <= 253'402'300'799) {
    check(parse_date({text.data(), text.size()}) == date, "date round trip");
  }
}

void check_conditional(std::string_view value) {
  for (const char* name :
       {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"}) {
    headers fields;
    if (!fields.add(name, value)) {
      check(!is_field_value(value), "a valid value was refused");
      return;
    }
    check(is_field_value(value), "a bad value was stored");
    const std::string etag = entity_tag({1, 2, 3});
    const precondition read = evaluate(method::get, fields, etag, 784111777);
    const precondition write = evaluate(method::put, fields, etag, 784111777);
    check(write != precondition::not_modified, "304 for PUT");
    check(read != precondition::not_modified || std::strcmp(name, "if-match") != 0,
          "304 for If-Match");
    if (range_applies(fields, etag, 784111777) && std::strcmp(name, "if-range") == 0) {
      check(trim(value) == etag || parse_date(trim(value)) == 784111777, "If-Range");
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  std::uint64_t file_size = 0;
  if (size < sizeof file_size) return 0;
  std::memcpy(&file_size, data, sizeof file_size);
  const std::string_view value(reinterpret_cast<const char*>(data) + sizeof file_size,
                               size - sizeof file_size);
  check_range(value, file_size);
  check_range(value, file_size % 1000);
  check_date(value);
  check_conditional(value);
  return 0;
}
