#include "probe.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/vm_sockets.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Which kinds of socket can be had at all. */
static int sockets(int argc, char **argv) {
  (void)argc, (void)argv;
  static const struct {
    const char *what;
    int family, type, protocol;
  } kinds[] = {
      {"raw", AF_INET, SOCK_RAW, IPPROTO_ICMP},       {"raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
      {"packet", AF_PACKET, SOCK_RAW, 0x0300},        {"vsock", AF_VSOCK, SOCK_STREAM, 0},
      {"netfilter", AF_NETLINK, SOCK_RAW, 12},
  };
  for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
    int opened = socket(kinds[kind].family, kinds[kind].type, kinds[kind].protocol);
    report(kinds[kind].what, opened);
    if (opened >= 0) close(opened);
  }
  return 0;
}

static socklen_t address_of(const char *text, int port, struct sockaddr_storage *to) {
  struct sockaddr_in *four = (struct sockaddr_in *)to;
  struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
  memset(to, 0, sizeof *to);
  if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons((uint16_t)port);
    return sizeof *four;
  }
  if (inet_pton(AF_INET6, text, &six->sin6_addr) != 1) {
    fprintf(stderr, "%s is no address\n", text);
    exit(2);
  }
  six->sin6_family = AF_INET6;
  six->sin6_port = htons((uint16_t)port);
  return sizeof *six;
}

/* A connection made in time, -1 otherwise. */
static int connect_to(const struct sockaddr *to, socklen_t length) {
  int one = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
  if (one < 0) return -1;
  if (connect(one, to, length) == 0) return one;
  if (errno != EINPROGRESS) return -1;
  struct pollfd wait = {one, POLLOUT, 0};
  if (poll(&wait, 1, 1500) == 0) {
    errno = ETIMEDOUT;
    return -1;
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(one, SOL_SOCKET, SO_ERROR, &error, &size);
  errno = error;
  return error == 0 ? one : -1;
}

/* `tcp <address> <port> ...` */
static int tcp(int argc, char **argv) {
  for (int at = 1; at + 1 < argc; at += 2) {
    struct sockaddr_storage to;
    socklen_t length = address_of(argv[at], (int)number(argv[at + 1]), &to);
    report(argv[at], connect_to((struct sockaddr *)&to, length));
  }
  return 0;
}

/* `udp <address> <port> ...`: asks for a name as a resolver would; any answer counts. */
static int udp(int argc, char **argv) {
  static const unsigned char question[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07" "example\x03" "com\x00\x00\x01\x00\x01";
  for (int at = 1; at + 1 < argc; at += 2) {
    struct sockaddr_storage to;
    socklen_t length = address_of(argv[at], (int)number(argv[at + 1]), &to);
    int one = socket(to.ss_family, SOCK_DGRAM, 0);
    long sent = one < 0 ? -1 : sendto(one, question, sizeof question - 1, 0, (struct sockaddr *)&to, length);
    if (sent >= 0) {
      struct pollfd wait = {one, POLLIN, 0};
      char answer[512];
      errno = ETIMEDOUT;
      sent = poll(&wait, 1, 1000) == 1 ? recv(one, answer, sizeof answer, 0) : -1;
    }
    report(argv[at], sent);
  }
  return 0;
}

/* `unix <path or @name> ...` */
static int local(int argc, char **argv) {
  for (int at = 1; at < argc; at++) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t length = strlen(argv[at]);
    memcpy(to.sun_path, argv[at], length);
    if (argv[at][0] == '@') to.sun_path[0] = 0;
    report(argv[at], connect_to((struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)));
  }
  return 0;
}

/* `listen <address> <port>`: takes an address of its own first, where it may, and then calls itself there. */
static int call_itself(int argc, char **argv) {
  (void)argc;
  struct sockaddr_storage at;
  socklen_t length = address_of(argv[1], (int)number(argv[2]), &at);
  int control = socket(AF_INET, SOCK_DGRAM, 0);
  struct ifreq interface = {.ifr_name = "lo"};
  memcpy(&interface.ifr_addr, &at, sizeof interface.ifr_addr);
  ((struct sockaddr_in *)&interface.ifr_addr)->sin_port = 0;
  report("take the address", ioctl(control, SIOCSIFADDR, &interface));
  interface.ifr_flags = IFF_UP;
  report("put the interface up", ioctl(control, SIOCSIFFLAGS, &interface));
  int server = socket(at.ss_family, SOCK_STREAM, 0);
  report("bind", bind(server, (struct sockaddr *)&at, length));
  listen(server, 1);
  report(argv[1], connect_to((struct sockaddr *)&at, length));
  return 0;
}

const struct command network_commands[] = {
    {"sockets", "", sockets},
    {"tcp", "<address> <port> ...", tcp},
    {"udp", "<address> <port> ...", udp},
    {"unix", "<path or @name> ...", local},
    {"call-itself", "<address> <port>", call_itself},
    {NULL, NULL, NULL},
};
