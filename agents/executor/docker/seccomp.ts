/*
 * What a job may ask the kernel for. The engine's own filter lets through what a job has no use for: io_uring and
 * ptrace, and sockets that lead out of a container without a network, such as those between a virtual machine and its
 * host. Everything that is not named here fails as if it were not permitted.
 */

const files = [
  ..."open openat openat2 creat close close_range dup dup2 dup3 fcntl flock ioctl".split(" "),
  ..."read pread64 readv preadv preadv2 write pwrite64 writev pwritev pwritev2 lseek".split(" "),
  ..."stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2 getdents getdents64".split(" "),
  ..."chdir fchdir getcwd mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 link linkat".split(" "),
  ..."symlink symlinkat readlink readlinkat mknod mknodat chmod fchmod fchmodat fchmodat2 umask".split(" "),
  ..."chown lchown fchown fchownat utime utimes utimensat futimesat truncate ftruncate fallocate".split(" "),
  ..."sync syncfs fsync fdatasync sync_file_range fadvise64 readahead cachestat".split(" "),
  ..."getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr".split(" "),
  ..."setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr".split(" "),
  ..."sendfile splice tee vmsplice copy_file_range inotify_init inotify_init1 inotify_add_watch".split(" "),
  ..."inotify_rm_watch io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents".split(" "),
];

const memory = [
  ..."brk mmap munmap mremap mprotect madvise mincore msync remap_file_pages memfd_create membarrier".split(" "),
  ..."mlock mlock2 mlockall munlock munlockall pkey_alloc pkey_free pkey_mprotect map_shadow_stack mseal".split(" "),
  ..."shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl".split(" "),
  ..."mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr".split(" "),
];

const processes = [
  ..."fork vfork execve execveat exit exit_group wait4 waitid getpid getppid gettid getpgid setpgid getpgrp".split(" "),
  ..."getsid setsid pidfd_open pidfd_send_signal prctl arch_prctl set_tid_address set_robust_list".split(" "),
  ..."get_robust_list rseq futex futex_waitv futex_wake futex_wait futex_requeue restart_syscall seccomp".split(" "),
  ..."getuid geteuid getgid getegid getresuid getresgid getgroups capget".split(" "),
  ..."setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset".split(" "),
  ..."getrlimit setrlimit prlimit64 getrusage getpriority setpriority ioprio_get ioprio_set getcpu".split(" "),
  ..."sched_yield sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler sched_getparam".split(" "),
  ..."sched_setparam sched_getattr sched_setattr sched_get_priority_max sched_get_priority_min".split(" "),
  ..."sched_rr_get_interval uname sysinfo getrandom riscv_flush_icache riscv_hwprobe".split(" "),
];

const signals = [
  ..."kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait".split(" "),
  ..."rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn sigaltstack signalfd signalfd4 pause alarm".split(" "),
];

const time = [
  ..."time gettimeofday clock_gettime clock_getres clock_nanosleep nanosleep times getitimer setitimer".split(" "),
  ..."timer_create timer_settime timer_gettime timer_getoverrun timer_delete".split(" "),
  ..."timerfd_create timerfd_settime timerfd_gettime".split(" "),
];

const waiting = [
  ..."select pselect6 poll ppoll epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2".split(" "),
  ..."eventfd eventfd2 pipe pipe2".split(" "),
];

/** What works on sockets that are there; which can be made is said below. */
const sockets = [
  ..."socketpair bind connect listen accept accept4 getsockname getpeername getsockopt setsockopt".split(" "),
  ..."sendto sendmsg sendmmsg recvfrom recvmsg recvmmsg shutdown".split(" "),
];

/** Sockets within the container: local ones, and those of its own loopback interface. */
const socketFamilies = { AF_UNIX: 1, AF_INET: 2, AF_INET6: 10 };

const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;

/** Every flag that gives a new process namespaces of its own. */
const CLONE_NAMESPACES = 0x7e020000;

const ENOSYS = 38;

interface Condition {
  index: number;
  value: number;
  valueTwo?: number;
  op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ";
}

interface Rule {
  names: string[];
  action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
  errnoRet?: number;
  args?: Condition[];
}

const allow = (names: string[], ...args: Condition[]): Rule => ({ names, action: "SCMP_ACT_ALLOW", args });
const equal = (index: number, value: number): Condition => ({ index, value, op: "SCMP_CMP_EQ" });

const rules: Rule[] = [
  allow([...files, ...memory, ...processes, ...signals, ...time, ...waiting, ...sockets]),
  ...Object.values(socketFamilies).map((family) => allow(["socket"], equal(0, family))),
  allow(["socket"], equal(0, AF_NETLINK), equal(2, NETLINK_ROUTE)),
  // `value` is the mask: none of these flags may be set.
  allow(["clone"], { index: 0, value: CLONE_NAMESPACES, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }),
  // Its flags lie in memory, where no filter sees them. Programs that are told it does not exist use clone.
  { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
  // The usual layout of a process, and asking for it.
  allow(["personality"], equal(0, 0)),
  allow(["personality"], equal(0, 0xffffffff)),
];

/**
 * The filter of system calls for jobs, as the engine takes it: JSON after `seccomp=` in a container's security options.
 * It knows 64-bit programs only, of x86, ARM and RISC-V. gVisor does not use it, it answers these calls itself.
 */
export const seccompProfile = JSON.stringify({
  defaultAction: "SCMP_ACT_ERRNO",
  archMap: ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64"].map((architecture) => ({
    architecture,
    subArchitectures: [],
  })),
  syscalls: rules,
});
