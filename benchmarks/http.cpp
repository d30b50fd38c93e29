// http: weft's own server with a handler and its static files, as one writes it; one worker.
//
//   bench_http FILE     GET /file sends FILE, which must be called "file"; everything else says
//   hello
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <weft/fs/file.hpp>
#include <weft/http/files.hpp>
#include <weft/weft.hpp>

namespace {

namespace http = weft::http;

class site final : public http::handler {
 public:
  explicit site(weft::fs::directory folder) : files_(std::move(folder)) {}

  bool try_respond(const http::request& asked, http::response& answer) override {
    if (asked.path() == "/file") return files_.try_respond(asked, answer);
    answer.set_text(http::status::ok, "text/plain", "Hello, world!");
    return true;
  }
  weft::task<http::response> respond(const http::request& asked) override {
    return files_.respond(asked);
  }

 private:
  http::static_files files_;
};

weft::task<weft::result<void>> serve(std::string folder) {
  auto opened = weft::fs::directory::blocking_open(folder);
  if (!opened) co_return std::unexpected(opened.error());
  auto bound = weft::net::tcp_listener::bind({weft::net::address::loopback_v4(), 0});
  if (!bound) co_return std::unexpected(bound.error());
  auto listener = *std::move(bound);
  std::printf("listening %s\n", listener.local_endpoint().value().to_string().c_str());
  std::fflush(stdout);
  site answers(*std::move(opened));
  http::server server(answers);
  const auto ended = co_await server.serve(listener);
  co_return ended;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: bench_http FILE\n");
    return 2;
  }
  return weft::run(serve(std::filesystem::path(argv[1]).parent_path().string()), {.workers = 1});
}
