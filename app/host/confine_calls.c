/* The seccomp filter: a list of calls by name, so that it reads the same on every processor. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/host/confine.h"
#include "app/host/confine_build.h"

/* What serving, SQLite, the reload of models, keys and certificates, and the C library need.  Paths are Landlock's. */
static const char *const allowed[] = {
    /* descriptors that are open */
    "read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "_llseek", "close", "dup", "fcntl", "fcntl64",
    "fstat", "fstat64", "ftruncate", "ftruncate64", "fallocate", "fsync", "fdatasync", "flock", "fchmod", "fchown",
    "getdents64", "pipe2", "eventfd2",
    /* files by name */
    "open", "openat", "stat", "stat64", "lstat", "lstat64", "newfstatat", "fstatat64", "statx", "access", "faccessat",
    "faccessat2", "readlink", "readlinkat", "getcwd", "unlink", "unlinkat", "mkdir", "mkdirat", "rename", "renameat",
    "renameat2", "umask",
    /* connections: accepted, not made */
    "accept4", "recvfrom", "recvmsg", "recv", "sendto", "sendmsg", "sendmmsg", "send", "shutdown", "getsockopt",
    "setsockopt", "getsockname", "getpeername", "sendfile", "sendfile64", "poll", "ppoll", "ppoll_time64", "select",
    "_newselect", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait",
    /* memory */
    "brk", "munmap", "mremap", "madvise", "msync", "mincore",
    /* threads and time */
    "futex", "futex_time64", "set_robust_list", "rseq", "set_tid_address", "sched_yield", "sched_getaffinity", "getcpu",
    "gettid", "exit", "exit_group", "membarrier", "nanosleep", "clock_nanosleep", "clock_nanosleep_time64",
    "clock_gettime", "clock_gettime64", "clock_getres", "gettimeofday", "time", "restart_syscall",
    /* signals of our own */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigreturn", "sigaltstack", "rt_sigtimedwait",
    /* who and what we are */
    "getpid", "getuid", "geteuid", "getgid", "getegid", "getuid32", "geteuid32", "getgid32", "getegid32", "getrandom",
    "getrusage", "statfs", "statfs64", "fstatfs", "fstatfs64", "getrlimit", "ugetrlimit", "sysinfo", "uname"};

/* The leak check stops and reads its own process from a child. */
static const char *const sanitizer[] = {"getdents", "clone", "ptrace", "wait4", "prctl", "prlimit64", "mmap", "mmap2",
                                        "mprotect", "personality", "sched_setaffinity", "process_vm_readv", "kill",
                                        "tgkill", "tkill", "getppid", "pipe", "arch_prctl", "socketpair"};

static int allow_all(scmp_filter_ctx filter, const char *const *names, size_t count)
{
    int failed = 0;

    for (size_t i = 0; i < count && failed == 0; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number >= 0) /* others are not of this processor */
            failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    return failed;
}

/* A call where (argument & mask) == value. */
static int allow_where(scmp_filter_ctx filter, const char *name, unsigned argument, scmp_datum_t mask,
                       scmp_datum_t value)
{
    int number = seccomp_syscall_resolve_name(name);
    const struct scmp_arg_cmp where = {argument, SCMP_CMP_MASKED_EQ, mask, value};

    return number < 0 ? 0 : seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, number, 1, &where);
}

static int allow_some(scmp_filter_ctx filter)
{
    const scmp_datum_t all = UINT64_MAX;
    int failed = allow_where(filter, "clone", 0, CLONE_THREAD, CLONE_THREAD);

    if (failed == 0)
        failed = allow_where(filter, "mmap", 2, PROT_EXEC, 0);
    if (failed == 0)
        failed = allow_where(filter, "mmap2", 2, PROT_EXEC, 0);
    if (failed == 0)
        failed = allow_where(filter, "mprotect", 2, PROT_EXEC, 0);
    if (failed == 0)
        failed = allow_where(filter, "tgkill", 0, all, (scmp_datum_t)getpid());
    if (failed == 0) /* no new limit: only asking */
        failed = allow_where(filter, "prlimit64", 2, all, 0);
    return failed;
}

/* To the state's server, and to those that know where it is. */
static int allow_connections(scmp_filter_ctx filter)
{
    static const char *const calls[] = {"connect"};
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6};
    int failed = allow_all(filter, calls, sizeof calls / sizeof *calls);

    for (size_t i = 0; failed == 0 && i < sizeof families / sizeof *families; i++)
        failed = allow_where(filter, "socket", 0, UINT64_MAX, (scmp_datum_t)families[i]);
    if (failed == 0)
        failed = allow_where(filter, "ioctl", 1, UINT64_MAX, FIONREAD);
    return failed;
}

static int load(scmp_filter_ctx filter, bool connects)
{
    int failed = allow_all(filter, allowed, sizeof allowed / sizeof *allowed);

    if (failed == 0)
        failed = CONFINE_SANITIZED ? allow_all(filter, sanitizer, sizeof sanitizer / sizeof *sanitizer)
                                   : allow_some(filter);
    if (failed == 0 && connects)
        failed = allow_connections(filter);
    if (failed == 0)
        failed = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    /* Older kernels slow every filtered thread down against a side channel between sandboxes in one process: here is
     * none. */
    if (failed == 0)
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
    (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return failed == 0 ? seccomp_load(filter) : failed;
}

void confine_calls(struct confined *confined)
{
    /* The C library goes on without a call that "is not there": clone3 becomes clone. */
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));

    if (filter == NULL)
        return;
    confined->calls = load(filter, confined->connects) == 0;
    seccomp_release(filter);
}
