#include "stress/workload/zlib_workload.h"

#include "harness/machine/pin_plan.h"

#include <algorithm>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>

namespace proberace {

namespace {

constexpr char kTexts[] = "/usr/share/common-licenses";
constexpr int kLevel = 6; // zlib's own default

FileBytes read_file(const std::filesystem::path& path, std::size_t most) {
  std::ifstream in(path, std::ios::binary);
  FileBytes bytes{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  if (most != 0 && bytes.size() > most)
    bytes.resize(most);
  return bytes;
}

std::string own_path(const ZlibLibrary& zlib) {
  Dl_info info{};
  ::dladdr(reinterpret_cast<const void*>(zlib.adler32), &info);
  return info.dli_fname != nullptr ? info.dli_fname : "";
}

FileBytes round_trip(const ZlibLibrary& zlib, const FileBytes& content) {
  FileBytes packed(zlib.compress_bound(content.size()));
  uLongf packed_bytes = packed.size();
  if (zlib.compress2(packed.data(), &packed_bytes, content.data(), content.size(), kLevel) != Z_OK)
    return {};
  packed.resize(packed_bytes);
  FileBytes back(content.size());
  uLongf back_bytes = back.size();
  if (zlib.uncompress(back.data(), &back_bytes, packed.data(), packed.size()) != Z_OK || back != content)
    return {};
  return packed;
}

} // namespace

std::expected<std::vector<ZlibInput>, Error> zlib_inputs(std::size_t bytes_per_file) {
  std::vector<ZlibInput> inputs;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kTexts, error))
    if (entry.is_regular_file() && !entry.is_symlink())
      inputs.push_back({entry.path(), read_file(entry.path(), bytes_per_file)});
  const auto zlib = ZlibLibrary::load();
  if (!zlib)
    return std::unexpected(zlib.error());
  inputs.push_back({own_path(*zlib), read_file(own_path(*zlib), bytes_per_file)});
  std::erase_if(inputs, [](const ZlibInput& i) { return i.content.empty(); });
  if (inputs.empty())
    return std::unexpected(Error{ErrorKind::MachineLacks, {}, "no readable file to compress"});
  std::sort(inputs.begin(), inputs.end(),
            [](const ZlibInput& a, const ZlibInput& b) { return a.path < b.path; });
  return inputs;
}

std::vector<FileBytes> zlib_round_trip(const ZlibLibrary& zlib, const std::vector<ZlibInput>& inputs,
                                       const std::vector<int>& cpus) {
  std::vector<FileBytes> packed(inputs.size());
  const auto run = [&](std::size_t t) {
    (void)pin_this_thread(cpus[t]);
    for (std::size_t i = t; i < inputs.size(); i += cpus.size())
      packed[i] = round_trip(zlib, inputs[i].content);
  };
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < cpus.size(); ++t)
    threads.emplace_back(run, t);
  for (std::thread& thread : threads)
    thread.join();
  return packed;
}

} // namespace proberace
