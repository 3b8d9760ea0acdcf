#include "harness/record/line_writer.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <liburing.h>
#include <optional>
#include <string>
#include <unistd.h>
#include <utility>

namespace proberace {

namespace {
constexpr std::size_t kBufferBytes = std::size_t{64} << 10;
constexpr unsigned kQueueEntries = 4;
} // namespace

struct LineWriter::State {
  std::string path;
  int file = -1;
  bool ring_works = false;
  io_uring ring{};
  std::string filling;
  std::string in_flight;    // the kernel reads it until the completion
  std::size_t written = 0;  // of in_flight
  std::uint64_t offset = 0; // of in_flight in the file
  bool waiting = false;
  std::optional<Error> error;

  void fail(int error_number) {
    if (!error)
      error = system_error(fmt::format("writing {}", path), error_number);
  }

  void submit() {
    io_uring_sqe* const entry = io_uring_get_sqe(&ring);
    io_uring_prep_write(entry, file, in_flight.data() + written,
                        static_cast<unsigned>(in_flight.size() - written), offset + written);
    waiting = io_uring_submit(&ring) == 1;
    if (!waiting)
      fail(EIO);
  }

  // Until in_flight is written whole; a short write goes on where it stopped.
  void reap() {
    while (waiting) {
      io_uring_cqe* completion = nullptr;
      const int result = io_uring_wait_cqe(&ring, &completion);
      if (result == -EINTR)
        continue;
      const int bytes = result < 0 ? result : completion->res;
      if (result == 0)
        io_uring_cqe_seen(&ring, completion);
      waiting = false;
      if (bytes <= 0) {
        fail(bytes == 0 ? EIO : -bytes);
        return;
      }
      written += static_cast<std::size_t>(bytes);
      if (written < in_flight.size())
        submit();
    }
  }

  void write_plainly() {
    while (written < in_flight.size() && !error) {
      const ssize_t bytes = ::pwrite(file, in_flight.data() + written, in_flight.size() - written,
                                     static_cast<off_t>(offset + written));
      if (bytes > 0)
        written += static_cast<std::size_t>(bytes);
      else if (errno != EINTR)
        fail(bytes == 0 ? EIO : errno);
    }
  }

  // Hands what was filled to the kernel.
  void flush() {
    reap();
    offset += in_flight.size();
    in_flight = std::exchange(filling, {});
    written = 0;
    if (in_flight.empty() || error)
      return;
    if (ring_works)
      submit();
    else
      write_plainly();
  }
};

LineWriter::LineWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineWriter::LineWriter(LineWriter&&) noexcept = default;

LineWriter::~LineWriter() {
  if (state_)
    (void)close();
}

std::expected<LineWriter, Error> LineWriter::create(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (state->file < 0)
    return std::unexpected(system_error(fmt::format("cannot create {}", path), errno));
  state->ring_works = io_uring_queue_init(kQueueEntries, &state->ring, 0) == 0;
  return LineWriter(std::move(state));
}

void LineWriter::append(std::string_view line) {
  state_->filling.append(line);
  state_->filling.push_back('\n');
  if (state_->filling.size() >= kBufferBytes)
    state_->flush();
}

Status LineWriter::close() {
  if (state_->file < 0)
    return {};
  state_->flush();
  state_->reap();
  if (::fsync(state_->file) != 0)
    state_->fail(errno);
  ::close(std::exchange(state_->file, -1));
  if (std::exchange(state_->ring_works, false))
    io_uring_queue_exit(&state_->ring);
  if (state_->error)
    return std::unexpected(*state_->error);
  return {};
}

bool LineWriter::uses_io_uring() const noexcept {
  return state_->ring_works;
}

} // namespace proberace
