#include "weft/os/standard_error.hpp"

#include <poll.h>
#include <unistd.h>

namespace weft::os {

bool tell_at_once(std::string_view text) noexcept {
  pollfd one{STDERR_FILENO, POLLOUT, 0};  // said of a pipe: there is room for 4096 bytes
  if (::poll(&one, 1, 0) != 1) return false;
  if ((one.revents & (POLLERR | POLLNVAL)) != 0) return true;  // a write would be a SIGPIPE
  return ::write(STDERR_FILENO, text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

}  // namespace weft::os
