#include "harness/file/async_file.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <liburing.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace proberace {

namespace {

struct Writing {
  std::span<const std::byte> rest; // not yet written
  std::uint64_t offset = 0;        // of rest
  std::uint64_t token = 0;
  bool in_use = false;
};

bool lies_in(std::span<const std::byte> part, std::span<const std::byte> whole) {
  return part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size();
}

} // namespace

struct AsyncFile::State {
  std::string path;
  int file = -1;
  Way way = Way::Write;
  io_uring ring{};
  std::span<const std::byte> memory{}; // registered
  std::vector<Writing> writes;         // depth
  unsigned in_flight = 0;
  std::vector<std::uint64_t> done; // that ended without a completion
  bool broken = false;             // the ring
  std::optional<Error> error;

  void fail(int error_number) {
    if (!error)
      error = system_error(fmt::format("writing {}", path), error_number);
  }

  void set_up_ring(const AsyncFileOptions& options) {
    if (!options.use_io_uring || io_uring_queue_init(options.depth, &ring, 0) != 0)
      return;
    way = Way::IoUringUnregistered;
    if (options.memory.empty())
      return;
    const iovec piece{const_cast<std::byte*>(options.memory.data()), options.memory.size()};
    if (io_uring_register_files(&ring, &file, 1) == 0 && io_uring_register_buffers(&ring, &piece, 1) == 0)
      way = Way::IoUring;
    memory = options.memory;
  }

  std::uint64_t end(Writing& w) {
    w.in_use = false;
    --in_flight;
    return w.token;
  }

  void submit(std::size_t slot) {
    const Writing& w = writes[slot];
    io_uring_sqe* const entry = io_uring_get_sqe(&ring); // there is one: no more than depth in flight
    if (way == Way::IoUring && lies_in(w.rest, memory)) {
      io_uring_prep_write_fixed(entry, 0, w.rest.data(), static_cast<unsigned>(w.rest.size()), w.offset, 0);
      io_uring_sqe_set_flags(entry, IOSQE_FIXED_FILE);
    } else {
      io_uring_prep_write(entry, file, w.rest.data(), static_cast<unsigned>(w.rest.size()), w.offset);
    }
    io_uring_sqe_set_data64(entry, slot);
    int submitted = 0;
    do
      submitted = io_uring_submit(&ring);
    while (submitted == -EINTR || submitted == -EAGAIN);
    if (submitted != 1)
      give_up(submitted < 0 ? -submitted : EIO);
  }

  // The ring does not work any more: what is in flight counts as ended, and nothing is submitted again.
  void give_up(int error_number) {
    fail(error_number);
    broken = true;
    for (Writing& w : writes)
      if (w.in_use)
        done.push_back(end(w));
  }

  // The token of a write that is over; none if a short write is continued.
  std::optional<std::uint64_t> take(std::size_t slot, int result) {
    Writing& w = writes[slot];
    if (result == -EINTR || result == -EAGAIN) {
      submit(slot);
      return std::nullopt;
    }
    if (result <= 0) {
      fail(result == 0 ? EIO : -result);
      return end(w);
    }
    w.rest = w.rest.subspan(static_cast<std::size_t>(result));
    w.offset += static_cast<std::size_t>(result);
    if (w.rest.empty())
      return end(w);
    submit(slot);
    return std::nullopt;
  }

  void write_plainly(std::span<const std::byte> bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n > 0) {
        bytes = bytes.subspan(static_cast<std::size_t>(n));
        offset += static_cast<std::size_t>(n);
      } else if (n == 0 || errno != EINTR) {
        fail(n == 0 ? EIO : errno);
        return;
      }
    }
  }
};

AsyncFile::AsyncFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
AsyncFile::AsyncFile(AsyncFile&&) noexcept = default;

AsyncFile::~AsyncFile() {
  if (state_)
    (void)close();
}

std::expected<AsyncFile, Error> AsyncFile::create(const std::string& path, const AsyncFileOptions& options) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->writes.resize(options.depth);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  state->file = ::open(path.c_str(), kFlags, 0644);
  if (state->file < 0)
    return std::unexpected(system_error(fmt::format("cannot create {}", path), errno));
  state->set_up_ring(options);
  return AsyncFile(std::move(state));
}

bool AsyncFile::may_write() const noexcept {
  return state_->in_flight < state_->writes.size();
}

void AsyncFile::write(std::span<const std::byte> bytes, std::uint64_t offset, std::uint64_t token) {
  State& s = *state_;
  if (s.way == Way::Write || s.broken) {
    s.write_plainly(bytes, offset);
    s.done.push_back(token);
    return;
  }
  std::size_t slot = 0;
  while (s.writes[slot].in_use)
    ++slot;
  s.writes[slot] = {bytes, offset, token, true};
  ++s.in_flight;
  s.submit(slot);
}

std::optional<std::uint64_t> AsyncFile::ended(Wait wait) {
  State& s = *state_;
  if (!s.done.empty()) {
    const std::uint64_t token = s.done.back();
    s.done.pop_back();
    return token;
  }
  while (s.in_flight != 0) {
    io_uring_cqe* completion = nullptr;
    const int result =
        wait == Wait::Yes ? io_uring_wait_cqe(&s.ring, &completion) : io_uring_peek_cqe(&s.ring, &completion);
    if (result == -EINTR)
      continue;
    if (result == -EAGAIN && wait == Wait::No)
      return std::nullopt;
    if (result != 0) {
      s.give_up(-result);
      return ended(wait);
    }
    const std::size_t slot = io_uring_cqe_get_data64(completion);
    const int bytes = completion->res;
    io_uring_cqe_seen(&s.ring, completion);
    if (const auto token = s.take(slot, bytes))
      return token;
  }
  return std::nullopt;
}

Status AsyncFile::close() {
  State& s = *state_;
  if (s.file < 0)
    return {};
  while (s.in_flight != 0 && ended(Wait::Yes)) {
  }
  if (::fsync(s.file) != 0)
    s.fail(errno);
  if (s.way != Way::Write)
    io_uring_queue_exit(&s.ring);
  if (::close(std::exchange(s.file, -1)) != 0)
    s.fail(errno);
  if (s.error)
    return std::unexpected(*s.error);
  return {};
}

AsyncFile::Way AsyncFile::way() const noexcept {
  return state_->way;
}

} // namespace proberace
