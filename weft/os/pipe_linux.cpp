#include "weft/os/pipe.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "weft/os/error.hpp"

namespace weft::os {

result<pipe_ends> make_pipe() noexcept {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return std::unexpected(last_error());
  return pipe_ends{fd(ends[0]), fd(ends[1])};
}

}  // namespace weft::os
