// The floor: one epoll loop in C, one send() for each message and subscriber. No WebSocket but its bytes.
// With a second argument it gathers for so many milliseconds: one send() for each subscriber and tick.
// Subscribers send a handshake that is answered without being read; POSTs are answered 201.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int subscribers[20000], count;
static char pending[1 << 20];
static size_t waiting;
static const char accepted[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: unchecked\r\n\r\n";
static const char created[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

int main(int argc, char **argv) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, epoll = epoll_create1(0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (argc < 2 || bind(listener, (void *)&address, sizeof address) || listen(listener, 1024)) return 1;
  struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  puts("ready");
  fflush(stdout);
  int tick = argc > 2 ? atoi(argv[2]) : 0;
  struct timespec last = {0}, now;
  for (;;) {
    int ready = epoll_wait(epoll, events, 256, waiting ? tick : -1);
    clock_gettime(CLOCK_MONOTONIC, &now);
    long passed = (now.tv_sec - last.tv_sec) * 1000 + (now.tv_nsec - last.tv_nsec) / 1000000;
    if (waiting && (passed >= tick || waiting > sizeof pending - 16384)) {
      for (int n = 0; n < count; n++) send(subscribers[n], pending, waiting, MSG_NOSIGNAL | MSG_DONTWAIT);
      waiting = 0;
      last = now;
    }
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listener) {
        fd = accept(listener, 0, 0);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        event.data.fd = fd;
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        continue;
      }
      char data[8192], frame[8200];
      ssize_t size = recv(fd, data, sizeof data - 1, 0);
      if (size <= 0) { close(fd); continue; }
      data[size] = 0;
      if (!strncmp(data, "GET ", 4)) {
        subscribers[count++] = fd;
        send(fd, accepted, sizeof accepted - 1, MSG_NOSIGNAL);
      } else if (!strncmp(data, "POST", 4)) {
        char *body = strstr(data, "\r\n\r\n") + 4;
        size_t length = data + size - body, head = length < 126 ? 2 : 4;
        frame[0] = (char)0x81;
        if (length < 126) frame[1] = (char)length;
        else frame[1] = 126, frame[2] = (char)(length >> 8), frame[3] = (char)length;
        memcpy(frame + head, body, length);
        if (tick) memcpy(pending + waiting, frame, head + length), waiting += head + length;
        else for (int n = 0; n < count; n++) send(subscribers[n], frame, head + length, MSG_NOSIGNAL | MSG_DONTWAIT);
        send(fd, created, sizeof created - 1, MSG_NOSIGNAL);
      }
    }
  }
}
