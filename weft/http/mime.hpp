// Media types by file extension.
#pragma once

#include <string_view>

namespace weft::http {

/// The Content-Type of a file with this name or path; "application/octet-stream" when its
/// extension is unknown or missing. Text types say charset=utf-8, since a browser that has to
/// guess a charset can be made to guess wrong.
[[nodiscard]] std::string_view media_type(std::string_view file_name) noexcept;

}  // namespace weft::http
