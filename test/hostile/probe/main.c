#include "probe.h"
#include <stdarg.h>
#include <time.h>

void report(const char *what, long result) {
  if (result >= 0)
    printf("%s ok\n", what);
  else
    printf("%s %s\n", what, strerrorname_np(errno) ? strerrorname_np(errno) : "EUNKNOWN");
  fflush(stdout);
}

void found(const char *what, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  printf("%s = ", what);
  vprintf(format, arguments);
  printf("\n");
  fflush(stdout);
  va_end(arguments);
}

long number(const char *text) {
  char *end;
  long value = strtol(text, &end, 10);
  if (*text == 0 || *end != 0) {
    fprintf(stderr, "%s is no number\n", text);
    exit(2);
  }
  return value;
}

void pass(double seconds) {
  struct timespec left = {(time_t)seconds, (long)((seconds - (long)seconds) * 1e9)};
  while (nanosleep(&left, &left) < 0 && errno == EINTR) {
  }
}

static const struct command *const groups[] = {resource_commands, network_commands, kernel_commands, output_commands,
                                               peek_commands};

static int run(int argc, char **argv) {
  for (size_t group = 0; group < sizeof groups / sizeof *groups; group++)
    for (const struct command *command = groups[group]; command->name; command++)
      if (strcmp(command->name, argv[0]) == 0) return command->run(argc, argv);
  fprintf(stderr, "there is no probe %s\n", argv[0]);
  return 2;
}

/* `probe <command> <argument> ... -- <command> ...`: one after the other, each under a line with its name. */
int main(int argc, char **argv) {
  int status = 0;
  for (int from = 1, to; from < argc; from = to + 1) {
    for (to = from; to < argc && strcmp(argv[to], "--") != 0; to++) {
    }
    if (to == from) continue;
    argv[to] = NULL;
    if (from > 1 || to < argc) printf("# %s\n", argv[from]);
    fflush(stdout);
    int last = run(to - from, argv + from);
    if (last != 0) status = last;
  }
  if (argc > 1) return status;
  for (size_t group = 0; group < sizeof groups / sizeof *groups; group++)
    for (const struct command *command = groups[group]; command->name; command++)
      fprintf(stderr, "probe %s %s\n", command->name, command->arguments);
  return 2;
}
