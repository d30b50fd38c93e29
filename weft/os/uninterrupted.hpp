// uninterrupted: a system call that is made again as long as signals interrupt it.
//
//   Not for  close(), which may have closed the descriptor all the same; nor for what waits until a deadline
//            that the call is told as a duration
#pragma once

#include <cerrno>

namespace weft::os {

/// What call() gives: 0 or more, or less, and errno says why; never EINTR.
template <class Call>
auto uninterrupted(Call call) noexcept {
  for (;;) {
    const auto answer = call();
    if (answer >= 0 || errno != EINTR) return answer;
  }
}

}  // namespace weft::os
