// Sockets.
#include <array>
#include <string>

#include "api_names.hpp"

namespace {

namespace net = weft::net;

std::span<const std::byte> text(std::string_view s) { return std::as_bytes(std::span(s)); }
const net::endpoint loopback{net::address::loopback_v4(), 0};

weft::task<> tcp() {
  auto listener = net::tcp_listener::bind(loopback);
  CHECK(listener);
  const auto port = listener->local_endpoint()->port;
  const auto found = co_await net::resolve("localhost", std::to_string(port));
  CHECK(found && found->size() == 2);
  auto client = co_await net::tcp_stream::connect("127.0.0.1", port);
  CHECK(client);
  auto server = co_await listener->accept();
  CHECK(server);
  CHECK(client->set_no_delay(true) && client->no_delay().value());
  CHECK(client->set_keep_alive(net::keep_alive_options{}));
  CHECK(client->set_linger(std::nullopt));
  auto [in, out] = std::move(*client).split();
  const auto sent = co_await out.write_all(text("hello"));
  CHECK(sent);
  auto [server_in, server_out] = server->split();
  std::array<std::byte, 5> room;
  const auto n = co_await server_in.read_exact(room);
  CHECK(n && *n == 5);
  const auto whole = net::reunite(std::move(in), std::move(out));
  CHECK(whole && whole->peer_endpoint() == listener->local_endpoint());
}

weft::task<> udp() {
  auto a = net::udp_socket::bind(loopback);
  auto b = net::udp_socket::bind(loopback);
  CHECK(a && b);
  const auto sent = co_await a->send_to(text("x"), b->local_endpoint().value());
  CHECK(sent && *sent == 1);
  std::array<std::byte, 8> room;
  const auto got = co_await b->receive_from(room);
  CHECK(got && got->size == 1 && got->from == a->local_endpoint() && !got->truncated);
  net::datagram_batch batch(4, 100);
  CHECK(batch.push(text("y"), b->local_endpoint().value()));
  const auto many = co_await a->send_many(batch);
  const auto came = co_await b->receive_many(batch);
  CHECK(many && came && *came == 1);
}

weft::task<> local() {
  auto both = net::unix_stream::pair();
  CHECK(both && both->first.peer_credentials());
  const int numbers[] = {both->first.native()};
  const auto sent = co_await both->first.send_with_descriptors(text("x"), numbers);
  CHECK(sent);
  std::array<std::byte, 8> room;
  std::array<net::descriptor, 1> got;
  const auto came = co_await both->second.receive_with_descriptors(room, got);
  CHECK(came && came->descriptors == 1 && got[0]);
  auto packets = net::unix_seqpacket::pair();
  auto datagrams = net::unix_datagram::pair();
  CHECK(packets && datagrams);
  const auto listener = net::unix_listener::bind(std::string(200, 'x'));
  CHECK(listener.error() == std::errc::filename_too_long);
}

}  // namespace

weft::task<> networking() {
  co_await tcp();
  co_await udp();
  co_await local();
}
