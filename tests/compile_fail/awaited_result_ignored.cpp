// gcc: accepted
// clang: it may have failed: look at the result
// The same of what is awaited. GCC 12 does not look at what co_await gives.
#include "common.hpp"

#ifdef WRONG
weft::task<> f(weft::net::tcp_stream& s) { co_await s.write_all(std::span<const std::byte>()); }
#else
weft::task<> f(weft::net::tcp_stream& s) {
  const auto written = co_await s.write_all(std::span<const std::byte>());
  if (!written) co_return;
}
#endif
