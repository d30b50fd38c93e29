// The fields of one message: a flat list in arrival order, looked up without regard to case.
//
// Cost: two allocations however many fields (all text in one string, 16 bytes of index a field);
//   clear() keeps both, so a connection allocates nothing for its second request. Lookup is linear:
//   at the 100 fields the parser admits, that beats hashing.
// Safety: a name that is not a token, or a value with CR, LF, NUL or another control character, is
//   never stored, so nothing that goes in can end a field early when it is written out (row
//   "header injection"). Views stay valid until the next change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weft::http {

struct field {
  std::string_view name;
  std::string_view value;
};

class headers {
 public:
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
  [[nodiscard]] field operator[](std::size_t i) const noexcept;

  void clear() noexcept;

 private:
  friend class request_parser;  // appends fields that llhttp has already checked byte by byte

  struct entry {
    std::uint32_t name_at, name_size, value_at, value_size;
  };

  // Name and value are already known to be valid.
  void append(std::string_view name, std::string_view value);

  std::string text_;
  std::vector<entry> index_;
};

}  // namespace weft::http
