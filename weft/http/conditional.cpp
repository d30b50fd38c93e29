#include <weft/http/conditional.hpp>

#include <weft/http/date.hpp>
#include <weft/http/syntax.hpp>

#include <array>

namespace weft::http {
namespace {

void append_hex(std::string& out, std::uint64_t value) {
  std::array<char, 16> digits;
  std::size_t at = digits.size();
  do {
    digits[--at] = "0123456789abcdef"[value & 15];
    value >>= 4;
  } while (value != 0);
  out.append(digits.data() + at, digits.size() - at);
}

// Weak comparison takes W/"x" for "x"; strong comparison lets a weak tag match nothing.
enum class comparison { weak, strong };

// Takes the next entity tag off a list. A tag may contain commas, so this cannot split on them.
// Result: false at the end and at the first malformed element.
bool next_tag(std::string_view& rest, std::string_view& tag, bool& weak) noexcept {
  while (!rest.empty() && (rest.front() == ',' || rest.front() == ' ' || rest.front() == '\t')) {
    rest.remove_prefix(1);
  }
  weak = rest.starts_with("W/");
  if (weak) rest.remove_prefix(2);
  if (rest.empty() || rest.front() != '"') return false;
  const std::size_t end = rest.find('"', 1);
  if (end == std::string_view::npos) return false;
  tag = rest.substr(0, end + 1);
  rest.remove_prefix(end + 1);
  return true;
}

// Over all fields of that name, for a list may come in several.
bool any_tag_matches(const headers& fields, std::string_view name, std::string_view etag,
                     comparison how) noexcept {
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const field f = fields[i];
    if (!equals_ignore_case(f.name, name)) continue;
    if (trim(f.value) == "*") return true;  // any version, and there is one
    std::string_view rest = f.value;
    std::string_view tag;
    bool weak = false;
    while (next_tag(rest, tag, weak)) {
      if (tag == etag && !(weak && how == comparison::strong)) return true;
    }
  }
  return false;
}

}  // namespace

std::string entity_tag(const file_version& version) {
  std::string out = "\"";
  append_hex(out, static_cast<std::uint64_t>(version.modified_ns));
  out += '-';
  append_hex(out, version.size);
  out += '-';
  append_hex(out, version.inode);
  out += '-';
  append_hex(out, static_cast<std::uint64_t>(version.changed_ns));
  out += '-';
  append_hex(out, version.device);
  return out += '"';
}

std::int64_t modified_seconds(const file_version& version) noexcept {
  constexpr std::int64_t second = 1'000'000'000;
  const std::int64_t whole = version.modified_ns / second;
  return version.modified_ns % second < 0 ? whole - 1 : whole;
}

precondition evaluate(method m, const headers& fields, std::string_view etag,
                      std::int64_t modified) noexcept {
  if (fields.contains("if-match")) {
    if (!any_tag_matches(fields, "if-match", etag, comparison::strong)) return precondition::failed;
  } else if (const auto value = fields.find("if-unmodified-since")) {
    const auto date = parse_date(*value);
    if (date && modified > *date) return precondition::failed;
  }
  const bool reads = m == method::get || m == method::head;
  if (fields.contains("if-none-match")) {
    if (any_tag_matches(fields, "if-none-match", etag, comparison::weak)) {
      return reads ? precondition::not_modified : precondition::failed;
    }
  } else if (const auto value = fields.find("if-modified-since"); value && reads) {
    const auto date = parse_date(*value);
    if (date && modified <= *date) return precondition::not_modified;
  }
  return precondition::pass;
}

bool range_applies(const headers& fields, std::string_view etag, std::int64_t modified) noexcept {
  const auto value = fields.find("if-range");
  if (!value) return true;
  if (value->starts_with('"')) return *value == etag;
  const auto date = parse_date(*value);  // a weak tag is not a date either: the whole file
  return date && *date == modified;
}

}  // namespace weft::http
