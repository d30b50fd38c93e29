// Every driver: messages come and go whole, one by one or several in a call, with what travels beside them.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/quiet_poll.hpp"
#include "weft/io/each_driver_test_support.hpp"
#include "weft/os/socket_message.hpp"
#include "weft/os/socket_options.hpp"
#include "weft/os/socket_unix.hpp"

namespace weft::io::test {
namespace {

/// One message with its room, or several.
class message final : public awaitable_operation<message, io_operation> {
 public:
  message(io_code c, io_handle& h, os::message_header* headers, std::size_t count) noexcept {
    code = c;
    handle = &h;
    buffer = headers;
    length = count;
  }
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    auto& home = static_cast<loop&>(waiter.owner()->home());
    switch (home.io.submit(*this, waiter)) {
      case submitted::done:
        return ready_at_once(*this, waiter);
      case submitted::pending:
        return std::noop_coroutine();
      case submitted::stopped:
        return unwind(waiter);
    }
    std::abort();
  }
  void await_resume() const noexcept {}
};

/// What came, or is to go.
struct envelope {
  explicit envelope(std::size_t bytes, os::socket_address* address = nullptr) : text(bytes, '\0') {
    part = {text.data(), text.size()};
    os::set_message(header, &part, 1, address, nullptr, 0);
  }
  explicit envelope(std::string_view what) : envelope(what.size()) {
    text.replace(0, text.size(), what);
  }
  envelope(const envelope&) = delete;
  envelope& operator=(const envelope&) = delete;
  std::string text;
  os::message_part part;
  os::message_header header;
  std::int64_t answer = unanswered;
};

task<void> move_one(io_code code, io_handle& h, envelope& e) {
  message one(code, h, &e.header, 1);
  co_await one;
  e.answer = one.answer;
}
struct batch {
  std::vector<os::message_header> headers;
  std::int64_t answer = unanswered;
  std::size_t moved = 0;
};
task<void> move_several(io_code code, io_handle& h, batch& b) {
  message some(code, h, b.headers.data(), b.headers.size());
  co_await some;
  b.answer = some.answer;
  b.moved = some.moved;
}

class driver_message_test : public driver_test {
 protected:
  static socket_pair packets(os::unix_kind kind = os::unix_kind::seqpacket) {
    auto both = std::move(*os::open_unix_pair(kind));
    return {std::move(both.first), std::move(both.second)};
  }
  static os::fd datagrams() {
    os::fd socket = std::move(*os::open_udp(os::address_family::ipv4));
    EXPECT_TRUE(os::bind(socket.get(), os::make_ipv4({127, 0, 0, 1}, 0)));
    return socket;
  }
  static std::int64_t take(const os::fd& socket) {
    char room[64];
    const ssize_t n = ::recv(socket.get(), room, sizeof room, MSG_DONTWAIT);
    return n < 0 ? -errno : n;
  }
};
INSTANTIATE_TEST_SUITE_P(each, driver_message_test, ::testing::ValuesIn(kinds),
                         [](const auto& p) { return std::string(p.param.name); });

TEST_P(driver_message_test, a_message_comes_with_its_sender_and_one_that_is_cut_says_so) {
  os::fd theirs = datagrams();
  os::fd ours = datagrams();
  const os::socket_address from = *os::local_address(theirs.get());
  const os::socket_address to = *os::local_address(ours.get());
  ASSERT_TRUE(os::connect_datagram(theirs.get(), &to));
  io_handle h = attach(ours);
  os::socket_address who;
  who.size = 0;
  envelope e(8, &who);
  START(move_one, io_code::receive_message, std::ref(h), std::ref(e));
  ASSERT_EQ(::send(theirs.get(), "hello", 5, 0), 5);
  jobs().run();
  EXPECT_EQ(e.answer, 5);
  EXPECT_EQ(e.text.substr(0, 5), "hello");
  EXPECT_FALSE(os::facts_of(e.header).truncated);
  ASSERT_EQ(os::facts_of(e.header).address_size, from.size);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(who.bytes), from.size),
            std::string_view(reinterpret_cast<const char*>(from.bytes), from.size));
  // Another one, of more than there is room for, and one of nothing.
  ASSERT_EQ(::send(theirs.get(), "0123456789", 10, 0), 10);
  ASSERT_EQ(::send(theirs.get(), "", 0, 0), 0);
  envelope cut(8), empty(8);
  auto a = jobs().spawn(move_one, io_code::receive_message, std::ref(h), std::ref(cut));
  jobs().run();
  EXPECT_EQ(cut.answer, 8);
  EXPECT_TRUE(os::facts_of(cut.header).truncated);
  auto b = jobs().spawn(move_one, io_code::receive_message, std::ref(h), std::ref(empty));
  jobs().run();
  EXPECT_EQ(empty.answer, 0);
}

