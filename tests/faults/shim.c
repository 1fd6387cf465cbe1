/* Put before libc (LD_PRELOAD) in a server under test: its disk and its clock fail as a shared page says.
 *
 * Only files whose name begins with "quotechat.db" are touched. The page is `struct orders`, mapped from the
 * file that FAULTS_ORDERS names; shim.py writes it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct orders {
    int32_t write_errno; /* pwrite answers with this, 0: it works */
    int32_t sync_errno;  /* fdatasync and fsync do */
    int32_t read_errno;  /* pread does */
    int32_t keep;        /* after each flush, copy what has reached the disk to FAULTS_DISK */
    int32_t clock_pid;   /* whose wall clock is wrong; -1: everybody's */
    int32_t unused;
    int64_t clock_ns;    /* by how much */
};

static volatile struct orders *orders;
static const char *disk;
static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static ssize_t (*real_pread)(int, void *, size_t, off64_t);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_unlink)(const char *);
static int (*real_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void) {
    if (real_clock) return;
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_pread = dlsym(RTLD_NEXT, "pread64");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    disk = getenv("FAULTS_DISK");
    const char *path = getenv("FAULTS_ORDERS");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *page = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) orders = page;
    close(fd);
}

/* The base name of our database's file under `fd`, or NULL. Never opens or closes the file itself: that would
 * drop SQLite's locks on it (fcntl(2)). */
static const char *ours(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return NULL;
    path[length] = 0;
    const char *base = strrchr(path, '/');
    return base && !strncmp(base + 1, "quotechat.db", 12) ? base + 1 : NULL;
}

static int fails(int fd, int code) {
    char path[PATH_MAX];
    if (!code || !ours(fd, path)) return 0;
    errno = code;
    return 1;
}

static void keep(int fd) {
    char path[PATH_MAX], to[PATH_MAX + 64], part[PATH_MAX + 80], data[65536];
    const char *base = disk && orders && orders->keep ? ours(fd, path) : NULL;
    if (!base) return;
    snprintf(to, sizeof to, "%s/%s", disk, base);
    snprintf(part, sizeof part, "%s.%d.part", to, getpid());
    int out = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (out < 0) return;
    off64_t at = 0;
    for (ssize_t n; (n = real_pread(fd, data, sizeof data, at)) > 0; at += n)
        if (real_pwrite(out, data, n, at) != n) break;
    close(out);
    rename(part, to);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    if (orders && fails(fd, orders->write_errno)) return -1;
    return real_pwrite(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return pwrite64(fd, data, size, at); }

ssize_t pread64(int fd, void *data, size_t size, off64_t at) {
    if (orders && fails(fd, orders->read_errno)) return -1;
    return real_pread(fd, data, size, at);
}

ssize_t pread(int fd, void *data, size_t size, off_t at) { return pread64(fd, data, size, at); }

int fdatasync(int fd) {
    if (orders && fails(fd, orders->sync_errno)) return -1;
    int result = real_fdatasync(fd);
    if (!result) keep(fd);
    return result;
}

int fsync(int fd) {
    if (orders && fails(fd, orders->sync_errno)) return -1;
    int result = real_fsync(fd);
    if (!result) keep(fd);
    return result;
}

/* SQLite flushes the directory after it has removed a journal, so that it stays removed. */
int unlink(const char *name) {
    char to[PATH_MAX + 64];
    const char *base = strrchr(name, '/');
    if (disk && orders && orders->keep && base && !strncmp(base + 1, "quotechat.db", 12)) {
        snprintf(to, sizeof to, "%s/%s", disk, base + 1);
        real_unlink(to);
    }
    return real_unlink(name);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!real_clock) begin(); /* Python 3.13's allocator asks before constructors run */
    int result = real_clock(clock, now);
    if (!result && clock == CLOCK_REALTIME && orders && orders->clock_ns &&
        (orders->clock_pid == -1 || orders->clock_pid == getpid())) {
        int64_t ns = now->tv_sec * 1000000000LL + now->tv_nsec + orders->clock_ns;
        now->tv_sec = ns / 1000000000LL;
        now->tv_nsec = ns % 1000000000LL;
    }
    return result;
}
