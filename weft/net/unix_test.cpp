// Sockets of this machine on a real runtime, on every driver that works here.
#include "weft/net/unix.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "weft/io/reader_writer.hpp"
#include "weft/net/tcp_test_support.hpp"
#include "weft/runtime/time.hpp"

namespace weft::net {
namespace {

using test::bytes_of;
using test::run_on;
using test::text_of;

static_assert(io::async_reader<unix_stream> && io::async_writer<unix_stream>);
static_assert(io::async_stream<unix_stream>);

/// A folder for sockets.
class unix_test : public test::on_each_driver {
 protected:
  void SetUp() override {
    test::on_each_driver::SetUp();
    folder_ = ::testing::TempDir() + "weft_unix_XXXXXX";
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    path_ = folder_ + "/s";
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  std::string folder_;
  std::string path_;
};
INSTANTIATE_TEST_SUITE_P(each, unix_test, test::all_drivers, test::driver_name);

bool is_there(const std::string& path) {
  struct stat s;
  return ::lstat(path.c_str(), &s) == 0;
}
std::size_t open_descriptors() {
  std::size_t n = 0;
  for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator("/proc/self/fd")) ++n;
  return n;
}

task<> talks(std::string name, bool is_file) {
  auto listener = unix_listener::bind(name);
  EXPECT_TRUE(listener) << listener.error().message();
  if (!listener) co_return;
  EXPECT_EQ(listener->local_name().value(), name);
  auto client = co_await unix_stream::connect(name);
  EXPECT_TRUE(client);
  auto server = co_await listener->accept();
  EXPECT_TRUE(server);
  if (!client || !server) co_return;
  EXPECT_EQ(client->peer_name().value(), name);
  EXPECT_EQ(client->local_name().value(), "");
  const auto sent = co_await client->write_all(bytes_of("hello"));
  EXPECT_TRUE(sent);
  EXPECT_TRUE(client->shutdown_write());
  std::array<std::byte, 8> room;
  const auto n = co_await server->read_exact(room);
  EXPECT_EQ(text_of(std::span(room).first(n.value())), "hello");
  const auto who = server->peer_credentials();
  EXPECT_EQ(who.value().process, ::getpid());
  EXPECT_EQ(who->user, ::getuid());
  EXPECT_EQ(who->group, ::getgid());
  EXPECT_EQ(is_there(name), is_file);
  listener->close();
  EXPECT_FALSE(is_there(name));
  const auto nobody = co_await unix_stream::connect(name);
  EXPECT_TRUE(nobody.error() ==
              (is_file ? std::errc::no_such_file_or_directory : std::errc::connection_refused));
}
TEST_P(unix_test, a_stream_goes_through_a_path) { run_on(GetParam(), talks, path_, true); }
TEST_P(unix_test, a_stream_goes_through_an_abstract_name) {
  run_on(GetParam(), talks, abstract_name(path_), false);
}

task<> names() {
  const std::string longest(107, 'x');
  for (const std::string& name : {longest + "x", "/" + longest + "yyy"}) {
    EXPECT_TRUE(unix_listener::bind(name).error() == std::errc::filename_too_long);
    EXPECT_TRUE(unix_datagram::bind(name).error() == std::errc::filename_too_long);
    const auto connected = co_await unix_stream::connect(name);
    EXPECT_TRUE(connected.error() == std::errc::filename_too_long);
  }
  EXPECT_TRUE(unix_listener::bind("").error() == std::errc::invalid_argument);
  EXPECT_TRUE(unix_listener::bind(std::string_view("a\0b", 3)).error() ==
              std::errc::invalid_argument);
  auto longest_abstract = unix_listener::bind(abstract_name(longest.substr(1)));
  EXPECT_TRUE(longest_abstract);
}
TEST_P(unix_test, a_name_that_cannot_be_is_an_error_and_never_cut) { run_on(GetParam(), names); }

task<> stale(std::string path) {
  unix_bind_options stays;
  stays.remove_file = false;
  {
    auto first = unix_listener::bind(path, stays);
    EXPECT_TRUE(first);
    // Somebody listens.
    EXPECT_TRUE(unix_listener::bind(path).error() == std::errc::address_in_use);
  }
  EXPECT_TRUE(is_there(path));  // and nobody listens
  unix_bind_options keeps;
  keeps.replace_stale = false;
  EXPECT_TRUE(unix_listener::bind(path, keeps).error() == std::errc::address_in_use);
  auto second = unix_listener::bind(path);
  EXPECT_TRUE(second);
  auto client = co_await unix_stream::connect(path);
  EXPECT_TRUE(client);
  // A file that came in its place is not removed with it.
  std::filesystem::rename(path, path + "2");
  {
    const os::fd other(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    EXPECT_TRUE(static_cast<bool>(other));
  }
  second->close();
  EXPECT_TRUE(is_there(path));
  // And a file that is no socket is not replaced.
  EXPECT_TRUE(unix_listener::bind(path).error() == std::errc::address_in_use);
  EXPECT_TRUE(is_there(path));
}
TEST_P(unix_test, only_a_socket_file_at_which_nobody_listens_is_replaced) {
  run_on(GetParam(), stale, path_);
}

task<> one_client(std::string path, std::atomic<int>& connected) {
  auto stream = co_await unix_stream::connect(path);
  EXPECT_TRUE(stream) << stream.error().message();
  ++connected;
  std::array<std::byte, 1> room;
  const auto end = co_await stream->read_some(room);
  EXPECT_EQ(end.value(), 0u);
}
task<> full_queue(std::string path) {
  unix_bind_options small;
  small.backlog = 0;
  auto listener = unix_listener::bind(path, small);
  EXPECT_TRUE(listener);
  std::atomic<int> connected{0};
  std::vector<join_handle<void>> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(spawn(one_client, path, std::ref(connected)));
  }
  for (int i = 0; i < 5; ++i) {
    auto accepted = co_await listener->accept();
    EXPECT_TRUE(accepted);
  }
  for (auto& c : clients) co_await c;
  EXPECT_EQ(connected, 5);
}
TEST_P(unix_test, a_connect_waits_while_the_queue_is_full) {
  run_on(GetParam(), full_queue, path_);
}

/// What the path was when the listener went: a client that waits in its queue hears of that by a signal,
/// which comes before the call that closes returns.
class when_it_closes {
 public:
  explicit when_it_closes(const std::string& path) {
    path_ = path.c_str();
    seen_ = not_closed;
    struct sigaction a{};
    a.sa_flags = SA_RESTART;
    a.sa_handler = [](int) {
      struct stat s;
      const int error = errno;
      seen_ = ::lstat(path_, &s) == 0 ? was_there : was_gone;
      errno = error;
    };
    EXPECT_EQ(::sigaction(SIGIO, &a, nullptr), 0);
    client_ = os::fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    path.copy(to.sun_path, sizeof to.sun_path - 1);
    EXPECT_EQ(::connect(client_.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    // To this thread, which is the one that closes.
    const f_owner_ex here{F_OWNER_TID, ::gettid()};
    EXPECT_EQ(::fcntl(client_.get(), F_SETOWN_EX, &here), 0);
    EXPECT_EQ(::fcntl(client_.get(), F_SETFL, O_ASYNC), 0);
  }
  ~when_it_closes() {
    client_.close();
    ::signal(SIGIO, SIG_IGN);
  }
  when_it_closes(const when_it_closes&) = delete;
  when_it_closes& operator=(const when_it_closes&) = delete;
  task<> expect_gone() {
    // A driver may close later.
    for (int i = 0; i < 1000 && seen_ == not_closed; ++i) {
      co_await sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_EQ(seen_, was_gone);
  }

 private:
  static constexpr int not_closed = 0, was_there = 1, was_gone = 2;
  static inline const char* path_;
  static inline std::atomic<int> seen_;
  os::fd client_;
};
task<> path_goes_first(std::string path) {
  for (const bool by_move : {false, true}) {
    auto listener = unix_listener::bind(path);
    EXPECT_TRUE(listener);
    if (!listener) co_return;
    when_it_closes ends(path);
    if (by_move) {
      *listener = unix_listener();
    } else {
      listener->close();
    }
    co_await ends.expect_gone();
    EXPECT_FALSE(is_there(path));
    auto next = unix_listener::bind(path);
    EXPECT_TRUE(next);
    unix_listener other = std::move(*next);
    *next = std::move(other);
    EXPECT_TRUE(is_there(path));  // it moves with its socket
    auto client = co_await unix_stream::connect(path);
    EXPECT_TRUE(client);
  }
}
TEST_P(unix_test, the_path_goes_before_the_socket_or_it_could_be_a_successors) {
  run_on(GetParam(), path_goes_first, path_);
}

task<> without_backlog(std::string path) {
  unix_bind_options odd;
  odd.backlog = -1;
  auto listener = unix_listener::bind(path, odd);
  EXPECT_TRUE(listener);
  auto client = co_await unix_stream::connect(path);
  EXPECT_TRUE(client) << client.error().message();
}
TEST_P(unix_test, a_listener_listens_whatever_its_backlog) {
  run_on(GetParam(), without_backlog, path_);
}

task<> packets(std::string path) {
  auto listener = unix_seqpacket_listener::bind(path);
  EXPECT_TRUE(listener);
  auto a = co_await unix_seqpacket::connect(path);
  auto b = co_await listener->accept();
  EXPECT_TRUE(a && b);
  for (const std::string_view text : {"one", "two, which is long", "three"}) {
    const auto sent = co_await a->send(bytes_of(text));
    EXPECT_EQ(sent.value(), text.size());
  }
  std::array<std::byte, 8> room;
  const auto one = co_await b->receive(room);
  EXPECT_EQ(one.value().size, 3u);
  EXPECT_FALSE(one->truncated);
  const auto two = co_await b->receive(room);
  EXPECT_EQ(two.value().size, 8u);
  EXPECT_TRUE(two->truncated);
  const auto three = co_await b->receive(room);
  EXPECT_EQ(text_of(std::span(room).first(three.value().size)), "three");
  EXPECT_TRUE(a->shutdown_write());
  const auto end = co_await b->receive(room);
  EXPECT_EQ(end.value().size, 0u);
  a->close();
  const auto broken = co_await b->send(bytes_of("x"));
  EXPECT_TRUE(broken.error() == std::errc::broken_pipe);
}
TEST_P(unix_test, packets_keep_their_borders) { run_on(GetParam(), packets, path_); }

task<> datagrams(std::string path) {
  auto a = unix_datagram::bind(path);
  auto b = unix_datagram::bind(path + "b");
  auto nameless = unix_datagram::unbound();
  EXPECT_TRUE(a && b && nameless);
  std::array<std::byte, 8> room;
  const auto sent = co_await b->send_to(bytes_of("hello"), path);
  EXPECT_EQ(sent.value(), 5u);
  const auto empty = co_await nameless->send_to(bytes_of(""), path);
  EXPECT_EQ(empty.value(), 0u);
  const auto long_one = co_await nameless->send_to(bytes_of("too long for it"), path);
  EXPECT_TRUE(long_one);
  const auto got = co_await a->receive_from(room);
  EXPECT_EQ(got.value().size, 5u);
  EXPECT_EQ(got->from, path + "b");
  const auto none = co_await a->receive_from(room);
  EXPECT_EQ(none.value().size, 0u);
  EXPECT_EQ(none->from, "");
  const auto cut = co_await a->receive_from(room);
  EXPECT_EQ(cut.value().size, 8u);
  EXPECT_TRUE(cut->truncated);
  EXPECT_TRUE(b->connect(path));
  const auto to_peer = co_await b->send(bytes_of("peer"));
  EXPECT_TRUE(to_peer);
  const auto from_peer = co_await a->receive(room);
  EXPECT_EQ(from_peer.value().size, 4u);
  a->close();
  EXPECT_FALSE(is_there(path));
  const auto gone = co_await b->send(bytes_of("x"));
  EXPECT_TRUE(gone.error() == std::errc::connection_refused);
  const auto nowhere = co_await nameless->send_to(bytes_of("x"), path);
  EXPECT_TRUE(nowhere.error() == std::errc::no_such_file_or_directory);
}
TEST_P(unix_test, datagrams_go_to_names_and_come_from_them) {
  run_on(GetParam(), datagrams, path_);
}

task<> many_datagrams(std::string path, bool connected) {
  auto from = unix_datagram::unbound();
  EXPECT_TRUE(from);
  if (connected) {
    EXPECT_TRUE(from->connect(path));
  }
  for (int i = 0; i < 60; ++i) {
    const std::string text = std::to_string(i);
    if (connected) {
      const auto sent = co_await from->send(bytes_of(text));
      EXPECT_TRUE(sent);
    } else {
      const auto sent = co_await from->send_to(bytes_of(text), path);
      EXPECT_TRUE(sent);
    }
  }
}
task<> full_receiver(std::string path, bool connected) {
  auto to = unix_datagram::bind(path);
  EXPECT_TRUE(to);
  auto sender = spawn(many_datagrams, path, connected);
  std::array<std::byte, 8> room;
  for (int i = 0; i < 60; ++i) {
    const auto got = co_await to->receive(room);
    EXPECT_EQ(text_of(std::span(room).first(got.value().size)), std::to_string(i));
  }
  co_await sender;
}
TEST_P(unix_test, a_sender_waits_while_the_receivers_buffer_is_full) {
  run_on(GetParam(), full_receiver, path_, true);
  run_on(GetParam(), full_receiver, path_, false);
}

template <class S>
task<> descriptors_go() {
  auto both = S::pair();
  EXPECT_TRUE(both);
  auto [a, b] = std::move(*both);
  int ends[2];
  EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  os::fd out(ends[0]);
  os::fd in(ends[1]);
  const std::size_t open = open_descriptors();
  std::array<std::byte, 8> room;
  std::array<descriptor, 2> got;
  {
    const int numbers[] = {in.get()};
    const auto sent = co_await a.send_with_descriptors(bytes_of("take"), numbers);
    EXPECT_EQ(sent.value(), 4u);
    const auto came = co_await b.receive_with_descriptors(room, got);
    EXPECT_EQ(came.value().size, 4u);
    EXPECT_EQ(came->descriptors, 1u);
    EXPECT_FALSE(came->truncated || came->descriptors_truncated);
    EXPECT_TRUE(static_cast<bool>(got[0]));
    EXPECT_NE(got[0].get(), in.get());
    EXPECT_NE(::fcntl(got[0].get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(::write(got[0].get(), "x", 1), 1);
    char c = 0;
    EXPECT_EQ(::read(out.get(), &c, 1), 1);
    EXPECT_EQ(c, 'x');
    got[0].close();
  }
  const int three[] = {in.get(), out.get(), in.get()};
  for (std::size_t space = 0; space < 3;
       ++space) {  // more than there is room for, also an odd number
    const auto sent = co_await a.send_with_descriptors(bytes_of("take"), three);
    EXPECT_TRUE(sent);
    const auto came = co_await b.receive_with_descriptors(room, std::span(got).first(space));
    EXPECT_EQ(came.value().descriptors, space);
    EXPECT_TRUE(came->descriptors_truncated);
    EXPECT_EQ(open_descriptors(), open + space);
    for (auto& d : got) d.close();
  }
  const std::vector<int> many(descriptors_max + 1, in.get());
  const auto too_many = co_await a.send_with_descriptors(bytes_of("x"), many);
  EXPECT_TRUE(too_many.error() == std::errc::invalid_argument);
  const auto no_byte = co_await a.send_with_descriptors(bytes_of(""), three);
  EXPECT_TRUE(no_byte.error() == std::errc::invalid_argument);
  const auto as_many = co_await a.send_with_descriptors(bytes_of("x"), std::span(many).first(64));
  EXPECT_TRUE(as_many);
  std::vector<descriptor> all(descriptors_max);
  const auto came = co_await b.receive_with_descriptors(room, all);
  EXPECT_EQ(came.value().descriptors, descriptors_max);
  all.clear();
  EXPECT_EQ(open_descriptors(), open);
  const auto dropped = co_await a.send_with_descriptors(bytes_of("x"), three);
  EXPECT_TRUE(dropped);
  const auto without = co_await b.receive_with_descriptors(room, std::span<descriptor>());
  EXPECT_TRUE(without.value().descriptors_truncated);
  EXPECT_EQ(open_descriptors(), open);
}
TEST_P(unix_test, descriptors_go_with_a_stream) { run_on(GetParam(), descriptors_go<unix_stream>); }
TEST_P(unix_test, descriptors_go_with_packets) {
  run_on(GetParam(), descriptors_go<unix_seqpacket>);
}
TEST_P(unix_test, descriptors_go_with_datagrams) {
  run_on(GetParam(), descriptors_go<unix_datagram>);
}

task<> plain_read_drops() {
  auto both = unix_stream::pair();
  EXPECT_TRUE(both);
  auto [a, b] = std::move(*both);
  const std::size_t open = open_descriptors();
  const int numbers[] = {a.native()};
  const auto sent = co_await a.send_with_descriptors(bytes_of("take"), numbers);
  EXPECT_TRUE(sent);
  std::array<std::byte, 8> room;
  const auto n = co_await b.read_some(room);
  EXPECT_EQ(n.value(), 4u);
  EXPECT_EQ(open_descriptors(), open);
}
TEST_P(unix_test, a_plain_read_leaks_no_descriptor) { run_on(GetParam(), plain_read_drops); }

}  // namespace
}  // namespace weft::net
