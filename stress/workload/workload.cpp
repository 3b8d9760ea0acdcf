#include "stress/workload/workload.h"

#include <algorithm>
#include <dlfcn.h>
#include <filesystem>
#include <fmt/format.h>

namespace proberace {

namespace {

namespace fs = std::filesystem;

constexpr char kEntry[] = "proberace_workload";

fs::path own_folder() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path() / "workloads";
}

std::unexpected<Error> bad(const std::string& name, const std::string& why) {
  return std::unexpected(Error{ErrorKind::BadInput, {}, fmt::format("workload {}: {}", name, why)});
}

// Those of the list, which is null-terminated.
std::vector<Address> addresses(const void* const* list) {
  std::vector<Address> all;
  for (; *list != nullptr; ++list)
    all.push_back(address_of(*list));
  return all;
}

} // namespace

std::vector<std::string> own_workloads() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(own_folder(), error))
    if (entry.path().extension() == ".so")
      names.push_back(entry.path().stem());
  std::ranges::sort(names);
  return names;
}

std::expected<Workload, Error> Workload::load(const std::string& name) {
  std::error_code error;
  const fs::path own = own_folder() / (name + ".so");
  const fs::path file = fs::exists(own, error) ? own : fs::absolute(name, error);
  if (!fs::exists(file, error))
    return bad(name, fmt::format("there is no such file, and the workloads here are {}",
                                 fmt::join(own_workloads(), ", ")));
  void* const library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    return bad(name, ::dlerror());
  Workload w;
  w.name_ = name;
  w.entry_ = reinterpret_cast<Entry>(::dlsym(library, kEntry));
  w.objects_ = reinterpret_cast<Places>(::dlsym(library, "proberace_workload_objects"));
  w.functions_ = reinterpret_cast<Places>(::dlsym(library, "proberace_workload_functions"));
  if (w.entry_ == nullptr)
    return bad(name, "it exports no `int proberace_workload(uint64_t seed)` (with C linkage)");
  return w;
}

std::expected<std::vector<CodePoint>, Error> Workload::code(const Target& target) const {
  std::vector<Address> objects{address_of(reinterpret_cast<const void*>(entry_))};
  std::vector<CodePoint> all;
  if (functions_ != nullptr) {
    const AddressSpace space = target.address_space();
    for (const Address a : addresses(functions_())) {
      const auto function = target.functions().containing(space, a);
      if (!function)
        return bad(name_, fmt::format("no function is known to lie at {:#x}", value(a)));
      std::vector<CodePoint> of_object = all_instructions(target, a);
      std::erase_if(of_object, [&](const CodePoint& c) {
        return c.address < function->start || c.address >= function->end;
      });
      all.insert(all.end(), of_object.begin(), of_object.end());
    }
    std::ranges::sort(all, {}, &CodePoint::address);
    const auto same = std::ranges::unique(all, {}, &CodePoint::address);
    all.erase(same.begin(), same.end());
  } else {
    if (objects_ != nullptr)
      objects = addresses(objects_());
    for (const Address a : objects) {
      const std::vector<CodePoint> of_object = all_instructions(target, a);
      all.insert(all.end(), of_object.begin(), of_object.end());
    }
  }
  if (all.empty())
    return bad(name_, "neither symbols nor .eh_frame name a function of what it wants probed");
  return all;
}

} // namespace proberace
