#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "weft/os/fd.hpp"
#include "weft/os/text_file.hpp"

namespace weft::os {

std::string read_text(const char* path) {
  constexpr std::size_t bytes_max = 64 * 1024;
  std::string text;
  const fd file(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // whatever it is, nobody waits
  if (!file) return text;
  char part[4096];
  while (text.size() < bytes_max) {
    const auto n = ::read(file.get(), part, sizeof part);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(part, static_cast<std::size_t>(n));
  }
  return text;
}

}  // namespace weft::os
