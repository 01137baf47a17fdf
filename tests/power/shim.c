/* Records what a program does to the files of one folder, in the order in which it is
 * done, for `images.py` to rebuild what a power cut would have left.
 *
 * Preloaded. A write is recorded when it is done, so a sync covers what is recorded before
 * it. What is written to the file
 * "said" is recorded before it is said. POWER_FAIL_AT lets the n-th sync of a file whose
 * name ends with POWER_FAIL_NAME fail, once in each process.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATED = 1, WRITTEN, CUT, SYNCED, FAILED, UNLINKED, RENAMED, SAID };

struct head {
    unsigned int kind, name_bytes;
    unsigned long long inode, offset, bytes;
};

static int journal = -1;
static char folder[PATH_MAX];
static size_t folder_bytes;
static long fail_at;
static const char *fail_name = "";
static unsigned long long failing;

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

__attribute__((constructor)) static void begin(void)
{
    const char *where = getenv("POWER_JOURNAL"), *of = getenv("POWER_FOLDER");
    if (!where || !of) return;
    snprintf(folder, sizeof folder, "%s/", of);
    folder_bytes = strlen(folder);
    if (getenv("POWER_FAIL_AT")) fail_at = atol(getenv("POWER_FAIL_AT"));
    if (getenv("POWER_FAIL_NAME")) fail_name = getenv("POWER_FAIL_NAME");
    REAL(int, "open", const char *, int, ...);
    journal = real(where, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
}

static void record(int kind, const char *name, unsigned long long inode,
                   unsigned long long offset, const void *data, size_t bytes)
{
    struct head head = {kind, strlen(name), inode, offset, bytes};
    struct iovec parts[3] = {{&head, sizeof head},
                             {(void *)name, head.name_bytes},
                             {(void *)data, data ? bytes : 0}};
    int before = errno;
    if (!data) head.bytes = 0;
    if (writev(journal, parts, 3) < 0) abort();
    errno = before;
}

/* The name in the folder, "." for the folder itself, or NULL for what is elsewhere. */
static const char *inside(const char *path)
{
    if (journal < 0) return NULL;
    if (!strncmp(path, folder, folder_bytes)) return path + folder_bytes;
    if (strlen(path) + 1 == folder_bytes && !strncmp(path, folder, strlen(path)))
        return ".";
    return NULL;
}

static const char *named(int fd, char *room)
{
    char link[64];
    if (journal < 0 || fd == journal) return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t found = readlink(link, room, PATH_MAX - 1);
    if (found < 0) return NULL;
    room[found] = 0;
    char *gone = strstr(room, " (deleted)");
    if (gone) *gone = 0;
    return inside(room);
}

static unsigned long long inode_of(int fd)
{
    struct stat found;
    return fstat(fd, &found) ? 0 : found.st_ino;
}

static int opened(int fd, const char *path, int flags, int was_there)
{
    const char *name = fd < 0 ? NULL : inside(path);
    if (name && (flags & O_CREAT) && !was_there)
        record(CREATED, name, inode_of(fd), 0, NULL, 0);
    else if (name && (flags & O_TRUNC))
        record(CUT, name, inode_of(fd), 0, NULL, 0);
    return fd;
}

#define OPENS(function) \
    int function(const char *path, int flags, ...) \
    { \
        REAL(int, #function, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        int was_there = inside(path) && !access(path, F_OK); \
        return opened(real(path, flags, mode), path, flags, was_there); \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(function) \
    int function(int at, const char *path, int flags, ...) \
    { \
        REAL(int, #function, int, const char *, int, ...); \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        int was_there = inside(path) && !access(path, F_OK); \
        return opened(real(at, path, flags, mode), path, flags, was_there); \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

#define PWRITES(function, offset_type) \
    ssize_t function(int fd, const void *data, size_t bytes, offset_type offset) \
    { \
        REAL(ssize_t, #function, int, const void *, size_t, offset_type); \
        char room[PATH_MAX]; \
        ssize_t done = real(fd, data, bytes, offset); \
        const char *name = done > 0 ? named(fd, room) : NULL; \
        if (name) record(WRITTEN, name, inode_of(fd), offset, data, done); \
        return done; \
    }
PWRITES(pwrite, off_t)
PWRITES(pwrite64, off64_t)

ssize_t write(int fd, const void *data, size_t bytes)
{
    REAL(ssize_t, "write", int, const void *, size_t);
    char room[PATH_MAX];
    const char *name = named(fd, room);
    if (!name) return real(fd, data, bytes);
    if (!strcmp(name, "said")) record(SAID, name, 0, 0, data, bytes);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = real(fd, data, bytes);
    if (done > 0 && strcmp(name, "said"))
        record(WRITTEN, name, inode_of(fd), at, data, done);
    return done;
}

#define CUTS(function, offset_type) \
    int function(int fd, offset_type size) \
    { \
        REAL(int, #function, int, offset_type); \
        char room[PATH_MAX]; \
        int failed = real(fd, size); \
        const char *name = failed ? NULL : named(fd, room); \
        if (name) record(CUT, name, inode_of(fd), size, NULL, 0); \
        return failed; \
    }
CUTS(ftruncate, off_t)
CUTS(ftruncate64, off64_t)

static int fails(const char *name)
{
    size_t all = strlen(name), end = strlen(fail_name);
    if (!fail_at || all < end || strcmp(name + all - end, fail_name)) return 0;
    return __sync_add_and_fetch(&failing, 1) == (unsigned long long)fail_at;
}

/* The real sync is left out: it is slow, and what is durable is ours to decide. */
static int sync_of(int fd, int (*real)(int))
{
    char room[PATH_MAX];
    const char *name = named(fd, room);
    if (!name) return real(fd);
    unsigned long long inode = inode_of(fd);
    if (fails(name)) {
        record(FAILED, name, inode, 0, NULL, 0);
        errno = EIO;
        return -1;
    }
    record(SYNCED, name, inode, 0, NULL, 0);
    return 0;
}

int fsync(int fd)
{
    REAL(int, "fsync", int);
    return sync_of(fd, real);
}

int fdatasync(int fd)
{
    REAL(int, "fdatasync", int);
    return sync_of(fd, real);
}

int unlink(const char *path)
{
    REAL(int, "unlink", const char *);
    const char *name = inside(path);
    int failed = real(path);
    if (name && !failed) record(UNLINKED, name, 0, 0, NULL, 0);
    return failed;
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    const char *old = inside(from), *new = inside(to);
    int failed = real(from, to);
    if (old && new && !failed) record(RENAMED, old, 0, 0, new, strlen(new));
    return failed;
}
