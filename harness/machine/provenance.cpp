#include "harness/machine/provenance.h"

#include "harness/base/json.h"
#include "harness/machine/kernel_parameters.h"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cpuid.h>
#include <filesystem>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fstream>
#include <regex>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#ifndef PROBERACE_COMMIT
#define PROBERACE_COMMIT "unknown"
#endif

namespace proberace {

namespace {

// The first "key : value" of /proc/cpuinfo.
Json cpu_field(std::string_view key) {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    const std::size_t colon = line.find(':');
    if (line.starts_with(key) && colon != std::string::npos && colon + 2 <= line.size())
      return line.substr(colon + 2);
  }
  return nullptr;
}

Json file_line(const std::filesystem::path& path) {
  std::string line;
  if (!std::getline(std::ifstream(path), line))
    return nullptr;
  return line;
}

// AMD APM vol. 3, Fn8000_0008 EBX bit 3: INVLPGB, broadcast TLB invalidation without an interrupt.
bool has_invlpgb() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  return __get_cpuid(0x80000008U, &a, &b, &c, &d) != 0 && (b & (1U << 3)) != 0;
}

// The vendor leaf 0x40000000 that hypervisors answer, if CPUID.1:ECX[31] says there is one.
Json hypervisor() {
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & (1U << 31)) == 0)
    return nullptr;
  __cpuid(0x40000000U, a, b, c, d);
  std::string vendor;
  for (const unsigned word : {b, c, d})
    for (unsigned shift = 0; shift < 32; shift += 8)
      if (const char letter = static_cast<char>(word >> shift & 0xFF); std::isprint(letter) != 0)
        vendor.push_back(letter);
  return vendor.empty() ? Json("unnamed") : Json(vendor);
}

Json mitigations() {
  Json all = Json::object();
  std::error_code error;
  for (const auto& entry :
       std::filesystem::directory_iterator("/sys/devices/system/cpu/vulnerabilities", error))
    all[entry.path().filename().string()] = file_line(entry.path());
  return all;
}

Json kernel_command_line() {
  const Json line = file_line("/proc/cmdline");
  return line.is_string() ? Json(timing_parameters(line.get_ref<const std::string&>())) : line;
}

std::string kernel_release() {
  utsname name{};
  ::uname(&name);
  return name.release;
}

// The vendor that hypervisors answer, and the names that people give them.
constexpr std::pair<std::string_view, std::string_view> kHypervisors[] = {
    {"KVMKVMKVM", "kvm"},     {"Microsoft Hv", "hyper-v"},    {"VMwareVMware", "vmware"},
    {"XenVMMXenVMM", "xen"},  {"TCGTCGTCGTCG", "qemu"},       {"bhyve bhyve ", "bhyve"},
    {"ACRNACRNACRN", "acrn"}, {"VBoxVBoxVBox", "virtualbox"},
};

// "Intel(R) Xeon(R) CPU @ 2.2GHz": "Intel Xeon".
std::string without_noise(const std::string& model) {
  const std::regex noise(R"(\((R|TM|r|tm)\)|@.*|\b(CPU|Processor|[0-9]+-Core)\b)");
  return std::regex_replace(model, noise, " ");
}

std::string slug(const std::string& text) {
  std::string out;
  for (const char letter : text) {
    if (std::isalnum(static_cast<unsigned char>(letter)) != 0)
      out.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(letter))));
    else if (!out.empty() && out.back() != '-')
      out.push_back('-');
  }
  while (!out.empty() && out.back() == '-')
    out.pop_back();
  return out;
}

} // namespace

std::string utc_time_stamp() {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  return fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
}

std::string machine_name(const std::string& model, int processors, const std::string& hypervisor) {
  const auto* const known = std::ranges::find(kHypervisors, std::string_view(hypervisor),
                                              &std::pair<std::string_view, std::string_view>::first);
  const std::string_view host = hypervisor.empty()                ? "bare"
                                : known != std::end(kHypervisors) ? known->second
                                                                  : std::string_view(hypervisor);
  const std::string maker = slug(without_noise(model));
  return slug(fmt::format("{} {}cpu {}", maker.empty() ? "unknown" : maker, processors, host));
}

std::string machine_name() {
  const auto text = [](const Json& j) { return j.is_string() ? j.get<std::string>() : std::string(); };
  return machine_name(text(cpu_field("model name")), ::get_nprocs(), text(hypervisor()));
}

Json provenance() {
  return Json{
      {"schema", "proberace/provenance/1"},
      {"machine", machine_name()},
      {"time", utc_time_stamp()},
      {"cpu",
       {{"model", cpu_field("model name")},
        {"microcode", cpu_field("microcode")},
        {"online", ::get_nprocs()},
        {"configured", ::get_nprocs_conf()},
        {"invlpgb", has_invlpgb()}}},
      {"memory_bytes",
       [] {
         struct sysinfo info {};
         ::sysinfo(&info);
         return static_cast<std::uint64_t>(info.totalram) * info.mem_unit;
       }()},
      {"kernel", kernel_release()},
      {"kernel_command_line", kernel_command_line()},
      {"hypervisor", hypervisor()},
      {"mitigations", mitigations()},
      {"smt", file_line("/sys/devices/system/cpu/smt/control")},
      {"transparent_hugepages", file_line("/sys/kernel/mm/transparent_hugepage/enabled")},
      {"perf_event_paranoid", file_line("/proc/sys/kernel/perf_event_paranoid")},
      {"load_average", file_line("/proc/loadavg")},
      {"compiler", fmt::format("g++ {}", __VERSION__)},
      {"optimised",
#ifdef __OPTIMIZE__
       true
#else
       false
#endif
      },
      {"commit", PROBERACE_COMMIT},
  };
}

} // namespace proberace
