// The fields of one message: a flat list in arrival order, looked up without regard to case.
//
// Cost: no allocation for up to 6 fields of 240 bytes in all, else one or two however many (all text
//   stands together as it is sent, 12 bytes of index a field); clear() keeps both, so a connection
//   allocates nothing for its second request. Lookup is linear: at the 100 fields the parser admits,
//   that beats hashing.
// Safety: a name that is not a token, or a value with CR, LF, NUL or another control character, is
//   never stored, so nothing that goes in can end a field early when it is written out (row
//   "header injection"). Views stay valid until the next change.
#pragma once

#include <weft/http/small_vector.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace weft::http {

struct field {
  std::string_view name;
  std::string_view value;
};

class headers {
 public:
  headers() noexcept = default;
  headers(const headers&) = default;
  headers(headers&&) noexcept = default;
  /// All of them, or, where there is no memory for them (std::bad_alloc), no change.
  headers& operator=(const headers& other);
  headers& operator=(headers&&) noexcept = default;
  ~headers() = default;

  /// Appends a field, also when one of that name exists. Result: false (and no change) when the
  /// name or the value is not allowed. The value is trimmed.
  bool add(std::string_view name, std::string_view value);

  /// The field is there once, with this value. Result: as add().
  bool set(std::string_view name, std::string_view value);

  /// No field of that name is left. Result: how many there were.
  std::size_t remove(std::string_view name) noexcept;

  /// The first field of that name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const noexcept;

  [[nodiscard]] bool contains(std::string_view name) const noexcept;
  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;

  /// True when a field of that name has `token` among its comma-separated elements, in any case.
  [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return index_.size(); }
  [[nodiscard]] bool empty() const noexcept { return index_.empty(); }
  [[nodiscard]] field operator[](std::size_t i) const noexcept {
    const entry& e = index_[i];
    const char* const at = text_.data() + e.at;
    return {{at, e.name_size}, {at + e.name_size + separator.size(), e.value_size}};
  }
  /// All of them as they are sent, "name: value" and a line end each; nothing where one was removed since
  /// the last clear().
  [[nodiscard]] std::optional<std::string_view> lines() const noexcept {
    if (gaps_) return std::nullopt;
    return std::string_view(text_.data(), text_.size());
  }

  void clear() noexcept;
  /// What it has allocated, used or not; bytes.
  [[nodiscard]] std::size_t kept_bytes() const noexcept {
    return text_.allocated() + index_.allocated() * sizeof(entry);
  }

 private:
  friend class request_parser;  // appends fields that llhttp has already checked byte by byte
  friend struct response;       // appends a name that is known to be one

  static constexpr std::string_view separator = ": ";
  static constexpr std::string_view line_end = "\r\n";

  struct entry {
    std::uint32_t at, name_size, value_size;  // in the text: the name, the separator, the value
  };

  // Where the first field of that name is, from `from` on; size() if there is none.
  [[nodiscard]] std::size_t look_for(std::string_view name, std::size_t from = 0) const noexcept;
  // Name and value are already known to be valid. Result: false when there are too many bytes.
  bool append(std::string_view name, std::string_view value);
  bool append_growing(std::string_view name, std::string_view value, std::size_t bytes);
  static void write(char* to, std::string_view name, std::string_view value) noexcept;

  detail::small_vector<char, 240> text_;
  detail::small_vector<entry, 6> index_;
  bool gaps_ = false;  // in the text, beside the fields, is what was removed
};

}  // namespace weft::http
