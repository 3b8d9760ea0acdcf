#include "harness/file/line_writer.h"

#include "harness/file/async_file.h"

#include <utility>

namespace proberace {

namespace {
constexpr std::size_t kBufferBytes = std::size_t{64} << 10;
} // namespace

struct LineWriter::State {
  AsyncFile file;
  std::string filling{};
  std::string in_flight{};  // read until its write has ended
  std::uint64_t offset = 0; // of filling in the file

  void wait() {
    while (file.ended(AsyncFile::Wait::Yes)) {
    }
  }

  // Hands what was filled to the kernel.
  void flush() {
    wait();
    in_flight = std::exchange(filling, {});
    if (!in_flight.empty())
      file.write(std::as_bytes(std::span(in_flight)), std::exchange(offset, offset + in_flight.size()), 0);
  }
};

LineWriter::LineWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineWriter::LineWriter(LineWriter&&) noexcept = default;

LineWriter::~LineWriter() {
  if (state_)
    (void)close();
}

std::expected<LineWriter, Error> LineWriter::create(const std::string& path) {
  auto file = AsyncFile::create(path, {.depth = 1});
  if (!file)
    return std::unexpected(file.error());
  return LineWriter(std::make_unique<State>(State{std::move(*file)}));
}

void LineWriter::append(std::string_view line) {
  state_->filling.append(line);
  state_->filling.push_back('\n');
  if (state_->filling.size() >= kBufferBytes)
    state_->flush();
}

Status LineWriter::close() {
  state_->flush();
  state_->wait();
  return state_->file.close();
}

} // namespace proberace
