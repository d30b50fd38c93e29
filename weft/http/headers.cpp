#include <weft/http/headers.hpp>

#include <weft/base/config.hpp>
#include <weft/http/syntax.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

namespace weft::http {

headers& headers::operator=(const headers& other) {
  // Text and index are two requests for memory: neither may be changed before both were granted.
  if (!text_.holds(other.text_.size()) || !index_.holds(other.index_.size())) {
    return *this = headers(other);
  }
  text_ = other.text_;
  index_ = other.index_;
  gaps_ = other.gaps_;
  return *this;
}

bool headers::add(std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return false;
  return append(name, trim(value));
}

bool headers::set(std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return false;
  // The text of what is removed stays, and append() minds views into it: the arguments may be such.
  remove(name);
  return append(name, trim(value));
}

std::size_t headers::remove(std::string_view name) noexcept {
  // The text stays behind, unreferenced, until clear(): removing is rare and messages are short.
  const std::size_t first = look_for(name);
  if (first == size()) return 0;
  const auto end = std::remove_if(index_.begin() + first, index_.end(), [&](const entry& e) {
    return e.name_size == name.size() &&
           equals_ignore_case(std::string_view(text_.data() + e.at, e.name_size), name);
  });
  const auto gone = static_cast<std::size_t>(index_.end() - end);
  index_.shrink(index_.size() - gone);
  gaps_ = true;
  return gone;
}

std::size_t headers::look_for(std::string_view name, std::size_t from) const noexcept {
  for (; from < size(); ++from) {
    // Most differ in length.
    if (index_[from].name_size == name.size() && equals_ignore_case((*this)[from].name, name))
      break;
  }
  return from;
}

std::optional<std::string_view> headers::find(std::string_view name) const noexcept {
  const std::size_t at = look_for(name);
  if (at == size()) return std::nullopt;
  return (*this)[at].value;
}

bool headers::contains(std::string_view name) const noexcept { return look_for(name) != size(); }

std::size_t headers::count(std::string_view name) const noexcept {
  std::size_t n = 0;
  for (std::size_t i = look_for(name); i < size(); i = look_for(name, i + 1)) ++n;
  return n;
}

bool headers::has_token(std::string_view name, std::string_view token) const noexcept {
  for (std::size_t i = look_for(name); i < size(); i = look_for(name, i + 1)) {
    std::string_view rest = (*this)[i].value;
    std::string_view item;
    while (next_list_item(rest, item)) {
      if (equals_ignore_case(item, token)) return true;
    }
  }
  return false;
}

void headers::clear() noexcept {
  text_.clear();
  index_.clear();
  gaps_ = false;
}

void headers::write(char* to, std::string_view name, std::string_view value) noexcept {
  std::memcpy(to, name.data(), name.size());
  to += name.size();
  std::memcpy(to, separator.data(), separator.size());
  to += separator.size();
  if (!value.empty()) std::memcpy(to, value.data(), value.size());
  std::memcpy(to + value.size(), line_end.data(), line_end.size());
}

bool headers::append(std::string_view name, std::string_view value) {
  const std::size_t bytes = name.size() + separator.size() + value.size() + line_end.size();
  if (!text_.has_room(bytes) || !index_.has_room(1)) return append_growing(name, value, bytes);
  *index_.extend_inside(1) = {static_cast<std::uint32_t>(text_.size()),
                              static_cast<std::uint32_t>(name.size()),
                              static_cast<std::uint32_t>(value.size())};
  write(text_.extend_inside(bytes), name, value);
  return true;
}

WEFT_NOINLINE bool headers::append_growing(std::string_view name, std::string_view value,
                                           std::size_t bytes) {
  // The index holds 32-bit offsets: 4 GiB of fields is a bug in the caller, not a message.
  if (text_.size() + bytes > UINT32_MAX) return false;
  const bool gaps = std::exchange(gaps_, true);  // unless all goes well
  const auto at = static_cast<std::uint32_t>(text_.size());
  std::unique_ptr<char[]> before;  // the arguments may be views into the text
  write(text_.extend(bytes, before), name, value);
  index_.push_back(
      {at, static_cast<std::uint32_t>(name.size()), static_cast<std::uint32_t>(value.size())});
  gaps_ = gaps;
  return true;
}

}  // namespace weft::http
