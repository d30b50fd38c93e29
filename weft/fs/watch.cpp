#include "weft/fs/watch.hpp"

#include <new>
#include <utility>

#include "weft/fs/on_pool.hpp"
#include "weft/fs/watch_state.hpp"
#include "weft/os/error.hpp"
#include "weft/os/file_watch.hpp"
#include "weft/runtime/io_request.hpp"

namespace weft::fs {
namespace {

struct begun {
  os::fd watch;
  int root = -1;
};
result<begun> begin(std::string path) noexcept {
  auto made = os::make_watch();
  if (!made) return std::unexpected(made.error());
  const auto added = os::add_watch(made->get(), path);
  if (!added) return std::unexpected(added.error());
  return begun{std::move(*made), *added};
}

task<result<watch_event>> closed() {
  co_return std::unexpected(os::from_errno(static_cast<int>(std::errc::bad_file_descriptor)));
}

}  // namespace

watcher::watcher() noexcept = default;
watcher::watcher(watcher&&) noexcept = default;
watcher& watcher::operator=(watcher&&) noexcept = default;
watcher::~watcher() = default;

task<result<watch_event>> watcher::next() { return state_ ? state_->next() : closed(); }

stream<result<watch_event>> watcher::events() {
  for (bool more = true; more;) {
    auto event = co_await next();
    more = event && event->kind != watch_kind::gone;
    co_yield std::move(event);
  }
}

task<result<watcher>> watch(std::string path, watch_options how) {
  if (path.find('\0') != path.npos) {
    co_return std::unexpected(os::from_errno(static_cast<int>(std::errc::invalid_argument)));
  }
  auto made = co_await detail::on_pool(&begin, path);
  if (!made) co_return std::unexpected(made.error());
  auto attached = io::request::current_driver().attach(std::move(made->watch));
  if (!attached) co_return std::unexpected(attached.error());
  watcher w;
  w.state_ = std::make_unique<detail::watch_state>(std::move(*attached), made->root,
                                                   std::move(path), how.recursive);
  const auto begun = co_await w.state_->begin();
  if (!begun) co_return std::unexpected(begun.error());
  co_return w;
}

}  // namespace weft::fs
