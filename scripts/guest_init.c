// The first process of a guest that scripts/kernel boots. It runs one command and hands over what it printed, how it
// ended and the files that it left. The guest has no shell.
//
// Serial ports: ttyS0 the kernel's console, ttyS1 the command's standard output, ttyS2 its standard error, ttyS3 a tar
// archive with the file `status` ("exited N" or "killed N") and the command's working folder `work`.
// /command holds the command's words, each ended by a zero byte.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum {
  kMostWords = 1024,
  kMostRest = 4096, // times that a pipe is read when its program has ended
};

static void end_guest(void) {
  sync();
  reboot(RB_AUTOBOOT); // QEMU is told to end where the guest reboots
  for (;;)
    pause();
}

static void fail(const char *what) {
  fprintf(stderr, "guest: %s: %s\n", what, strerror(errno));
  end_guest();
}

// A kernel that lacks one of the file systems can still run what does not need it.
static void mount_at(const char *type, const char *at, const char *options) {
  mkdir(at, 0755);
  if (mount(type, at, type, 0, options) != 0 && errno != EBUSY)
    fprintf(stderr, "guest: no %s at %s: %s\n", type, at, strerror(errno));
}

static int port(const char *path) {
  const int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    fail(path);
  struct termios raw;
  if (tcgetattr(fd, &raw) != 0)
    fail(path);
  cfmakeraw(&raw);
  cfsetspeed(&raw, B115200);
  tcsetattr(fd, TCSANOW, &raw);
  return fd;
}

static void write_all(int fd, const char *bytes, ssize_t count) {
  while (count > 0) {
    const ssize_t written = write(fd, bytes, (size_t)count);
    if (written < 0 && errno != EINTR && errno != EAGAIN)
      return;
    if (written > 0) {
      bytes += written;
      count -= written;
    }
  }
}

static void read_words(char **words) {
  static char text[1 << 16];
  const int fd = open("/command", O_RDONLY);
  const ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (size <= 0)
    fail("/command");
  close(fd);
  int count = 0;
  for (char *word = text; word < text + size && count < kMostWords; word += strlen(word) + 1)
    words[count++] = word;
  words[count] = NULL;
}

// Runs a program; what it prints goes to the ports. Returns its wait status. Descendants that keep a pipe open are not
// waited for.
static int run(char **words, const char *folder, const int *ports) {
  static char bytes[1 << 14];
  int pipes[2][2];
  if (pipe2(pipes[0], O_CLOEXEC) != 0 || pipe2(pipes[1], O_CLOEXEC) != 0)
    fail("/ pipe");
  const pid_t program = fork();
  if (program < 0)
    fail("/ fork");
  if (program == 0) {
    setsid();
    const int none = open("/dev/null", O_RDONLY);
    if (chdir(folder) != 0 || dup2(none, 0) < 0 || dup2(pipes[0][1], 1) < 0 || dup2(pipes[1][1], 2) < 0)
      _exit(127);
    execv(words[0], words);
    fprintf(stderr, "%s: %s\n", words[0], strerror(errno));
    _exit(127);
  }
  struct pollfd from[2];
  for (int i = 0; i < 2; ++i) {
    close(pipes[i][1]);
    from[i] = (struct pollfd){pipes[i][0], POLLIN, 0};
  }
  int status = 0;
  for (int ended = 0, rest = kMostRest; rest > 0; rest -= ended) {
    pid_t child = 0;
    int how = 0;
    while (!ended && (child = waitpid(-1, &how, WNOHANG)) > 0) // orphans, too
      if (child == program) {
        status = how;
        ended = 1;
      }
    const int ready = poll(from, 2, ended ? 0 : 100);
    if (ended && ready <= 0)
      break;
    for (int i = 0; i < 2; ++i)
      if (from[i].revents != 0) {
        const ssize_t count = read(from[i].fd, bytes, sizeof bytes);
        if (count > 0)
          write_all(ports[i], bytes, count);
        else
          from[i].fd = -1; // poll passes over it
      }
  }
  close(pipes[0][0]);
  close(pipes[1][0]);
  return status;
}

// The kernel opened a console for us in its own /dev, or none.
static void print_on_console(void) {
  const int console = open("/dev/console", O_RDWR | O_NOCTTY);
  for (int fd = 0; console >= 0 && fd < 3; ++fd)
    dup2(console, fd);
  if (console > 2)
    close(console);
}

int main(void) {
  mount_at("devtmpfs", "/dev", NULL);
  print_on_console();
  mount_at("proc", "/proc", NULL);
  mount_at("sysfs", "/sys", NULL);
  mount_at("tracefs", "/sys/kernel/tracing", NULL);
  mount_at("bpf", "/sys/fs/bpf", NULL);
  mount_at("tmpfs", "/dev/shm", "size=50%");
  mount_at("tmpfs", "/tmp", "size=50%");
  mount_at("tmpfs", "/out", "size=50%");
  mkdir("/out/work", 0755);
  sethostname("guest", 5);
  setenv("PATH", "/bin:/usr/bin:/sbin:/usr/sbin", 1);
  setenv("HOME", "/tmp", 1);
  const struct rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);

  char *words[kMostWords + 1];
  read_words(words);
  const int ports[2] = {port("/dev/ttyS1"), port("/dev/ttyS2")};
  const int archive = port("/dev/ttyS3");
  printf("guest: started\n");
  fflush(stdout);
  const int status = run(words, "/out/work", ports);
  kill(-1, SIGKILL);

  FILE *file = fopen("/out/status", "w");
  if (file == NULL)
    fail("/out/status");
  if (WIFSIGNALED(status))
    fprintf(file, "killed %d\n", WTERMSIG(status));
  else
    fprintf(file, "exited %d\n", WEXITSTATUS(status));
  fclose(file);
  char *tar[] = {"/sbin/tar", "-cf", "-", "-C", "/out", ".", NULL};
  const int to[2] = {archive, STDERR_FILENO};
  if (run(tar, "/out", to) != 0)
    fail("/ tar");
  tcdrain(ports[0]);
  tcdrain(ports[1]);
  tcdrain(archive);
  end_guest();
}
