/* A disk that fails: preloaded into a run, it counts the calls that change what is below a folder,
   and from the first of some calls to the last lets them fail, or kills the process in the middle.

   CHAOS_DISK is `first last error`; with the error 0 the process is killed. CHAOS_DISK_FOLDER is the
   folder, CHAOS_DISK_COUNT a file that grows by a byte with each call, whichever process makes it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

enum fate { PASSES, BEGINS_TO_FAIL, FAILS };

static int is_below(const char *path) {
    const char *folder = getenv("CHAOS_DISK_FOLDER");
    size_t length = folder ? strlen(folder) : 0;
    return length && !strncmp(path, folder, length) && path[length] == '/';
}

static int is_open_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_below(path);
}

/* Counts a call; what is to become of it. Errors of its own are not the run's. */
static enum fate counted(int *error) {
    int before = errno;
    long first = LONG_MAX, last = 0, number = 0;
    if (sscanf(getenv("CHAOS_DISK"), "%ld %ld %d", &first, &last, error) != 3) abort();
    /* Of an appending write, the position tells which one it was, also among processes. */
    int fd = open(getenv("CHAOS_DISK_COUNT"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || REAL(write)(fd, "x", 1) != 1) abort();
    number = lseek(fd, 0, SEEK_CUR);
    close(fd);
    errno = before;
    return number < first || number > last ? PASSES : number == first ? BEGINS_TO_FAIL : FAILS;
}

static int failed(int error) {
    if (!error) kill(getpid(), SIGKILL);
    errno = error;
    return -1;
}

/* A disk that fills up takes a part of what is written first; so does one whose writer is killed. */
#define WRITES(of_fd, size, all, half)                            \
    int error = 0;                                                \
    enum fate fate = is_open_below(of_fd) ? counted(&error) : PASSES; \
    if (fate == PASSES) return all;                               \
    if (fate == BEGINS_TO_FAIL && (size) > 1 && error != EIO) {   \
        ssize_t done = half;                                      \
        return error ? done : failed(error);                      \
    }                                                             \
    return failed(error);

ssize_t write(int fd, const void *data, size_t size) {
    WRITES(fd, size, REAL(write)(fd, data, size), REAL(write)(fd, data, size / 2))
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    WRITES(fd, size, REAL(pwrite64)(fd, data, size, at), REAL(pwrite64)(fd, data, size / 2, at))
}

ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags) {
    WRITES(out, size, REAL(copy_file_range)(in, from, out, to, size, flags),
           REAL(copy_file_range)(in, from, out, to, size / 2, flags))
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    WRITES(fd, count, REAL(writev)(fd, parts, count), REAL(writev)(fd, parts, count / 2))
}

/* A process may be killed before or after what is done at once; it fails before. */
#define AT_ONCE(path, all)                                     \
    int error = 0;                                             \
    enum fate fate = is_below(path) ? counted(&error) : PASSES; \
    if (fate == PASSES) return all;                            \
    return failed(error);

int mkdir(const char *path, mode_t mode) { AT_ONCE(path, REAL(mkdir)(path, mode)) }

int link(const char *from, const char *to) { AT_ONCE(to, REAL(link)(from, to)) }

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    AT_ONCE(to, REAL(linkat)(from_folder, from, to_folder, to, flags))
}

int rename(const char *from, const char *to) { AT_ONCE(to, REAL(rename)(from, to)) }

/* Removing needs no space, but a process may be killed before it. */
#define REMOVES(below, all)                        \
    int error = 0;                                 \
    if ((below) && counted(&error) != PASSES && !error) return failed(error); \
    return all;

int unlink(const char *path) { REMOVES(is_below(path), REAL(unlink)(path)) }

int rmdir(const char *path) { REMOVES(is_below(path), REAL(rmdir)(path)) }

int unlinkat(int folder, const char *path, int flags) {
    REMOVES(is_below(path) || is_open_below(folder), REAL(unlinkat)(folder, path, flags))
}

int ftruncate64(int fd, off64_t size) {
    int error = 0;
    if (!is_open_below(fd) || counted(&error) == PASSES) return REAL(ftruncate64)(fd, size);
    return failed(error);
}

int fsync(int fd) {
    int error = 0;
    if (!is_open_below(fd) || counted(&error) == PASSES) return REAL(fsync)(fd);
    return failed(error);
}
