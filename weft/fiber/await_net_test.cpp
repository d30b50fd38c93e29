// Each wait of weft/net in a fiber, on each driver: it waits, goes on with the right result, and a stop unwinds it and
// loses nothing.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "weft/fiber/one_wait_test_support.hpp"
#include "weft/net/datagram_batch.hpp"
#include "weft/net/happy_eyeballs.hpp"
#include "weft/net/resolve.hpp"
#include "weft/net/serve.hpp"
#include "weft/net/tcp.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/net/udp.hpp"
#include "weft/net/unix.hpp"
#include "weft/task/shield_scope.hpp"

namespace weft::net {
namespace {

using test::bytes_of;
using test::loopback;
using test::text_of;
using test_support::one_wait;
using test_support::wait_end;

class await_net : public test::on_each_driver {
 protected:
  template <class Row>
  void in_each_way(const Row& row) {
    test_support::in_each_way(row, {.io = GetParam()});
  }
  std::array<std::byte, 8> room_{};
  std::string_view text(std::size_t n) const {
    return {reinterpret_cast<const char*>(room_.data()), n};
  }
};
INSTANTIATE_TEST_SUITE_P(drivers, await_net, test::all_drivers, test::driver_name);

template <class S>
void puts(S& to, std::string_view text) {
  const auto sent = await(to.write_all(bytes_of(text)));
  EXPECT_TRUE(sent);
}
/// As much as goes in without a wait; as text, of one letter.
template <class S>
std::string fill(S& to) {
  const std::string block(64 * 1024, 'f');
  std::string all;
  for (;;) {
    const auto n = to.try_write(bytes_of(block));
    if (!n || *n == 0) return all;
    all.append(*n, 'f');
  }
}
/// All that comes until the end.
template <class S>
std::string drains(S& from) {
  std::string all, bite(64 * 1024, ' ');
  for (;;) {
    const auto n = await(from.read_some(std::as_writable_bytes(std::span(bite))));
    if (!n || *n == 0) return all;
    all.append(bite, 0, *n);
  }
}

// --- streams --------------------------------------------------------------------------------------

TEST_P(await_net, reads_of_a_stream_and_of_its_halves) {
  in_each_way([&](const one_wait& wait) {
    auto pair = unix_stream::pair();
    ASSERT_TRUE(pair);
    auto& [near, far] = *pair;
    const auto gives = [&](std::string_view what) { return [&, what] { puts(far, what); }; };
    wait([&] { EXPECT_EQ(await(near.read_some(room_)), 2u); }, gives("ab"));
    EXPECT_EQ(text(2), "ab");
    wait([&] { EXPECT_EQ(await(near.read_exact(std::span(room_).first(3))), 3u); }, gives("cde"));
    EXPECT_EQ(text(3), "cde");
    wait([&] { EXPECT_EQ(text_of(await(near.read_pooled()).value().bytes()), "fg"); }, gives("fg"));
    wait([&] { EXPECT_TRUE(await(near.wait_readable())); }, gives("hi"));
    EXPECT_EQ(await(near.read_some(room_)), 2u);
    auto [in, out] = near.split();
    wait([&] { EXPECT_EQ(await(in.read_some(room_)), 2u); }, gives("jk"));
    EXPECT_EQ(text(2), "jk");
    wait([&] { EXPECT_EQ(await(in.read_some(room_)), 0u); }, [&] { auto gone = std::move(far); });
  });
}

/// Into a stream that is full.
TEST_P(await_net, writes_to_a_stream) {
  const auto row = [&](const auto& writes) {
    in_each_way([&](const one_wait& wait) {
      auto pair = unix_stream::pair();
      ASSERT_TRUE(pair);
      auto& [near, far] = *pair;
      const std::string before = fill(near);
      join_handle<std::string> reader;
      wait([&] { writes(near); }, [&] { reader = go([&] { return drains(far); }); });
      puts(near, "end");
      near = unix_stream();
      const std::string got = await(reader);
      EXPECT_EQ(got.substr(before.size()), "abend") << "a stopped one has written nothing";
    });
  };
  row([](unix_stream& to) { EXPECT_EQ(await(to.write_some(bytes_of("ab"))), 2u); });
  row([](unix_stream& to) { EXPECT_TRUE(await(to.write_all(bytes_of("ab")))); });
  row([](unix_stream& to) {
    EXPECT_TRUE(await(to.wait_writable()));
    EXPECT_EQ(await(to.split().writer.write_some(bytes_of("ab"))), 2u);
  });
}

TEST_P(await_net, send_file) {
  const auto close = [](std::FILE* f) { std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::tmpfile(), close);
  ASSERT_TRUE(file);
  const std::string content(1'000'000, 'c');  // more than a socket takes
  ASSERT_EQ(::write(fileno(file.get()), content.data(), content.size()),
            static_cast<ssize_t>(content.size()));
  in_each_way([&](const one_wait& wait) {
    auto pair = unix_stream::pair();
    ASSERT_TRUE(pair);
    auto& [near, far] = *pair;
    join_handle<std::string> reader;
    wait.once(
        [&] {
          EXPECT_EQ(await(near.send_file(fileno(file.get()), 0, content.size())), content.size());
        },
        [&] { reader = go([&] { return drains(far); }); });
    if (wait.how() != wait_end::completed)
      near = unix_stream();
    else
      EXPECT_TRUE(near.shutdown_write());
    const std::string got = await(reader);
    if (wait.how() == wait_end::completed) {
      EXPECT_EQ(got.size(), content.size());
    } else {
      EXPECT_LT(got.size(), content.size());
    }
    EXPECT_TRUE(got.find_first_not_of('c') == std::string::npos);
  });
}

// --- connections ----------------------------------------------------------------------------------

TEST_P(await_net, accept_and_connect) {
  in_each_way([&](const one_wait& wait) {
    auto listener = tcp_listener::bind(loopback);
    ASSERT_TRUE(listener);
    const auto to = listener->local_endpoint().value();
    std::optional<tcp_stream> client, server;
    wait(
        [&] {
          auto accepted = await(listener->accept());
          ASSERT_TRUE(accepted);
          server = std::move(*accepted);
        },
        [&] {
          auto connected = await(tcp_stream::connect(to));
          ASSERT_TRUE(connected);
          client = std::move(*connected);
        });
    ASSERT_TRUE(client && server);
    puts(*client, "hello");
    EXPECT_EQ(await(server->read_exact(std::span(room_).first(5))), 5u);
    EXPECT_EQ(text(5), "hello");
  });
}

TEST_P(await_net, connect_by_name_to_the_first_that_answers) {
  in_each_way([&](const one_wait& wait) {
    auto listener = tcp_listener::bind(loopback);
    ASSERT_TRUE(listener);
    table_resolver names;
    names.add("app.test", address::v4(127, 0, 0, 2)).add("app.test", address::loopback_v4());
    connect_options options;
    options.names = &names;
    const auto port = listener->local_endpoint()->port;
    wait([&] {
      const auto client = await(tcp_stream::connect("app.test", port, options));
      ASSERT_TRUE(client);
      EXPECT_EQ(client->peer_endpoint().value(), listener->local_endpoint().value());
    });
  });
}

TEST_P(await_net, resolve_by_the_system) {
  in_each_way([](const one_wait& wait) {
    wait([] {
      const auto found = await(resolve("127.0.0.1", "no-such-service-at-all"));
      EXPECT_FALSE(found);
    });
    wait([] {
      const auto found = await(system_resolver().addresses("localhost"));
      ASSERT_TRUE(found);
      EXPECT_FALSE(found->empty());
    });
  });
}

TEST_P(await_net, serve_until_it_is_stopped) {
  in_each_way([&](const one_wait& wait) {
    if (wait.how() == wait_end::completed) return;  // it never ends by itself
    auto listener = tcp_listener::bind(loopback);
    ASSERT_TRUE(listener);
    const auto handle = [](tcp_stream client) -> task<> {
      const auto sent = co_await client.write_all(bytes_of("served"));
      EXPECT_TRUE(sent);
    };
    wait.once([&] { static_cast<void>(await(serve(*listener, handle))); }, [] {});
    auto serving = go([&] { static_cast<void>(await(serve(*listener, handle))); });
    auto client = await(tcp_stream::connect(listener->local_endpoint().value()));
    ASSERT_TRUE(client);
    EXPECT_EQ(drains(*client), "served");
    serving.stop();
    EXPECT_TRUE(await(serving.outcome()).stopped());
  });
}

// --- datagrams ------------------------------------------------------------------------------------

TEST_P(await_net, datagrams_one_by_one) {
  in_each_way([&](const one_wait& wait) {
    auto a = udp_socket::bind(loopback);
    auto b = udp_socket::bind(loopback);
    ASSERT_TRUE(a && b);
    const auto to = b->local_endpoint().value();
    const auto sends = [&](std::string_view what) {
      return [&, what] { EXPECT_TRUE(await(a->send_to(bytes_of(what), to))); };
    };
    wait(
        [&] {
          const auto got = await(b->receive_from(room_));
          ASSERT_TRUE(got);
          EXPECT_EQ(got->size, 2u);
          EXPECT_EQ(got->from, a->local_endpoint().value());
        },
        sends("ab"));
    EXPECT_EQ(text(2), "ab");
    wait([&] { EXPECT_EQ(await(b->receive(room_)).value().size, 3u); }, sends("cde"));
    wait([&] { EXPECT_TRUE(await(b->wait_readable())); }, sends("f"));
    EXPECT_EQ(await(b->receive(room_)).value().size, 1u);
    EXPECT_TRUE(await(a->wait_writable()));
    EXPECT_TRUE(a->connect(to));
    wait([&] { EXPECT_EQ(await(b->receive(room_)).value().size, 2u); },
         [&] { EXPECT_TRUE(await(a->send(bytes_of("gh")))); });
  });
}

TEST_P(await_net, datagrams_in_batches_and_segments) {
  in_each_way([&](const one_wait& wait) {
    auto a = udp_socket::bind(loopback);
    auto b = udp_socket::bind(loopback);
    ASSERT_TRUE(a && b);
    const auto to = b->local_endpoint().value();
    datagram_batch out(2, 8), in(2, 8);
    EXPECT_TRUE(out.push(bytes_of("ab"), to));
    EXPECT_TRUE(out.push(bytes_of("cd"), to));
    std::size_t came = 0;
    wait([&] { came = await(b->receive_many(in)).value(); },
         [&] { EXPECT_EQ(await(a->send_many(out)), 2u); });
    EXPECT_GE(came, 1u);
    if (came == 1) {
      EXPECT_EQ(await(b->receive(room_)).value().size, 2u);
    }
    wait([&] { EXPECT_EQ(await(b->receive(room_)).value().size, 2u); },
         [&] { EXPECT_TRUE(await(a->send_segments_to(bytes_of("abc"), 2, to))); });
    EXPECT_EQ(await(b->receive(room_)).value().size, 1u);
    EXPECT_TRUE(a->connect(to));
    wait([&] { EXPECT_EQ(await(b->receive(room_)).value().size, 2u); },
         [&] { EXPECT_TRUE(await(a->send_segments(bytes_of("def"), 2))); });
    EXPECT_EQ(await(b->receive(room_)).value().size, 1u);
  });
}

// --- between processes ----------------------------------------------------------------------------

TEST_P(await_net, packets_and_descriptors) {
  in_each_way([&](const one_wait& wait) {
    auto pair = unix_seqpacket::pair();
    ASSERT_TRUE(pair);
    auto& [near, far] = *pair;
    wait([&] { EXPECT_EQ(await(near.receive(room_)).value().size, 2u); },
         [&] { EXPECT_TRUE(await(far.send(bytes_of("ab")))); });
    std::array<descriptor, 2> all;
    const int numbers[] = {far.native()};
    wait(
        [&] {
          const auto got = await(near.receive_with_descriptors(room_, all));
          ASSERT_TRUE(got);
          EXPECT_EQ(got->descriptors, 1u);
        },
        [&] { EXPECT_TRUE(await(far.send_with_descriptors(bytes_of("take"), numbers))); });
    EXPECT_EQ(text(4), "take");
    auto datagrams = unix_datagram::pair();
    ASSERT_TRUE(datagrams);
    wait([&] { EXPECT_EQ(await(datagrams->first.receive_from(room_)).value().size, 2u); },
         [&] { EXPECT_TRUE(await(datagrams->second.send(bytes_of("cd")))); });
    wait([&] { EXPECT_EQ(await(datagrams->first.receive(room_)).value().size, 1u); },
         [&] { EXPECT_TRUE(await(datagrams->second.send(bytes_of("e")))); });
  });
}

TEST_P(await_net, connections_of_one_machine) {
  in_each_way([&](const one_wait& wait) {
    const std::string name = abstract_name("weft_fiber_" + std::to_string(::getpid()));
    auto listener = unix_listener::bind(name);
    ASSERT_TRUE(listener);
    std::optional<unix_stream> client;
    wait(
        [&] {
          auto accepted = await(listener->accept());
          ASSERT_TRUE(accepted);
          puts(*accepted, "hello");
        },
        [&] {
          auto connected = await(unix_stream::connect(name));
          ASSERT_TRUE(connected);
          client = std::move(*connected);
        });
    ASSERT_TRUE(client);
    EXPECT_EQ(drains(*client), "hello");
  });
}

}  // namespace
}  // namespace weft::net
