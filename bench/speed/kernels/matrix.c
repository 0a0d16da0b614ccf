/* Product of two square matrices of so many rows, 32-bit integers. */
#include "kernel.h"

uint64_t kernel(uint32_t size) {
  size_t n = size;
  uint32_t *a = malloc(n * n * 4), *b = malloc(n * n * 4), *c = calloc(n * n, 4);
  for (size_t i = 0; i < n * n; i++) a[i] = random32(), b[i] = random32();
  for (size_t i = 0; i < n; i++)
    for (size_t k = 0; k < n; k++)
      for (size_t j = 0; j < n; j++) c[i * n + j] += a[i * n + k] * b[k * n + j];
  uint64_t sum = 0;
  for (size_t i = 0; i < n * n; i++) sum = sum * 31 + c[i];
  return sum;
}
