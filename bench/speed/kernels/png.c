/* Packs a picture of 1,024 rows so many times as a PNG has it: Paeth's filter, matches within 32 KiB, two checksums. */
#include "kernel.h"

enum { WIDTH = 1024, HEIGHT = 1024, CHANNELS = 3, ROW = WIDTH * CHANNELS, WINDOW = 1 << 15, CHAIN = 16 };

static uint8_t picture[HEIGHT * ROW], filtered[HEIGHT * (ROW + 1)], packed[2 * HEIGHT * (ROW + 1)];
static uint32_t crc_table[256];
static int32_t head[1 << 15], before[WINDOW];
static uint64_t bits;
static int bit_count;
static size_t length;

static void put(uint32_t value, int count) {
  bits |= (uint64_t)value << bit_count;
  bit_count += count;
  while (bit_count >= 8) {
    packed[length++] = (uint8_t)bits;
    bits >>= 8;
    bit_count -= 8;
  }
}

static uint32_t reversed(uint32_t value, int count) {
  uint32_t result = 0;
  for (int i = 0; i < count; i++) result |= ((value >> i) & 1) << (count - 1 - i);
  return result;
}

/* Deflate's fixed codes. */
static void symbol(uint32_t value) {
  if (value < 144) put(reversed(0x30 + value, 8), 8);
  else if (value < 256) put(reversed(0x190 + value - 144, 9), 9);
  else if (value < 280) put(reversed(value - 256, 7), 7);
  else put(reversed(0xc0 + value - 280, 8), 8);
}

static void match(uint32_t size, uint32_t distance) {
  static const uint16_t sizes[] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
  static const uint8_t size_bits[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
  static const uint16_t distances[] = {1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
  int i = 28, j = 29;
  while (sizes[i] > size) i--;
  while (distances[j] > distance) j--;
  symbol(257 + (uint32_t)i);
  put(size - sizes[i], size_bits[i]);
  put(reversed((uint32_t)j, 5), 5);
  put(distance - distances[j], j < 2 ? 0 : j / 2 - 1);
}

static int paeth(int a, int b, int c) {
  int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
  return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

static uint64_t pack(void) {
  for (int y = 0; y < HEIGHT; y++) {
    uint8_t *to = filtered + (size_t)y * (ROW + 1);
    *to++ = 4;
    for (int x = 0; x < ROW; x++) {
      int left = x < CHANNELS ? 0 : picture[y * ROW + x - CHANNELS];
      int up = y == 0 ? 0 : picture[(y - 1) * ROW + x];
      int corner = x < CHANNELS || y == 0 ? 0 : picture[(y - 1) * ROW + x - CHANNELS];
      to[x] = (uint8_t)(picture[y * ROW + x] - paeth(left, up, corner));
    }
  }
  int32_t size = sizeof filtered;
  for (int i = 0; i < 1 << 15; i++) head[i] = -1;
  length = 0;
  bits = 0;
  bit_count = 0;
  put(3, 3);
  for (int32_t at = 0; at < size;) {
    int32_t best = 0, where = 0;
    if (at + 3 <= size) {
      uint32_t three = filtered[at] | filtered[at + 1] << 8 | filtered[at + 2] << 16;
      uint32_t hash = (three * 2654435761u) >> 17;
      int32_t candidate = head[hash];
      for (int tries = CHAIN; candidate >= 0 && at - candidate <= WINDOW && tries > 0; tries--) {
        int32_t same = 0;
        while (same < 258 && at + same < size && filtered[candidate + same] == filtered[at + same]) same++;
        if (same > best) best = same, where = candidate;
        int32_t next = before[candidate & (WINDOW - 1)];
        if (next >= candidate) break;
        candidate = next;
      }
      before[at & (WINDOW - 1)] = head[hash];
      head[hash] = at;
    }
    if (best >= 3) {
      match((uint32_t)best, (uint32_t)(at - where));
      at += best;
    } else {
      symbol(filtered[at++]);
    }
  }
  symbol(256);
  put(0, 7);
  uint32_t a = 1, b = 0;
  for (int32_t i = 0; i < size; i++) {
    a += filtered[i];
    if (a >= 65521) a -= 65521;
    b += a;
    if (b >= 65521) b -= 65521;
  }
  uint32_t crc = 0xffffffff;
  for (size_t i = 0; i < length; i++) crc = crc_table[(crc ^ packed[i]) & 255] ^ crc >> 8;
  return (uint64_t)(crc ^ (b << 16 | a)) << 32 | (uint32_t)length;
}

uint64_t kernel(uint32_t size) {
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t c = n;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
    crc_table[n] = c;
  }
  /* Smooth with a little noise, as pictures are. */
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < ROW; x++) picture[y * ROW + x] = (uint8_t)((x * y >> 10) + (random32() % 16 == 0 ? random32() & 3 : 0));
  uint64_t sum = 0;
  for (uint32_t round = 0; round < size; round++) {
    picture[round % sizeof picture]++;
    sum = sum * 31 + pack();
  }
  return sum;
}
