// Streams of bytes.
#include <array>

#include "api_names.hpp"

namespace {

std::span<const std::byte> text(std::string_view s) { return std::as_bytes(std::span(s)); }

static_assert(weft::io::async_reader<weft::net::tcp_stream>);
static_assert(weft::io::async_writer<weft::net::tcp_stream>);

}  // namespace

weft::task<> streams_of_bytes() {
  auto [from, to] = weft::io::pipe(64);
  weft::io::buffered_writer out(to);
  const auto wrote = co_await weft::io::write_frame(out, weft::io::lines(), text("a line"));
  const auto framed = co_await weft::io::write_frame(out, weft::io::length_delimited(), text("x"));
  const auto more = co_await out.write_all(text("a;b"));
  const auto flushed = co_await out.flush();
  CHECK(wrote && framed && more && flushed);
  CHECK(to.shutdown_write());

  weft::io::buffered_reader in(from);
  const auto line = co_await in.read_line();
  CHECK(line && *line == "a line");
  const auto frame = co_await in.read_frame(weft::io::length_delimited());
  CHECK(frame && *frame && (*frame)->size() == 1);
  const auto part = co_await in.read_until(std::byte{';'});
  CHECK(part && *part && (*part)->size() == 2);
  std::array<std::byte, 1> last;
  const auto n = co_await in.read_exact(last);
  CHECK(n && *n == 1);

  auto [a, b] = weft::io::duplex(64);
  auto [c, d] = weft::io::duplex(64);
  const auto asked = co_await a.write_all(text("forth"));
  const auto answered = co_await d.write_all(text("back"));
  CHECK(asked && answered);
  CHECK(a.shutdown_write());
  CHECK(d.shutdown_write());
  const auto both = co_await weft::io::copy_bidirectional(b, c);
  CHECK(both && both->forth == 5 && both->back == 4);
  auto [rest, sink] = weft::io::pipe(64);
  const auto copied = co_await weft::io::copy(a, sink);
  CHECK(copied && *copied == 4);
}
