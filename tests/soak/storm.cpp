// soak_storm: a crowd (crowd.hpp) that does what it is told by lines of its input.
//
//   soak_storm --files FOLDER                       writes what an HTTP server has to serve to it
//   soak_storm echo|http PORT SEED CONNECTIONS      connects
//     load SECONDS                   {"rate": R}: what there is at most, a second
//     storm RATE SECONDS FAULTS      {"asked": N, ..., "unprovoked": N, "first": "what"}; FAULTS a second
// The end of the input ends it.
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>

#include "crowd.hpp"
#include "peer.hpp"

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--files") {
    soak::write_files(argv[2]);
    return 0;
  }
  if (argc != 5) {
    std::fputs("usage: soak_storm --files FOLDER | echo|http PORT SEED CONNECTIONS\n", stderr);
    return 2;
  }
  const bool http = std::string_view(argv[1]) == "http";
  soak::crowd all(std::atoi(argv[2]), http ? soak::protocol::http : soak::protocol::echo,
                  std::strtoull(argv[3], nullptr, 10),
                  static_cast<std::size_t>(std::atoi(argv[4])));
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::string what;
    double a = 0;
    double b = 0;
    double c = 0;
    words >> what >> a >> b >> c;
    if (what == "load") {
      std::printf("{\"rate\": %.1f}\n", all.load(a));
    } else if (what == "storm") {
      all.storm(a, b, c);
      const soak::counts& n = all.counted();
      const struct {
        const char* name;
        std::uint64_t value;
      } figures[] = {{"asked", n.asked},       {"answered", n.answered},       {"late", n.late},
                     {"connects", n.connects}, {"pauses", n.pauses},           {"stalls", n.stalls},
                     {"cuts", n.cuts},         {"half_closes", n.half_closes}, {"resets", n.resets},
                     {"leaves", n.leaves},     {"unprovoked", n.unprovoked}};
      std::printf("{");
      for (const auto& f : figures) {
        std::printf("\"%s\": %llu, ", f.name, static_cast<unsigned long long>(f.value));
      }
      std::printf("\"first\": \"%s\"}\n", n.first.c_str());  // no quotes in it
    } else {
      std::fprintf(stderr, "soak_storm: what is '%s'?\n", line.c_str());
      return 2;
    }
    std::fflush(stdout);
  }
}
