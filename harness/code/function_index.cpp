#include "harness/code/function_index.h"

#include "harness/base/failure.h"
#include "harness/base/process_memory.h"
#include "harness/code/decode.h"
#include "harness/code/elf_functions.h"
#include "harness/code/mapped_file.h"
#include "harness/code/reached_code.h"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <fmt/format.h>
#include <set>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace proberace {

// A mapped file's bytes and what they say.
struct FunctionIndex::File {
  std::string path; // opens it
  // Not of this process: a mapping of ours would be one more of the target's (H67).
  std::optional<MappedFile> content;
  ElfImage image; // of this process without symbols and slots, whose names are views into the content
  std::optional<ReachedCode> reached{};

  const ReachedCode& reached_code() {
    if (reached)
      return *reached;
    if (content)
      return reached.emplace(content->bytes(), image);
    const auto opened = MappedFile::open(path);
    return reached.emplace(opened ? opened->bytes() : std::span<const std::uint8_t>{}, image);
  }

  bool read(std::uint64_t offset, std::span<std::uint8_t> out) const {
    if (content) {
      const auto bytes = content->bytes();
      if (offset > bytes.size() || out.size() > bytes.size() - offset)
        return false;
      std::ranges::copy(bytes.subspan(offset, out.size()), out.begin());
      return true;
    }
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    const ssize_t n = file >= 0 ? ::pread(file, out.data(), out.size(), static_cast<off_t>(offset)) : -1;
    if (file >= 0)
      ::close(file);
    return n == static_cast<ssize_t>(out.size());
  }
};

// A file loaded at one place.
struct FunctionIndex::Object {
  std::shared_ptr<File> file; // null if it is no ELF file, or is not loaded as its program headers say
  std::string path;
  std::ptrdiff_t bias = 0;              // memory's addresses less the file's
  std::vector<FunctionRange> functions; // sorted by start
};

