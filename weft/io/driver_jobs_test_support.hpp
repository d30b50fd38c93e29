// Jobs of one operation each, for the suites of the drivers.
#pragma once

#include <span>

#include "weft/io/each_driver_test_support.hpp"

namespace weft::io::test {

inline task<void> receive_once(io_handle& h, std::span<char> into, std::int64_t& answer) {
  answer = co_await receive(h, into);
}
inline task<void> receive_all(io_handle& h, std::span<char> into, std::int64_t& answer) {
  answer = co_await receive_whole(h, into);
}
inline task<void> send_once(io_handle& h, std::span<char> from, std::int64_t& answer) {
  answer = co_await send(h, from);
}
inline task<void> send_all(io_handle& h, std::span<char> from, std::int64_t& answer) {
  answer = co_await send_whole(h, from);
}
inline task<void> send_parts(io_handle& h, std::span<const io_part> parts, bool all,
                             std::int64_t& answer) {
  answer = co_await request(h, parts, all);
}
inline task<void> accept_once(io_handle& h, std::int64_t& answer) {
  answer = co_await accept_on(h);
}
inline task<void> connect_once(io_handle& h, os::socket_address& to, std::int64_t& answer) {
  answer = co_await connect_to(h, to);
}
inline task<void> until_readable(io_handle& h, std::int64_t& answer) {
  answer = co_await readable(h);
}
inline task<void> until_writable(io_handle& h, std::int64_t& answer) {
  answer = co_await writable(h);
}

}  // namespace weft::io::test
