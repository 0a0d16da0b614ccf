#include "probe.h"
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <sys/fanotify.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <time.h>

/* Runs an attempt in a process of its own, so that its success changes nothing for the next one. */
static void attempt(const char *what, long (*try)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    report(what, try());
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) printf("%s SIG%s\n", what, sigabbrev_np(WTERMSIG(status)));
}

static long try_io_uring(void) {
  struct io_uring_params params = {0};
  return syscall(SYS_io_uring_setup, 4, &params);
}

static long try_bpf(void) {
  union bpf_attr attr = {0};
  attr.map_type = BPF_MAP_TYPE_ARRAY;
  attr.key_size = 4;
  attr.value_size = 4;
  attr.max_entries = 1;
  return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
}

static long try_add_key(void) { return syscall(SYS_add_key, "user", "probe", "x", 1, KEY_SPEC_PROCESS_KEYRING); }
static long try_keyctl(void) { return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1); }
static long try_request_key(void) {
  long result = syscall(SYS_request_key, "user", "probe", NULL, 0);
  return result < 0 && errno == ENOKEY ? 0 : result;
}
static long try_userfaultfd(void) { return syscall(SYS_userfaultfd, O_CLOEXEC); }

static long try_perf(void) {
  struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attr, .config = PERF_COUNT_SW_TASK_CLOCK};
  return syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
}

static long try_kernel_log(void) {
  char text[64];
  return klogctl(3, text, sizeof text);
}

/* Wrong magic numbers: the call is let in only where it would have worked. */
static long try_reboot(void) {
  long result = syscall(SYS_reboot, 1, 2, 3, NULL);
  return result < 0 && errno == EINVAL ? 0 : result;
}
static long try_swap(void) {
  long result = swapon("/nothing-here", 0);
  return result < 0 && errno == ENOENT ? 0 : result;
}
static long try_fanotify(void) { return fanotify_init(FAN_CLASS_CONTENT, O_RDONLY); }
static long try_handle(void) {
  struct {
    struct file_handle head;
    unsigned char bytes[8];
  } handle = {.head = {.handle_bytes = 8, .handle_type = 1}, .bytes = {2}};
  int at = open("/", O_RDONLY);
  long result = open_by_handle_at(at, &handle.head, O_RDONLY);
  return result < 0 && (errno == ESTALE || errno == EOPNOTSUPP) ? 0 : result;
}

/* What the clock already does: nothing changes where it is allowed. */
static long try_adjust_clock(void) {
  struct timex state = {0};
  if (adjtimex(&state) < 0) return -1;
  struct timex change = {.modes = ADJ_TICK, .tick = state.tick};
  return adjtimex(&change);
}
static long try_set_clock(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return clock_settime(CLOCK_REALTIME, &now);
}
static long try_sethostname(void) { return sethostname("owned", 5); }
static long try_nice(void) { return setpriority(0, 0, -20); }
/* The class of input and output that comes before all others. */
static long try_ioprio(void) { return syscall(SYS_ioprio_set, 1, 0, 1 << 13); }

static int calls(int argc, char **argv) {
  (void)argc, (void)argv;
  attempt("io_uring", try_io_uring);
  attempt("bpf", try_bpf);
  attempt("add_key", try_add_key);
  attempt("keyctl", try_keyctl);
  attempt("request_key", try_request_key);
  attempt("userfaultfd", try_userfaultfd);
  attempt("perf_event_open", try_perf);
  attempt("syslog", try_kernel_log);
  attempt("reboot", try_reboot);
  attempt("swapon", try_swap);
  attempt("fanotify", try_fanotify);
  attempt("open_by_handle_at", try_handle);
  attempt("adjtimex", try_adjust_clock);
  attempt("clock_settime", try_set_clock);
  attempt("sethostname", try_sethostname);
  attempt("setpriority", try_nice);
  attempt("ioprio_set", try_ioprio);
  return 0;
}