TEST_P(driver_message_test, of_several_all_that_moved_are_told_or_the_first) {
  socket_pair p = packets();
  io_handle a = attach(p.ours);
  io_handle b = attach(p.theirs);
  const std::vector<std::string> words{"one", "three", "fifteen"};
  std::vector<std::unique_ptr<envelope>> out, in;
  batch sending, receiving;
  for (const auto& w : words) {
    out.push_back(std::make_unique<envelope>(std::string_view(w)));
    in.push_back(std::make_unique<envelope>(16));
    sending.headers.push_back(out.back()->header);
    receiving.headers.push_back(in.back()->header);
  }
  for (std::size_t sent = 0; sent < words.size();) {
    batch rest;
    rest.headers.assign(sending.headers.begin() + static_cast<std::ptrdiff_t>(sent),
                        sending.headers.end());
    auto job = jobs().spawn(move_several, io_code::send_message, std::ref(a), std::ref(rest));
    jobs().run();
    ASSERT_EQ(rest.answer, static_cast<std::int64_t>(words[sent].size()));
    sent += rest.moved != 0 ? rest.moved : 1;
  }
  for (std::size_t got = 0; got < words.size();) {
    batch rest;
    rest.headers.assign(receiving.headers.begin() + static_cast<std::ptrdiff_t>(got),
                        receiving.headers.end());
    auto job = jobs().spawn(move_several, io_code::receive_message, std::ref(b), std::ref(rest));
    jobs().run();
    ASSERT_EQ(rest.answer, static_cast<std::int64_t>(words[got].size()));
    got += rest.moved != 0 ? rest.moved : 1;
  }
  for (std::size_t i = 0; i < words.size(); ++i) {
    EXPECT_EQ(in[i]->text.substr(0, words[i].size()), words[i]);
  }
}

TEST_P(driver_message_test, descriptors_that_come_close_on_exec) {
  socket_pair p = packets(os::unix_kind::stream);
  io_handle h = attach(p.ours);
  envelope e(8);
  os::descriptors_room room;
  os::set_message(e.header, &e.part, 1, nullptr, room.bytes, os::expect_descriptors(1));
  START(move_one, io_code::receive_message, std::ref(h), std::ref(e));
  envelope out(std::string_view("take"));
  os::descriptors_room goes;
  const int number = p.theirs.get();
  os::set_message(out.header, &out.part, 1, nullptr, goes.bytes,
                  os::put_descriptors(goes, std::span(&number, 1)));
  ASSERT_TRUE(os::send_messages_now(number, std::span(&out.header, 1)));
  jobs().run();
  EXPECT_EQ(e.answer, 4);
  std::array<os::fd, 1> got;
  ASSERT_EQ(os::take_descriptors(e.header, got), 1u);
  EXPECT_NE(fcntl(got[0].get(), F_GETFD) & FD_CLOEXEC, 0);
}

TEST_P(driver_message_test, errors_are_the_answer_and_no_signal) {
  {
    os::fd ours = datagrams();
    {
      const os::fd gone = datagrams();
      const os::socket_address to = *os::local_address(gone.get());
      ASSERT_TRUE(os::connect_datagram(ours.get(), &to));
    }
    io_handle h = attach(ours);
    envelope in(8), out(std::string_view("x"));
    START(move_one, io_code::receive_message, std::ref(h), std::ref(in));
    auto sending = jobs().spawn(move_one, io_code::send_message, std::ref(h), std::ref(out));
    jobs().run();
    EXPECT_EQ(out.answer, 1);
    EXPECT_EQ(in.answer, -ECONNREFUSED);
  }
  socket_pair p = packets();
  p.theirs.close();
  io_handle h = attach(p.ours);
  envelope out(std::string_view("x")), in(8);  // SIGPIPE has its default action
  auto sending = jobs().spawn(move_one, io_code::send_message, std::ref(h), std::ref(out));
  jobs().run();
  EXPECT_EQ(out.answer, -EPIPE);
  auto receiving = jobs().spawn(move_one, io_code::receive_message, std::ref(h), std::ref(in));
  jobs().run();
  EXPECT_EQ(in.answer, 0);
}

