#include <weft/http/thread_number.hpp>

#include <weft/base/atomic.hpp>

namespace weft::http::detail {
namespace {

constexpr std::size_t none = ~std::size_t{0};

std::size_t next_number() noexcept {
  static constinit atomic<std::size_t> threads{0};
  return threads.fetch_add(1, order::relaxed);
}

}  // namespace

std::size_t number_of_thread() noexcept {
  // Not initialised by a call: then each use would have to ask whether it was.
  static constinit thread_local std::size_t number = none;
  if (WEFT_UNLIKELY(number == none)) number = next_number();
  return number;
}

}  // namespace weft::http::detail
