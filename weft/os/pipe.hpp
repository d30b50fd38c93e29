// pipe: two descriptors, of which one gives what was written to the other.
#pragma once

#include "weft/base/result.hpp"
#include "weft/os/fd.hpp"

namespace weft::os {

struct pipe_ends {
  fd out;  // to read from
  fd in;   // to write to
};

/// Both ends non-blocking and close-on-exec. Errors: the system's, at a limit of descriptors.
[[nodiscard]] result<pipe_ends> make_pipe() noexcept;

}  // namespace weft::os
