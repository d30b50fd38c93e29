#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "weft/os/fd.hpp"
#include "weft/os/symbol.hpp"
#include "weft/os/uninterrupted.hpp"

namespace weft::os {
namespace {

bool read_at(const fd& file, void* to, std::size_t bytes, std::uint64_t at) noexcept {
  auto* room = static_cast<char*>(to);
  while (bytes != 0) {
    const ssize_t n =
        uninterrupted([&] { return ::pread(file.get(), room, bytes, static_cast<off_t>(at)); });
    if (n <= 0) return false;
    room += n;
    bytes -= static_cast<std::size_t>(n);
    at += static_cast<std::uint64_t>(n);
  }
  return true;
}

/// The mangled name of the function at `offset`, by the file's own table.
std::string name_in_file(const char* path, std::size_t offset) {
  constexpr std::size_t sections_max = 4096;
  constexpr std::size_t name_bytes_max = 4096;
  constexpr std::size_t batch = 1024;
  const fd file(::open(path, O_RDONLY | O_CLOEXEC));
  ElfW(Ehdr) head;
  if (!file || !read_at(file, &head, sizeof head, 0)) return {};
  if (head.e_shentsize != sizeof(ElfW(Shdr)) || head.e_shnum > sections_max) return {};
  std::vector<ElfW(Shdr)> sections(head.e_shnum);
  if (!read_at(file, sections.data(), sections.size() * sizeof(ElfW(Shdr)), head.e_shoff))
    return {};
  std::vector<ElfW(Sym)> symbols(batch);
  for (const auto& table : sections) {
    if (table.sh_type != SHT_SYMTAB || table.sh_link >= sections.size()) continue;
    const std::uint64_t count = table.sh_size / sizeof(ElfW(Sym));
    for (std::uint64_t first = 0; first < count; first += batch) {
      const std::size_t n = count - first < batch ? count - first : batch;
      if (!read_at(file, symbols.data(), n * sizeof(ElfW(Sym)),
                   table.sh_offset + first * sizeof(ElfW(Sym)))) {
        return {};
      }
      for (std::size_t i = 0; i < n; ++i) {
        const auto& s = symbols[i];
        if ((s.st_info & 0xf) != STT_FUNC || offset < s.st_value ||
            offset - s.st_value >= s.st_size) {
          continue;
        }
        std::string name(name_bytes_max, '\0');
        const std::uint64_t at = sections[table.sh_link].sh_offset + s.st_name;
        const ssize_t got = uninterrupted(
            [&] { return ::pread(file.get(), name.data(), name.size(), static_cast<off_t>(at)); });
        if (got <= 0) return {};
        return name.c_str();
      }
    }
  }
  return {};
}

/// Without what compilers add to say which part of a coroutine, or of a function, it is.
std::string demangled(const std::string& mangled) {
  int status = 0;
  char* const text = abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status);
  if (text == nullptr) return mangled;
  std::string name;
  try {
    name = text;
  } catch (...) {
    std::free(text);  // NOLINT: it came from malloc()
    throw;
  }
  std::free(text);  // NOLINT
  const auto part = name.find(" [clone ");
  if (part != std::string::npos) name.resize(part);
  // GCC's takes the coroutine's frame: f(f(int)::_Z1fi.Frame*).
  const auto frame = name.rfind(".Frame*)");
  if (frame == std::string::npos || frame + 8 != name.size()) return name;
  int depth = 0;
  for (std::size_t i = name.size(); i-- != 0;) {
    if (name[i] == ')') ++depth;
    if (name[i] == '(' && --depth == 0) {
      const auto end = name.rfind("::");
      if (end == std::string::npos || end <= i) return name;
      return name.substr(i + 1, end - i - 1);
    }
  }
  return name;
}

}  // namespace

symbol symbol_at(const void* address) {
  symbol found;
  Dl_info about{};
  void* extra = nullptr;
  if (::dladdr1(const_cast<void*>(address), &about, &extra, RTLD_DL_LINKMAP) == 0 ||
      extra == nullptr) {
    return found;
  }
  const auto& map = *static_cast<const link_map*>(extra);
  found.offset = reinterpret_cast<std::uintptr_t>(address) - map.l_addr;
  // The program itself has no name there, and argv[0] may be of another folder.
  const bool is_program = map.l_name == nullptr || *map.l_name == '\0';
  found.module = about.dli_fname != nullptr ? about.dli_fname : "";
  std::string name =
      name_in_file(is_program ? "/proc/self/exe" : found.module.c_str(), found.offset);
  if (name.empty() && about.dli_sname != nullptr) name = about.dli_sname;
  if (!name.empty()) found.name = demangled(name);
  return found;
}

}  // namespace weft::os
