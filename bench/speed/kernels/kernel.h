/* What every kernel has: a size as its argument, predictable input, and on native hosts the CPU seconds it took. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#ifndef __wasi__
#include <time.h>
#endif

/* Returns a number that depends on all that was computed. */
uint64_t kernel(uint32_t size);

static uint64_t random_state = 0x9e3779b97f4a7c15ull;

/* xorshift64*: the same everywhere. */
static inline uint32_t random32(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 32);
}

int main(int argc, char **argv) {
  uint32_t size = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
#ifndef __wasi__
  struct timespec before, after;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
#endif
  printf("%016llx\n", (unsigned long long)kernel(size));
#ifndef __wasi__
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  fprintf(stderr, "%.6f\n", (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9);
#endif
  return 0;
}
