/* Fault injection by LD_PRELOAD: kills the process, or fails a call, at the n-th file-system call that concerns one directory.
 *
 *   FAULT_DIR   only calls on files below this directory count
 *   FAULT_AT    the number of the call, from 1; without it calls are only counted
 *   FAULT_KIND  kill-before | kill-after | kill-middle (of a write) | enospc | eio | short | sigint | sigterm
 *   FAULT_LOG   a file that receives one byte per call: its length is the number of the call
 *
 * The processes of a program share the file, so that one call of one process is hit.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FDS = 4096 };
static char watched[MOST_FDS];

static const char *directory(void) { return getenv("FAULT_DIR"); }

static int is_below(const char *path) {
    const char *dir = directory();
    return dir != NULL && path != NULL && strncmp(path, dir, strlen(dir)) == 0;
}

static int is(const char *kind) {
    const char *asked = getenv("FAULT_KIND");
    return asked != NULL && strcmp(asked, kind) == 0;
}

/* Counts a call and returns its number, from 1; 0 if it cannot be counted. */
static long number_of_call(void) {
    static ssize_t (*real_write)(int, const void *, size_t);
    static int (*real_open)(const char *, int, ...);
    static int (*real_close)(int);
    const char *path = getenv("FAULT_LOG");
    long number = 0;
    if (path == NULL) return 0;
    if (real_write == NULL) {
        real_write = dlsym(RTLD_NEXT, "write");
        real_open = dlsym(RTLD_NEXT, "open");
        real_close = dlsym(RTLD_NEXT, "close");
    }
    int fd = real_open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
    if (fd < 0) return 0;
    if (real_write(fd, ".", 1) == 1) number = (long)lseek(fd, 0, SEEK_CUR); /* where this write ended */
    real_close(fd);
    return number;
}

/* Counts a call; returns the error to fail with, 0 to go on, or -1 if this is the call to be hit otherwise. */
static int hit(void) {
    const char *at = getenv("FAULT_AT");
    long number = number_of_call();
    if (at == NULL || number != atol(at)) return 0;
    if (is("kill-before")) kill(getpid(), SIGKILL);
    if (is("sigint")) kill(getpid(), SIGINT);
    if (is("sigterm")) kill(getpid(), SIGTERM);
    if (is("enospc")) return ENOSPC;
    if (is("eio")) return EIO;
    return -1;
}

static void after(int what) {
    if (what == -1 && is("kill-after")) kill(getpid(), SIGKILL);
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (real == NULL) real = dlsym(RTLD_NEXT, #name)

#define FAIL_WITH(what) \
    if ((what) > 0) { \
        errno = (what); \
        return -1; \
    }

static int opened(int fd, const char *path) {
    if (fd >= 0 && fd < MOST_FDS) watched[fd] = (char)is_below(path);
    return fd;
}

static int open_flags(const char *name, const char *path, int flags, mode_t mode) {
    int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, name);
    int what = is_below(path) && (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0 ? hit() : 0;
    FAIL_WITH(what)
    int fd = opened(real(path, flags, mode), path);
    after(what);
    return fd;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        mode_t mode = 0; \
        if (flags & O_CREAT) { \
            va_list arguments; \
            va_start(arguments, flags); \
            mode = va_arg(arguments, mode_t); \
            va_end(arguments); \
        } \
        return open_flags(#name, path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

int close(int fd) {
    REAL(int, close, int);
    if (fd >= 0 && fd < MOST_FDS) watched[fd] = 0;
    return real(fd);
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(ssize_t, write, int, const void *, size_t);
    if (fd < 0 || fd >= MOST_FDS || !watched[fd]) return real(fd, data, size);
    int what = hit();
    FAIL_WITH(what)
    if (what == -1 && is("short")) return real(fd, data, size > 1 ? size / 2 : size);
    if (what == -1 && is("kill-middle")) {
        if (real(fd, data, size / 2) < 0) { /* it dies either way */ }
        kill(getpid(), SIGKILL);
    }
    ssize_t written = real(fd, data, size);
    after(what);
    return written;
}

int fsync(int fd) {
    REAL(int, fsync, int);
    int what = fd >= 0 && fd < MOST_FDS && watched[fd] ? hit() : 0;
    FAIL_WITH(what)
    int result = real(fd);
    after(what);
    return result;
}

#define OF_PATH(name, declared, used) \
    int name declared { \
        int (*real) declared = dlsym(RTLD_NEXT, #name); \
        int what = is_below(path) ? hit() : 0; \
        FAIL_WITH(what) \
        int result = real used; \
        after(what); \
        return result; \
    }
OF_PATH(rename, (const char *path, const char *target), (path, target))
OF_PATH(mkdir, (const char *path, mode_t mode), (path, mode))
OF_PATH(unlink, (const char *path), (path))
OF_PATH(rmdir, (const char *path), (path))
