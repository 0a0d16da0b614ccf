#include "probe.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>

static const size_t mebibyte = 1 << 20;

static int fork_bomb(int argc, char **argv) {
  (void)argc;
  long most = number(argv[1]), count = 0;
  pid_t child = 0;
  while (count < most && (child = fork()) > 0) count++;
  if (child == 0 && count < most) {
    for (;;) pause();
  }
  int error = errno;
  found("processes", "%ld", count);
  errno = error;
  report("fork", count == most ? 0 : -1);
  signal(SIGTERM, SIG_IGN);
  kill(0, SIGTERM);
  return 0;
}

/* Touches each page, so that the memory is really there. */
static void touch(char *memory, size_t bytes) {
  for (size_t at = 0; at < bytes; at += 4096) memory[at] = 1;
}

static int take_memory(int argc, char **argv) {
  (void)argc;
  long most = number(argv[1]);
  for (long count = 0; count < most; count++) {
    char *memory = mmap(NULL, mebibyte, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      report("memory", -1);
      found("mebibytes", "%ld", count);
      return 1;
    }
    touch(memory, mebibyte);
  }
  found("mebibytes", "%ld", most);
  report("memory", 0);
  return 0;
}

static int lock_memory(int argc, char **argv) {
  (void)argc;
  size_t bytes = (size_t)number(argv[1]) * mebibyte;
  char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  report("mlock", mlock(memory, bytes));
  return 0;
}

static int shared_memory(int argc, char **argv) {
  (void)argc;
  long most = number(argv[1]);
  char *block = calloc(1, mebibyte);
  int file = open("/dev/shm/probe", O_CREAT | O_WRONLY, 0600);
  report("/dev/shm", file);
  long written = 0;
  while (file >= 0 && written < most && write(file, block, mebibyte) == (ssize_t)mebibyte) written++;
  found("/dev/shm mebibytes", "%ld", written);
  int segment = shmget(IPC_PRIVATE, (size_t)most * mebibyte, IPC_CREAT | 0600);
  char *memory = segment < 0 ? (char *)-1 : shmat(segment, NULL, 0);
  if (memory != (char *)-1) touch(memory, (size_t)most * mebibyte);
  report("System V shared memory", memory == (char *)-1 ? -1 : 0);
  return 0;
}

static int fill(int argc, char **argv) {
  (void)argc;
  int file = open(argv[1], O_CREAT | O_WRONLY | O_TRUNC, 0644);
  report("open", file);
  if (file < 0) return 1;
  signal(SIGXFSZ, SIG_IGN);
  char *block = malloc(mebibyte);
  memset(block, 7, mebibyte);
  long most = number(argv[2]), written = 0;
  ssize_t last = 0;
  while (written < most && (last = write(file, block, mebibyte)) == (ssize_t)mebibyte) written++;
  int error = last >= 0 && last < (ssize_t)mebibyte && written < most ? ENOSPC : errno;
  found("mebibytes", "%ld", written);
  errno = error;
  report("write", written == most ? 0 : -1);
  return 0;
}

static int many_files(int argc, char **argv) {
  (void)argc;
  if (chdir(argv[1]) < 0) return 1;
  long most = number(argv[2]), count = 0;
  int file = 0;
  for (; count < most; count++) {
    char name[32];
    sprintf(name, "file-%ld", count);
    if ((file = open(name, O_CREAT | O_WRONLY, 0644)) < 0) break;
    close(file);
  }
  int error = errno;
  found("files", "%ld", count);
  errno = error;
  report("create", count == most ? 0 : -1);
  return 0;
}

static int descriptors(int argc, char **argv) {
  (void)argc;
  long most = number(argv[1]), count = 0;
  struct rlimit limit = {(rlim_t)most + 16, (rlim_t)most + 16};
  report("setrlimit", setrlimit(RLIMIT_NOFILE, &limit));
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  while (count < most && open("/dev/null", O_RDONLY) >= 0) count++;
  int error = errno;
  found("descriptors", "%ld", count);
  errno = error;
  report("open", count == most ? 0 : -1);
  return 0;
}

static double seconds_of(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int spin(int argc, char **argv) {
  (void)argc;
  double wall = (double)number(argv[1]);
  long processes = number(argv[2]);
  double started = seconds_of(CLOCK_MONOTONIC);
  for (long index = 0; index < processes; index++)
    if (fork() == 0) {
      while (seconds_of(CLOCK_MONOTONIC) - started < wall) {
      }
      _exit(0);
    }
  while (wait(NULL) > 0) {
  }
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  found("cpu milliseconds", "%ld",
        (long)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
            (long)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000);
  found("wall milliseconds", "%ld", (long)((seconds_of(CLOCK_MONOTONIC) - started) * 1000));
  return 0;
}

static int endless(int argc, char **argv) {
  (void)argv;
  while (argc > 0) getppid();
  return 0;
}

/* Takes no notice of any signal that a program may ignore. */
static int stubborn(int argc, char **argv) {
  (void)argc;
  for (int which = 1; which < 65; which++) signal(which, SIG_IGN);
  printf("ready\n");
  fflush(stdout);
  pass((double)number(argv[1]));
  printf("done\n");
  return 0;
}

const struct command resource_commands[] = {
    {"fork", "<most>", fork_bomb},
    {"memory", "<MiB>", take_memory},
    {"mlock", "<MiB>", lock_memory},
    {"shared-memory", "<MiB>", shared_memory},
    {"fill", "<file> <MiB>", fill},
    {"files", "<folder> <most>", many_files},
    {"descriptors", "<most>", descriptors},
    {"spin", "<seconds> <processes>", spin},
    {"endless", "", endless},
    {"stubborn", "<seconds>", stubborn},
    {NULL, NULL, NULL},
};
