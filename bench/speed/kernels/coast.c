/* The demo's innermost loop: from so many thousand points of a sphere to the nearest of 256 segments of a coast. */
#include "kernel.h"
#include <math.h>
#include <string.h>

enum { SEGMENTS = 256 };

typedef struct {
  double x, y, z;
} Point;

static Point point(void) {
  Point p = {random32() / 2147483648.0 - 1, random32() / 2147483648.0 - 1, random32() / 2147483648.0 - 1};
  double length = sqrt(p.x * p.x + p.y * p.y + p.z * p.z);
  p.x /= length, p.y /= length, p.z /= length;
  return p;
}

static double squared(Point a, Point b) {
  double x = a.x - b.x, y = a.y - b.y, z = a.z - b.z;
  return x * x + y * y + z * z;
}

static double nearest(const Point *coast, Point p) {
  Point a = coast[0];
  double best = squared(a, p);
  for (int s = 1; s <= SEGMENTS; s++) {
    Point b = coast[s];
    double end = squared(b, p);
    if (end < best) best = end;
    Point n = {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
    double past = p.x * (n.y * a.z - n.z * a.y) + p.y * (n.z * a.x - n.x * a.z) + p.z * (n.x * a.y - n.y * a.x);
    double ahead = p.x * (b.y * n.z - b.z * n.y) + p.y * (b.z * n.x - b.x * n.z) + p.z * (b.x * n.y - b.y * n.x);
    if (past > 0 && ahead > 0) {
      double height = p.x * n.x + p.y * n.y + p.z * n.z;
      double sine = height * height / (n.x * n.x + n.y * n.y + n.z * n.z);
      double rest = 1 - sine;
      double foot = 2 * sine / (1 + sqrt(rest > 0 ? rest : 0));
      if (foot < best) best = foot;
    }
    a = b;
  }
  return best;
}

uint64_t kernel(uint32_t size) {
  static Point coast[SEGMENTS + 1];
  for (int i = 0; i <= SEGMENTS; i++) coast[i] = point();
  uint64_t sum = 0;
  for (uint32_t i = 0; i < size * 1000; i++) {
    double found = nearest(coast, point());
    uint64_t bits;
    memcpy(&bits, &found, 8);
    sum = sum * 31 + bits;
  }
  return sum;
}
