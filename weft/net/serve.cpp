#include "weft/net/serve.hpp"

#include "weft/base/atomic.hpp"

namespace weft::net {
namespace {

constinit atomic<std::uint64_t> refused{0};

}  // namespace

std::uint64_t connections_refused() noexcept { return refused.load(order::relaxed); }
void internal::count_refused() noexcept { refused.fetch_add(1, order::relaxed); }

bool is_shortage(std::error_code error) noexcept {
  return error == std::errc::too_many_files_open ||
         error == std::errc::too_many_files_open_in_system || error == std::errc::no_buffer_space ||
         error == std::errc::not_enough_memory;
}

task<> until_it_ends(join_handle<result<void>>& loop) {
  const auto ended = co_await loop;
  throw error(ended ? std::make_error_code(std::errc::operation_canceled) : ended.error(),
              "an accept loop ended");
}

result<std::vector<tcp_listener>> bind_per_worker(endpoint where, listen_options options) {
  options.reuse_port = true;
  std::vector<tcp_listener> bound;
  for (unsigned i = current_metrics().workers; i > 0; --i) {
    auto one = tcp_listener::bind(where, options);
    if (!one) return std::unexpected(one.error());
    if (bound.empty()) {
      const auto at = one->local_endpoint();
      if (!at) return std::unexpected(at.error());
      where = *at;
    }
    bound.push_back(std::move(*one));
  }
  return bound;
}

}  // namespace weft::net
