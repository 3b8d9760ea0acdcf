#include "harness/code/debug_file.h"

#include "harness/code/elf_versions.h"

#include <cstdlib>
#include <elf.h>
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <mutex>
#include <optional>
#include <unistd.h>

namespace proberace {

namespace {

// libdwfl would ask the servers that it names.
class WithoutServers {
public:
  WithoutServers() {
    if (const char* const servers = std::getenv(kServers); servers != nullptr)
      servers_ = servers;
    ::unsetenv(kServers);
  }
  WithoutServers(const WithoutServers&) = delete;
  WithoutServers& operator=(const WithoutServers&) = delete;
  ~WithoutServers() {
    if (servers_)
      ::setenv(kServers, servers_->c_str(), 1);
  }

private:
  static constexpr const char* kServers = "DEBUGINFOD_URLS";
  std::optional<std::string> servers_{};
};

// "/proc/PID/root" of a path that begins so, else "".
std::string root_of(const std::string& path) {
  constexpr std::string_view kRoot = "/root/";
  const std::size_t root = path.find(kRoot);
  return path.starts_with("/proc/") && root != std::string::npos ? path.substr(0, root + kRoot.size() - 1)
                                                                 : std::string{};
}

// Keeps what dwfl_begin was given as long as it is used.
struct Session {
  explicit Session(std::string searched) : folders(std::move(searched)) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { ::dwfl_end(dwfl); }

  std::string folders;
  char* folders_text = folders.data();
  Dwfl_Callbacks callbacks{.find_elf = nullptr, // the file is given
                           .find_debuginfo = &::dwfl_standard_find_debuginfo,
                           .section_address = &::dwfl_offline_section_address,
                           .debuginfo_path = &folders_text};
  Dwfl* dwfl = ::dwfl_begin(&callbacks);
};

bool names_code(const GElf_Sym& symbol) {
  const unsigned type = GELF_ST_TYPE(symbol.st_info);
  return symbol.st_shndx != SHN_UNDEF && (type == STT_FUNC || type == STT_GNU_IFUNC);
}

} // namespace

void add_debug_symbols(const std::string& path, ElfImage& image) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  const WithoutServers without;
  const std::string root = root_of(path);
  auto session = std::make_shared<Session>(
      fmt::format(":.debug:/usr/lib/debug{}", root.empty() ? "" : fmt::format(":{}/usr/lib/debug", root)));
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0)
    return;
  // Addresses are the file's own. The descriptor is the module's from here on.
  Dwfl_Module* const module =
      ::dwfl_report_elf(session->dwfl, path.c_str(), path.c_str(), file, 0, /*add_p_vaddr=*/true);
  if (module == nullptr) {
    ::close(file);
    return;
  }
  ::dwfl_report_end(session->dwfl, nullptr, nullptr);
  for (int i = 0, count = ::dwfl_module_getsymtab(module); i < count; ++i) {
    GElf_Sym symbol{};
    GElf_Addr address = 0;
    const char* const text =
        ::dwfl_module_getsym_info(module, i, &symbol, &address, nullptr, nullptr, nullptr);
    if (text == nullptr || *text == '\0' || !names_code(symbol))
      continue;
    const VersionedName name = versioned(text);
    image.symbols.push_back({name.name, symbol.st_value, symbol.st_size,
                             GELF_ST_TYPE(symbol.st_info) == STT_GNU_IFUNC, name.version});
    if (symbol.st_size > 0)
      image.functions.push_back({symbol.st_value, symbol.st_size, std::string(name.name)});
  }
  image.debug_file = std::move(session);
}

} // namespace proberace
