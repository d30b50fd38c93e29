#include <weft/http/headers.hpp>

#include <weft/http/syntax.hpp>

#include <algorithm>

namespace weft::http {

bool headers::add(std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return false;
  // The index holds 32-bit offsets: 4 GiB of fields is a bug in the caller, not a message.
  if (text_.size() + name.size() + value.size() > UINT32_MAX) return false;
  append(name, trim(value));
  return true;
}

bool headers::set(std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return false;
  // A copy first: the arguments may be views into this very object, which remove() keeps but
  // append() may move.
  const std::string kept_name(name);
  const std::string kept_value(value);
  remove(kept_name);
  return add(kept_name, kept_value);
}

std::size_t headers::remove(std::string_view name) noexcept {
  // The text stays behind, unreferenced, until clear(): removing is rare and messages are short.
  return std::erase_if(index_, [&](const entry& e) {
    return equals_ignore_case(std::string_view(text_).substr(e.name_at, e.name_size), name);
  });
}

std::optional<std::string_view> headers::find(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < size(); ++i) {
    const field f = (*this)[i];
    if (equals_ignore_case(f.name, name)) return f.value;
  }
  return std::nullopt;
}

bool headers::contains(std::string_view name) const noexcept { return find(name).has_value(); }

std::size_t headers::count(std::string_view name) const noexcept {
  std::size_t n = 0;
  for (std::size_t i = 0; i < size(); ++i) n += equals_ignore_case((*this)[i].name, name) ? 1 : 0;
  return n;
}

bool headers::has_token(std::string_view name, std::string_view token) const noexcept {
  for (std::size_t i = 0; i < size(); ++i) {
    const field f = (*this)[i];
    if (!equals_ignore_case(f.name, name)) continue;
    std::string_view rest = f.value;
    std::string_view item;
    while (next_list_item(rest, item)) {
      if (equals_ignore_case(item, token)) return true;
    }
  }
  return false;
}

field headers::operator[](std::size_t i) const noexcept {
  const entry& e = index_[i];
  const std::string_view text = text_;
  return {text.substr(e.name_at, e.name_size), text.substr(e.value_at, e.value_size)};
}

void headers::clear() noexcept {
  text_.clear();
  index_.clear();
}

void headers::append(std::string_view name, std::string_view value) {
  const auto at = static_cast<std::uint32_t>(text_.size());
  const auto name_size = static_cast<std::uint32_t>(name.size());
  const std::size_t size = text_.size() + name.size() + value.size();
  if (size <= text_.capacity()) {
    text_.append(name).append(value);
  } else {
    // Into a new string, because the arguments may be views into the old one.
    std::string grown;
    grown.reserve(std::max(size, 2 * text_.capacity()));
    grown.append(text_).append(name).append(value);
    text_.swap(grown);
  }
  index_.push_back({at, name_size, at + name_size, static_cast<std::uint32_t>(value.size())});
}

}  // namespace weft::http
