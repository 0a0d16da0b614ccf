/* Product of two square matrices of so many rows, 64-bit floating point. */
#include "kernel.h"
#include <string.h>

uint64_t kernel(uint32_t size) {
  size_t n = size;
  double *a = malloc(n * n * 8), *b = malloc(n * n * 8), *c = calloc(n * n, 8);
  for (size_t i = 0; i < n * n; i++) a[i] = random32() / 4294967296.0, b[i] = random32() / 4294967296.0;
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++)
      for (size_t j = 0; j < n; j++) c[i * n + j] += a[i * n + k] * b[k * n + j];
  uint64_t sum = 0;
  for (size_t i = 0; i < n * n; i++) {
    uint64_t bits;
    memcpy(&bits, c + i, 8);
    sum = sum * 31 + bits;
  }
  return sum;
}
