// destroy_later: what has a destructor that waits for a disk goes to the blocking pool, in a job of its own.
// Where there is no worker, no memory, or the runtime ends, the destructor runs at once.
#pragma once

#include <utility>

#include "weft/runtime/blocking.hpp"
#include "weft/runtime/io_request.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/task/shield_scope.hpp"
#include "weft/task/task.hpp"

namespace weft::fs::detail {

template <class T>
void destroy(T) noexcept {}

template <class T>
task<> destroy_on_pool(T thing) {
  const shield_scope until_gone;
  try {
    co_await spawn_blocking(&destroy<T>, std::move(thing));
  } catch (...) {  // there was no thread: it has gone on this one
  }
}

/// `thing` is empty afterwards, or its owner's destructor finds the rest to do.
template <class T>
void destroy_later(T&& thing) noexcept {
  if (!io::request::on_worker() || current_job() == nullptr) return;
  try {
    spawn(&destroy_on_pool<T>, std::forward<T>(thing)).detach();
  } catch (...) {
  }
}

}  // namespace weft::fs::detail
