// on_pool: spawn_blocking of a function that gives a result: that there is no thread, or no memory, is an
// error like the others.
//
//   Cancel  in line: lossless, it never runs. Once begun it ends, and its result is given
#pragma once

#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

#include "weft/base/result.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/task/task.hpp"

namespace weft::fs::detail {

template <class F, class... A>
task<std::invoke_result_t<F&, A...>> on_pool(F f, A... args) {
  try {
    auto answer = co_await spawn_blocking(f, std::move(args)...);
    co_return answer;
  } catch (const std::system_error& e) {
    co_return std::unexpected(e.code());
  } catch (const std::bad_alloc&) {
    co_return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  }
}

}  // namespace weft::fs::detail
