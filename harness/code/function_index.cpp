#include "harness/code/function_index.h"

#include "harness/base/failure.h"
#include "harness/code/elf_functions.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace proberace {

struct FunctionIndex::Object {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::vector<FunctionRange> functions; // sorted by start
};

namespace {

// The lowest mapping of the same file in the run that `mapping` belongs to: where the object was loaded.
const Mapping& load_base(const AddressSpace& space, const Mapping& mapping) {
  const auto& all = space.mappings();
  const Mapping* base = &mapping;
  for (const Mapping& m : all) {
    if (m.start > mapping.start)
      break;
    if (m.device == mapping.device && m.inode == mapping.inode && m.file_offset == 0)
      base = &m;
  }
  return *base;
}

const FunctionRange* smallest_around(const std::vector<FunctionRange>& functions, Address a) {
  const FunctionRange* best = nullptr;
  auto it = std::upper_bound(functions.begin(), functions.end(), a,
                             [](Address at, const FunctionRange& f) { return at < f.start; });
  // Ranges rarely nest; a few steps back are enough to find an enclosing one behind its cold parts.
  for (int steps = 0; it != functions.begin() && steps < 16; ++steps) {
    --it;
    if (a < it->end && (best == nullptr || it->end - it->start < best->end - best->start))
      best = &*it;
  }
  return best;
}

std::unexpected<Error> not_loaded(std::string_view path_suffix, const std::set<std::string>& loaded) {
  return bad_input("no loaded object's path ends with '{}'; loaded are: {}", path_suffix,
                   fmt::join(loaded, ", "));
}

} // namespace

// A mapped file by its path, as the process sees it (it may have a root of its own), or by a name that opens
// even after it was unlinked (proc(5), root and map_files).
std::string FunctionIndex::openable_path(const Mapping& m) const {
  const std::string process = process_ == 0 ? "self" : std::to_string(process_);
  if (!m.path.empty() && m.path[0] == '/' && !m.path.ends_with(" (deleted)"))
    return process_ == 0 ? m.path : fmt::format("/proc/{}/root{}", process, m.path);
  return fmt::format("/proc/{}/map_files/{:x}-{:x}", process, value(m.start), value(m.end));
}

void FunctionIndex::add(Address start, std::size_t bytes, std::string name) {
  const std::lock_guard lock(mutex_);
  generated_[start] =
      FunctionRange{start, start + static_cast<std::ptrdiff_t>(bytes), next_generation_++, std::move(name)};
}

const FunctionIndex::Object& FunctionIndex::object_of(const AddressSpace& space,
                                                      const Mapping& mapping) const {
  const Mapping& base = load_base(space, mapping);
  std::shared_ptr<Object>& object = objects_[base.start];
  if (object && object->device == base.device && object->inode == base.inode)
    return *object;
  object = std::make_shared<Object>();
  object->device = base.device;
  object->inode = base.inode;
  const auto image = read_elf_functions(openable_path(base));
  if (!image)
    return *object;
  const std::uint64_t generation = next_generation_++;
  const std::ptrdiff_t bias = static_cast<std::ptrdiff_t>(value(base.start) - image->first_load_address);
  for (const ElfFunction& f : image->functions) {
    const Address start = Address{f.start} + bias;
    const bool twice = !object->functions.empty() && object->functions.back().start == start;
    const FunctionRange range{start, start + static_cast<std::ptrdiff_t>(f.bytes), generation, f.name};
    if (twice && object->functions.back().name.empty())
      object->functions.back() = range;
    else if (!twice)
      object->functions.push_back(range);
  }
  return *object;
}

std::optional<FunctionRange> FunctionIndex::containing(const AddressSpace& space, Address a) const {
  const std::lock_guard lock(mutex_);
  if (auto it = generated_.upper_bound(a); it != generated_.begin() && a < (--it)->second.end)
    return it->second;
  const Mapping* mapping = space.find(a);
  if (mapping == nullptr || !mapping->file_backed())
    return std::nullopt;
  const FunctionRange* found = smallest_around(object_of(space, *mapping).functions, a);
  return found != nullptr ? std::optional(*found) : std::nullopt;
}

std::vector<FunctionRange> FunctionIndex::of_object_at(const AddressSpace& space, Address inside) const {
  const std::lock_guard lock(mutex_);
  const Mapping* const mapping = space.find(inside);
  return mapping != nullptr && mapping->file_backed() ? object_of(space, *mapping).functions
                                                      : std::vector<FunctionRange>();
}

std::expected<Address, Error> FunctionIndex::symbol(const AddressSpace& space, std::string_view path_suffix,
                                                    std::string_view name) const {
  std::set<std::string> loaded;
  for (const Mapping& m : space.mappings()) {
    if (!m.file_backed() || !m.executable)
      continue;
    loaded.insert(m.path);
    if (!m.path.ends_with(path_suffix))
      continue;
    const Mapping& base = load_base(space, m);
    const auto image = read_elf_functions(openable_path(base));
    if (!image)
      return std::unexpected(image.error());
    const auto function = std::find_if(image->functions.begin(), image->functions.end(),
                                       [name](const ElfFunction& f) { return f.name == name; });
    if (function == image->functions.end())
      return bad_input("{} has no function '{}'", m.path, name);
    return base.start + static_cast<std::ptrdiff_t>(function->start - image->first_load_address);
  }
  return not_loaded(path_suffix, loaded);
}

} // namespace proberace