static long try_mount(void) { return mount("none", "/tmp", "tmpfs", 0, ""); }
static long try_mount_proc(void) { return mount("proc", "/tmp", "proc", 0, ""); }
static long try_bind(void) { return mount("/", "/tmp", NULL, MS_BIND, ""); }
static long try_remount(void) { return mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND, ""); }
static long try_umount(void) { return umount2("/etc/hosts", MNT_DETACH); }
static long try_fsopen(void) { return syscall(SYS_fsopen, "tmpfs", 0); }
static long try_chroot(void) { return chroot("/tmp"); }
static long try_new_user(void) { return unshare(CLONE_NEWUSER); }
static long try_new_mounts(void) { return unshare(CLONE_NEWNS); }
static long try_new_pids(void) { return unshare(CLONE_NEWPID); }
static long try_new_network(void) { return unshare(CLONE_NEWNET); }
static long try_clone(void) {
  long child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
  if (child == 0) _exit(0);
  return child;
}
static long try_clone3(void) {
  uint64_t wanted[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
  long child = syscall(SYS_clone3, wanted, sizeof wanted);
  if (child == 0) _exit(0);
  return child;
}
static long try_setns(void) { return setns(open("/proc/self/ns/uts", O_RDONLY), CLONE_NEWUTS); }
static long try_setuid(void) { return setuid(0); }
/* The kernel's log: made anew, and read. */
static long try_mknod(void) {
  if (mknod("/tmp/device", S_IFCHR | 0600, makedev(1, 11)) < 0) return -1;
  return open("/tmp/device", O_RDONLY | O_NONBLOCK);
}

static int namespaces(int argc, char **argv) {
  (void)argc, (void)argv;
  attempt("mount", try_mount);
  attempt("mount-proc", try_mount_proc);
  attempt("bind", try_bind);
  attempt("remount", try_remount);
  attempt("umount", try_umount);
  attempt("fsopen", try_fsopen);
  attempt("chroot", try_chroot);
  attempt("unshare-user", try_new_user);
  attempt("unshare-mounts", try_new_mounts);
  attempt("unshare-pids", try_new_pids);
  attempt("unshare-network", try_new_network);
  attempt("clone", try_clone);
  attempt("clone3", try_clone3);
  attempt("setns", try_setns);
  attempt("setuid", try_setuid);
  attempt("mknod", try_mknod);
  return 0;
}

/* `write <path> ...`: opens what is there for writing, and makes what is not. Writes nothing. */
static int write_to(int argc, char **argv) {
  for (int at = 1; at < argc; at++) {
    int file = open(argv[at], O_WRONLY | O_NONBLOCK | O_APPEND);
    if (file < 0 && errno == ENOENT) file = open(argv[at], O_WRONLY | O_CREAT, 0600);
    report(argv[at], file);
    if (file >= 0) close(file);
  }
  return 0;
}

static int execute(const char *path) {
  fflush(stdout);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -1;
  pid_t child = fork();
  if (child == 0) {
    execl(path, path, "who", (char *)NULL);
    int error = errno;
    if (write(ends[1], &error, sizeof error) < 0) _exit(1);
    _exit(1);
  }
  close(ends[1]);
  int error = 0;
  ssize_t got = read(ends[0], &error, sizeof error);
  waitpid(child, NULL, 0);
  errno = error;
  return got == 0 ? 0 : -1;
}

/* Copies itself to each path and runs it from there; then without any file, from memory. */
static int execute_from(int argc, char **argv) {
  size_t room = 8 << 20;
  char *self = malloc(room);
  int source = open("/proc/self/exe", O_RDONLY);
  ssize_t bytes = read(source, self, room);
  for (int at = 1; at < argc; at++) {
    int copy = open(argv[at], O_CREAT | O_WRONLY | O_TRUNC, 0755);
    if (copy < 0 || write(copy, self, (size_t)bytes) != bytes) {
      report(argv[at], -1);
      continue;
    }
    close(copy);
    report(argv[at], execute(argv[at]));
  }
  return 0;
}

/* `raise <program>`: runs a program that is another user's and has his rights written on it. */
static int raise_rights(int argc, char **argv) {
  (void)argc;
  report("execute", execute(argv[1]));
  return 0;
}

static int who(int argc, char **argv) {
  (void)argc, (void)argv;
  found("effective user", "%d", geteuid());
  return 0;
}

/* `outside <pid>`: reaches for a process that is not the sandbox's. */
static int outside(int argc, char **argv) {
  (void)argc;
  pid_t pid = (pid_t)number(argv[1]);
  report("kill", kill(pid, 0));
  long seized = ptrace(PTRACE_SEIZE, pid, NULL, NULL);
  report("ptrace", seized);
  if (seized == 0) ptrace(PTRACE_DETACH, pid, NULL, NULL);
  char path[64];
  sprintf(path, "/proc/%d/environ", pid);
  report("environ", open(path, O_RDONLY));
  sprintf(path, "/proc/%d/root/etc", pid);
  report("root", open(path, O_RDONLY));
  return 0;
}

const struct command kernel_commands[] = {
    {"calls", "", calls},
    {"namespaces", "", namespaces},
    {"write", "<path> ...", write_to},
    {"execute-from", "<path> ...", execute_from},
    {"raise", "<program>", raise_rights},
    {"who", "", who},
    {"outside", "<pid>", outside},
    {NULL, NULL, NULL},
};
