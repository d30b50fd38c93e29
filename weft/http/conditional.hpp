// Conditional requests (RFC 9110 section 13): what a file's version is, and who has it already.
#pragma once

#include <weft/http/headers.hpp>
#include <weft/http/method.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace weft::http {

/// What identifies one state of one file. Units: nanoseconds since 1970, bytes.
struct file_version {
  std::int64_t modified_ns = 0;
  std::uint64_t size = 0;
  std::uint64_t inode = 0;
  std::int64_t changed_ns = 0;  // unlike modified_ns nobody can set it back
  std::uint64_t device = 0;
  bool operator==(const file_version&) const = default;
};

/// A strong entity tag, quoted. With inode and device, because a file replaced by rename within the
/// clock's tick, with equal size, is another file; with the time of the last change, because tools that
/// copy files set that of the modification back.
[[nodiscard]] std::string entity_tag(const file_version& version);

/// Whole seconds, rounded down: what Last-Modified can say.
[[nodiscard]] std::int64_t modified_seconds(const file_version& version) noexcept;

enum class precondition : std::uint8_t {
  pass,          ///< serve it
  not_modified,  ///< 304
  failed,        ///< 412
};

/// If-Match, If-Unmodified-Since, If-None-Match and If-Modified-Since, in RFC 9110's order (section
/// 13.2.2): a tag, where one is given, makes the date beside it unimportant.
/// `etag`: quoted, as entity_tag() gives it. `modified`: seconds since 1970.
[[nodiscard]] precondition evaluate(method m, const headers& fields, std::string_view etag,
                                    std::int64_t modified) noexcept;

/// Whether a Range may be honoured: true without If-Range, and when If-Range names exactly this
/// version (same strong tag, or same date). Otherwise the whole file has to be sent.
[[nodiscard]] bool range_applies(const headers& fields, std::string_view etag,
                                 std::int64_t modified) noexcept;

}  // namespace weft::http
