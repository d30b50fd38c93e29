// standard_error: a line for people, from a thread that must not wait for whoever reads it.
#pragma once

#include <string_view>

namespace weft::os {

/// Writes it to the standard error stream, if that takes it now: a pipe that nobody empties does not. False: nothing
/// was written, and it may be worth another try. True also where there is nobody to tell any more: it is closed, or its
/// reader has gone. `text`: 4096 bytes at most.
[[nodiscard]] bool tell_at_once(std::string_view text) noexcept;

}  // namespace weft::os
