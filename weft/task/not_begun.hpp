// not_begun: what the function of a detached job throws that has dealt itself with why there is no task: the
// job ends as if it had been stopped before its first line, and nobody is told.
//
// With no data: where there is no memory the language's own reserve has room for it.
#pragma once

#include <exception>

namespace weft::detail {

struct not_begun {};

bool is_not_begun(const std::exception_ptr& error) noexcept;

}  // namespace weft::detail
