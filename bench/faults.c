/* Makes one call fail: the n-th of a class, counted from when it is armed. Loaded with LD_PRELOAD by faults.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE, PIPE, SYNC, RENAME, OPEN, SOCKET, CONNECT, SEND, ALLOC, MAP, CLASSES };

static volatile int class_ = -1;
static volatile long nth = -1, counted[CLASSES];
static volatile int counting = 0;

void faults_arm(int which, long n) {
    for (int i = 0; i < CLASSES; i++) counted[i] = 0;
    class_ = which;
    nth = n;
    counting = 1;
}
long faults_disarm(int which) {
    counting = 0;
    return counted[which];
}

static int fails(int which, int code) {
    if (!counting) return 0;
    long now = __sync_add_and_fetch(&counted[which], 1);
    if (which != class_ || now != nth) return 0;
    errno = code;
    return 1;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define CALL(result, name, parameters, arguments, which, code) \
    result name parameters { \
        REAL(name); \
        if (fails(which, code)) return -1; \
        return real arguments; \
    }

ssize_t write(int file, const void *from, size_t size) {
    REAL(write);
    if (fails(WRITE, ENOSPC) || (file <= 2 && fails(PIPE, EPIPE))) return -1;
    return real(file, from, size);
}
CALL(ssize_t, writev, (int file, const struct iovec *from, int n), (file, from, n), WRITE, ENOSPC)
CALL(ssize_t, pwrite64, (int file, const void *from, size_t size, off64_t at), (file, from, size, at), WRITE, ENOSPC)
CALL(int, fsync, (int file), (file), SYNC, EIO)
CALL(int, fdatasync, (int file), (file), SYNC, EIO)
CALL(int, ftruncate64, (int file, off64_t size), (file, size), SYNC, EIO)
CALL(int, rename, (const char *from, const char *to), (from, to), RENAME, EIO)
CALL(int, socket, (int a, int b, int c), (a, b, c), SOCKET, EMFILE)
CALL(int, connect, (int file, const struct sockaddr *to, socklen_t size), (file, to, size), CONNECT, ECONNREFUSED)
CALL(ssize_t, send, (int file, const void *from, size_t size, int how), (file, from, size, how), SEND, ECONNRESET)
CALL(ssize_t, sendmsg, (int file, const struct msghdr *from, int how), (file, from, how), SEND, ECONNRESET)

int open64(const char *path, int how, ...) {
    REAL(open64);
    va_list more;
    va_start(more, how);
    int mode = va_arg(more, int);
    va_end(more);
    if (fails(OPEN, EMFILE)) return -1;
    return real(path, how, mode);
}
int open(const char *path, int how, ...) {
    REAL(open);
    va_list more;
    va_start(more, how);
    int mode = va_arg(more, int);
    va_end(more);
    if (fails(OPEN, EMFILE)) return -1;
    return real(path, how, mode);
}
void *mmap64(void *at, size_t size, int kind, int how, int file, off64_t offset) {
    REAL(mmap64);
    if (fails(MAP, ENOMEM)) return MAP_FAILED;
    return real(at, size, kind, how, file, offset);
}
void *mmap(void *at, size_t size, int kind, int how, int file, off_t offset) {
    return mmap64(at, size, kind, how, file, offset);
}

extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
void *malloc(size_t size) { return fails(ALLOC, ENOMEM) ? NULL : __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return fails(ALLOC, ENOMEM) ? NULL : __libc_calloc(n, size); }
void *realloc(void *old, size_t size) { return fails(ALLOC, ENOMEM) ? NULL : __libc_realloc(old, size); }
int posix_memalign(void **to, size_t alignment, size_t size) {
    if (fails(ALLOC, ENOMEM)) return ENOMEM;
    *to = __libc_memalign(alignment, size);
    return *to ? 0 : ENOMEM;
}