namespace {

bool same_file(const Mapping& a, const Mapping& b) {
  return a.device == b.device && a.inode == b.inode;
}

std::uint64_t page_down(std::uint64_t a) {
  return a & ~std::uint64_t{kPageBytes - 1};
}

// True if the segment's first page is where it must be for this bias.
bool is_mapped(const AddressSpace& space, const Mapping& of, const ElfSegment& segment, std::ptrdiff_t bias) {
  const Address at = Address{page_down(segment.address)} + bias;
  const Mapping* const m = space.find(at);
  return m != nullptr && same_file(*m, of) &&
         m->file_offset + static_cast<std::uint64_t>(at - m->start) == page_down(segment.file_offset);
}

// The bias of the object that this mapping is a part of. One page of a file may belong to several segments, so each
// is tried, and the bias with which most segments are mapped is taken. None if the mapping is of no segment.
std::optional<std::ptrdiff_t> bias_of(const AddressSpace& space, const Mapping& mapping,
                                      const ElfImage& image) {
  std::optional<std::ptrdiff_t> best;
  std::size_t most = 0;
  for (const ElfSegment& s : image.segments) {
    if (s.file_bytes == 0 || mapping.file_offset < page_down(s.file_offset) ||
        mapping.file_offset >= s.file_offset + s.file_bytes)
      continue;
    const auto bias =
        static_cast<std::ptrdiff_t>(value(mapping.start) - mapping.file_offset + s.file_offset - s.address);
    std::size_t mapped = 0;
    for (const ElfSegment& other : image.segments)
      mapped += other.file_bytes != 0 && is_mapped(space, mapping, other, bias) ? 2 : 0;
    // Of two that are as good, the one whose code is executable.
    mapped += mapping.executable == ((s.protection & PROT_EXEC) != 0) ? 1 : 0;
    if (mapped > most) {
      most = mapped;
      best = bias;
    }
  }
  return best;
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

constexpr std::string_view kDeleted = " (deleted)";

} // namespace

// By its path as the process sees it, which may have a root of its own, if that is still the mapped file; else by a
// name that opens even after it was unlinked or replaced (proc(5), root and map_files).
std::string FunctionIndex::openable_path(const Mapping& m) const {
  const std::string process = process_ == 0 ? "self" : std::to_string(process_);
  std::string linked = fmt::format("/proc/{}/map_files/{:x}-{:x}", process, value(m.start), value(m.end));
  if (m.path.empty() || m.path[0] != '/')
    return linked;
  const std::string by_path = process_ == 0 ? m.path : fmt::format("/proc/{}/root{}", process, m.path);
  struct stat found {};
  const bool is_it = ::stat(by_path.c_str(), &found) == 0 && found.st_ino == m.inode;
  // Some file systems number a file in two ways, and not everybody may open the other name.
  return is_it || ::access(linked.c_str(), R_OK) != 0 ? by_path : linked;
}

void FunctionIndex::add(Address start, std::size_t bytes, std::string name) {
  const std::lock_guard lock(mutex_);
  const Address end = start + static_cast<std::ptrdiff_t>(bytes);
  auto first = generated_.lower_bound(start);
  if (first != generated_.begin() && std::prev(first)->second.end > start)
    --first;
  generated_.erase(first, generated_.lower_bound(end));
  generated_[start] = FunctionRange{start, end, next_generation_++, std::move(name)};
}

std::shared_ptr<FunctionIndex::File> FunctionIndex::file_of(const Mapping& mapping) const {
  const auto [it, fresh] = files_.try_emplace({mapping.device, mapping.inode});
  if (!fresh)
    return it->second;
  const std::string path = openable_path(mapping);
  auto content = MappedFile::open(path);
  if (!content)
    return nullptr;
  auto image =
      read_elf_functions(content->bytes(), path, process_ != 0 ? DebugFile::Read : DebugFile::Ignored);
  if (!image)
    return nullptr;
  it->second = std::make_shared<File>(path, std::nullopt, std::move(*image));
  if (process_ != 0) {
    it->second->content.emplace(std::move(*content));
  } else {
    it->second->image.symbols.clear();
    it->second->image.slots.clear();
  }
  return it->second;
}

const FunctionIndex::Object& FunctionIndex::object_of(const AddressSpace& space,
                                                      const Mapping& mapping) const {
  Known& known = objects_[mapping.start];
  if (known.object && same_file(known.mapping, mapping) && known.mapping.file_offset == mapping.file_offset)
    return *known.object;
  known.mapping = mapping;
  auto object = std::make_shared<Object>();
  object->path = mapping.path;
  const auto file = file_of(mapping);
  const auto bias = file ? bias_of(space, mapping, file->image) : std::nullopt;
  if (bias) {
    for (const auto& [start, other] : objects_) // by another of its mappings
      if (other.object && other.object->file == file && other.object->bias == *bias)
        return *(known.object = other.object);
    object->file = file;
    object->bias = *bias;
    const std::uint64_t generation = next_generation_++;
    for (const ElfFunction& f : file->image.functions) {
      const Address start = Address{f.start} + *bias;
      const bool twice = !object->functions.empty() && object->functions.back().start == start;
      const FunctionRange range{start, start + static_cast<std::ptrdiff_t>(f.bytes), generation, f.name,
                                f.guessed_end};
      if (twice && object->functions.back().name.empty())
        object->functions.back() = range;
      else if (!twice)
        object->functions.push_back(range);
    }
  }
  return *(known.object = object);
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
  if (mapping == nullptr || !mapping->file_backed())
    return {};
  std::vector<FunctionRange> functions = object_of(space, *mapping).functions;
  std::erase_if(functions, [](const FunctionRange& f) { return f.guessed_end; });
  return functions;
}

std::vector<LoadedObject> FunctionIndex::objects(const AddressSpace& space) const {
  const std::lock_guard lock(mutex_);
  std::vector<LoadedObject> all;
  std::set<const Object*> seen;
  for (const Mapping& m : space.mappings()) {
    if (!m.file_backed() || !m.executable)
      continue;
    const Object& object = object_of(space, m);
    if (!seen.insert(&object).second)
      continue;
    std::string_view path = m.path;
    if (path.ends_with(kDeleted))
      path.remove_suffix(kDeleted.size());
    const std::shared_ptr<const ElfImage> image =
        object.file ? std::shared_ptr<const ElfImage>(object.file, &object.file->image) : nullptr;
    all.push_back({std::string(path), m.device, m.inode, image, object.bias});
  }
  return all;
}

std::optional<std::vector<bool>> FunctionIndex::reached(const AddressSpace& space,
                                                        const FunctionRange& function) const {
  const std::lock_guard lock(mutex_);
  if (const auto it = generated_.find(function.start);
      it != generated_.end() && it->second.generation == function.generation)
    return std::nullopt;
  std::vector<bool> starts(static_cast<std::size_t>(function.end - function.start));
  const Mapping* const mapping = space.find(function.start);
  if (mapping == nullptr || !mapping->file_backed())
    return starts;
  const Object& object = object_of(space, *mapping);
  if (!object.file)
    return starts;
  const ReachedCode& code = object.file->reached_code();
  const std::uint64_t start = value(function.start - object.bias);
  for (std::size_t i = 0; i < starts.size(); ++i)
    starts[i] = code.begins_at(start + i);
  return starts;
}

Status FunctionIndex::shows_its_file(const AddressSpace& space, Address at,
                                     std::span<const std::uint8_t> code) const {
  const std::lock_guard lock(mutex_);
  const Mapping* const mapping = space.find(at);
  if (mapping == nullptr || !mapping->file_backed())
    return {};
  const Object& object = object_of(space, *mapping);
  if (!object.file || object.file->image.relocates_text)
    return {};
  const std::uint64_t offset = mapping->file_offset + static_cast<std::uint64_t>(at - mapping->start);
  std::array<std::uint8_t, kMaxInstructionBytes> in_file{};
  const std::span same = std::span(in_file).first(std::min(code.size(), in_file.size()));
  if (object.file->read(offset, same) && !std::ranges::equal(code.first(same.size()), same))
    return failure(ErrorKind::StaleSite, at,
                   "the code here is not that of the file {}: something has changed it", object.path);
  return {};
}

} // namespace proberace
