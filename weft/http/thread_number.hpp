// Internal: a small number for the calling thread, by which threads keep out of each other's way.
#pragma once

#include <weft/base/config.hpp>

#include <cstddef>

namespace weft::http::detail {

/// Counts the threads that have asked, from 0: nobody else has it, and nobody will when this one has ended.
/// Not inline: a coroutine may go on on another thread.
[[nodiscard]] WEFT_NOINLINE std::size_t number_of_thread() noexcept;

}  // namespace weft::http::detail
