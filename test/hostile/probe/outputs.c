#include "probe.h"
#include <sys/socket.h>
#include <sys/un.h>

static void put(const char *path, const char *text) {
  int file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
  report(path, file < 0 ? -1 : write(file, text, strlen(text)));
  if (file >= 0) close(file);
}

/* `leave <kind> ...`: makes each in the folder it stands in. */
static int leave(int argc, char **argv) {
  if (chdir(argv[1]) < 0) {
    report("chdir", -1);
    return 1;
  }
  for (int at = 2; at < argc; at++) {
    const char *kind = argv[at];
    if (strcmp(kind, "plain") == 0)
      put("plain.txt", "plain");
    else if (strcmp(kind, "link") == 0)
      report(kind, symlink("/etc/shadow", "link"));
    else if (strcmp(kind, "link-up") == 0)
      report(kind, symlink("../../../../../../etc/hostname", "link-up"));
    else if (strcmp(kind, "link-folder") == 0)
      report(kind, symlink("/etc", "link-folder"));
    else if (strcmp(kind, "link-itself") == 0)
      report(kind, symlink("link-itself", "link-itself"));
    else if (strcmp(kind, "fifo") == 0)
      report(kind, mkfifo("fifo", 0666));
    else if (strcmp(kind, "device") == 0)
      report(kind, mknod("device", S_IFCHR | 0666, 0x0103));
    else if (strcmp(kind, "socket") == 0) {
      struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
      report(kind, bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&name, sizeof name));
    } else if (strcmp(kind, "hard-links") == 0) {
      put("original", "linked");
      report(kind, link("original", "second"));
      report("link to a file of another's", link("/bin/busybox", "busybox"));
    } else if (strcmp(kind, "sparse") == 0) {
      signal(SIGXFSZ, SIG_IGN);
      report(kind, truncate("sparse", 0) < 0 && errno == ENOENT ? open("sparse", O_CREAT | O_WRONLY, 0644) : 0);
      report("a tebibyte", truncate("sparse", 1L << 40));
      report("a gibibyte", truncate("sparse", 1L << 30));
    } else if (strcmp(kind, "setuid") == 0) {
      put("setuid", "x");
      report(kind, chmod("setuid", 04777));
    } else if (strcmp(kind, "unreadable") == 0) {
      put("unreadable", "hidden");
      report(kind, chmod("unreadable", 0));
    } else if (strcmp(kind, "folder-swapped") == 0) {
      report(kind, mkdir("folder", 0755));
      put("folder/inner", "x");
    } else if (strcmp(kind, "bad-utf8") == 0)
      put("bad-\xff\xfe", "x");
    else if (strcmp(kind, "newline") == 0)
      put("a\nb", "x");
    else if (strcmp(kind, "escape") == 0)
      put("a\033[31mb", "x");
    else if (strcmp(kind, "backslash") == 0)
      put("a\\b", "x");
    else if (strcmp(kind, "long") == 0) {
      char name[256] = {0};
      memset(name, 'n', 255);
      put(name, "x");
    } else {
      fprintf(stderr, "there is no kind %s\n", kind);
      return 2;
    }
  }
  return 0;
}

/* `deep <folder> <levels>`: folders within folders, far beyond what fits in a path. */
static int deep(int argc, char **argv) {
  (void)argc;
  long most = number(argv[2]), level = 0;
  if (chdir(argv[1]) < 0) return 1;
  while (level < most && mkdir("d", 0755) == 0 && chdir("d") == 0) level++;
  int error = errno;
  found("levels", "%ld", level);
  errno = error;
  report("deep", level == most ? 0 : -1);
  put("file", "x");
  return 0;
}

/* `stdout <MiB>` */
static int flood(int argc, char **argv) {
  (void)argc;
  long most = number(argv[1]);
  static char block[1 << 16];
  memset(block, 'o', sizeof block);
  for (long count = 0; count < most * 16; count++)
    for (size_t at = 0; at < sizeof block;) {
      ssize_t written = write(1, block + at, sizeof block - at);
      if (written < 0) return 1;
      at += (size_t)written;
    }
  return 0;
}

/* `drip <file> <bytes>`: slowly to the file, to standard output too. */
static int drip(int argc, char **argv) {
  (void)argc;
  int file = open(argv[1], O_CREAT | O_WRONLY | O_TRUNC, 0644);
  for (long left = number(argv[2]); left > 0; left--) {
    if (write(1, ".", 1) < 0 || write(file, ".", 1) < 0) return 1;
    pass(0.05);
  }
  return 0;
}

/* Leaves the process that started it, as a daemon does. */
static bool is_daemon(void) {
  if (fork() > 0) return false;
  setsid();
  if (fork() > 0) _exit(0);
  for (int which = 1; which < 65; which++) signal(which, SIG_IGN);
  return true;
}

/* `daemon <file> <seconds> <mark>`: stays when its parent ends, and then writes. */
static int outlive(int argc, char **argv) {
  (void)argc;
  if (!is_daemon()) {
    printf("gone\n");
    return 0;
  }
  close(0), close(1), close(2);
  pass((double)number(argv[2]));
  int file = open(argv[1], O_CREAT | O_WRONLY, 0644);
  if (write(file, "late", 4) < 0) return 1;
  pass(3600);
  return 0;
}

/* `churn <file>`: a daemon that writes the file anew all the time, all of its bytes the same. */
static int churn(int argc, char **argv) {
  (void)argc;
  static char block[1 << 20];
  int file = open(argv[1], O_CREAT | O_WRONLY, 0644);
  memset(block, 'a', sizeof block);
  if (write(file, block, sizeof block) < 0) return 1;
  if (!is_daemon()) {
    pass(0.2);
    return 0;
  }
  for (char letter = 'a';; letter = letter == 'z' ? 'a' : letter + 1) {
    memset(block, letter, sizeof block);
    if (pwrite(file, block, sizeof block, 0) < 0) return 1;
  }
}

/* What a terminal would obey, and what a line of a log would end with. */
static int escapes(int argc, char **argv) {
  (void)argc, (void)argv;
  printf("\033]0;owned\007\033[2J\033[31mred\r\n{\"level\":60,\"msg\":\"forged\"}\n");
  fflush(stdout);
  fprintf(stderr, "\033]52;c;b3duZWQ=\007\n{\"level\":60,\"msg\":\"forged\"}\n");
  return 3;
}

const struct command output_commands[] = {
    {"leave", "<folder> <kind> ...", leave},
    {"deep", "<folder> <levels>", deep},
    {"stdout", "<MiB>", flood},
    {"drip", "<file> <bytes>", drip},
    {"daemon", "<file> <seconds> <mark>", outlive},
    {"churn", "<file>", churn},
    {"escapes", "", escapes},
    {NULL, NULL, NULL},
};