/// Fills the way to the peer. Result: how many packets.
int fill_with_packets(const os::fd& socket) {
  int sent = 0;
  while (::send(socket.get(), "full", 4, MSG_DONTWAIT | MSG_NOSIGNAL) == 4) ++sent;
  EXPECT_EQ(errno, EAGAIN);
  return sent;
}

TEST_P(driver_message_test, a_send_waits_for_room_and_then_goes_whole) {
  socket_pair p = packets(os::unix_kind::datagram);
  int there = fill_with_packets(p.ours);
  ASSERT_GT(there, 0);
  io_handle h = attach(p.ours);
  envelope out(std::string_view("waited"));
  START(move_one, io_code::send_message, std::ref(h), std::ref(out));
  for (; there > 0; --there) ASSERT_EQ(take(p.theirs), 4);
  jobs().run();
  EXPECT_EQ(out.answer, 6);
  EXPECT_EQ(take(p.theirs), 6);
  EXPECT_EQ(take(p.theirs), -EAGAIN) << "it was sent twice";
}

TEST_P(driver_message_test, a_stop_ends_what_waits_and_moves_nothing) {
  socket_pair p = packets(os::unix_kind::datagram);
  const int fd = p.ours.get();
  int there = fill_with_packets(p.ours);
  io_handle h = attach(p.ours);
  {
    envelope out(std::string_view("never"));
    START(move_one, io_code::send_message, std::ref(h), std::ref(out));
    handle.stop();
    jobs().run();
    EXPECT_EQ(out.answer, unanswered);
  }
  for (; there > 0; --there) ASSERT_EQ(take(p.theirs), 4);
  EXPECT_EQ(take(p.theirs), -EAGAIN) << "a stopped send has sent";
  {
    envelope in(8);
    START(move_one, io_code::receive_message, std::ref(h), std::ref(in));
    handle.stop();
    jobs().run();
    EXPECT_EQ(in.answer, unanswered);
  }
  ASSERT_EQ(::send(p.theirs.get(), "later", 5, 0), 5);
  pollfd ready{fd, POLLIN, 0};
  ASSERT_EQ(test_support::quiet_poll(&ready, 1, 5000), 1);
  envelope in(8);
  auto again = jobs().spawn(move_one, io_code::receive_message, std::ref(h), std::ref(in));
  jobs().run();
  EXPECT_EQ(in.answer, 5);
}

TEST_P(driver_message_test, a_stop_that_races_with_a_message_loses_none) {
  constexpr int rounds = 500;
  socket_pair p = packets();
  const int fd = p.ours.get();
  io_handle h = attach(p.ours);
  join_handle<void> handle;
  int received = 0, stopped = 0;
  {
    racers both(
        rounds, [&](int) { EXPECT_EQ(::send(p.theirs.get(), "x", 1, MSG_NOSIGNAL), 1); },
        [&](int i) {
          for (int spin = 0; spin < (i % 64) * 20; ++spin) cpu_pause();
          handle.stop();
        });
    for (int i = 0; i < rounds; ++i) {
      envelope in(8);
      handle = jobs().spawn(move_one, io_code::receive_message, std::ref(h), std::ref(in));
      if (i % 2 == 0) jobs().settle();  // odd rounds: the stop may come while it is being started
      both.round([&] { jobs().run(); });
      char c;
      if (in.answer == unanswered) {
        ++stopped;
        EXPECT_EQ(::recv(fd, &c, 1, MSG_DONTWAIT), 1) << "round " << i << ": it is nowhere";
      } else {
        EXPECT_EQ(in.answer, 1);
        ++received;
      }
      EXPECT_EQ(::recv(fd, &c, 1, MSG_DONTWAIT), -1) << "round " << i << ": it came twice";
      handle = {};
    }
  }
  EXPECT_EQ(received + stopped, rounds);
}

}  // namespace
}  // namespace weft::io::test
