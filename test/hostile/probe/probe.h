/*
 * A program that tries what a sandbox must not let it do, one attempt for each line it prints:
 *
 *   <what> ok            it could
 *   <what> EPERM         it could not, and why
 *   <what> = <value>     what it found out
 */
#ifndef PROBE_H
#define PROBE_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct command {
  const char *name;
  const char *arguments;
  int (*run)(int argc, char **argv);
};

/* Each ends with an entry without a name. */
extern const struct command resource_commands[];
extern const struct command network_commands[];
extern const struct command kernel_commands[];
extern const struct command output_commands[];
extern const struct command peek_commands[];

/* Prints how an attempt ended: `result` is what the call returned, -1 with errno set for a failure. */
void report(const char *what, long result);
/* Prints what was found out. */
void found(const char *what, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The number in `text`; ends the program when there is none. */
long number(const char *text);
/* Waits for `seconds`, whatever signals come. */
void pass(double seconds);

#endif
