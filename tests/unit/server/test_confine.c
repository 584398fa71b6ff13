/* Each probe runs in a child of its own, since there is no way back: its exit code says how it went. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/host/confine.h"
#include "app/host/confine_build.h"

enum { HELD = 0, ESCAPED = 1, UNUSABLE = 2, NOT_HERE = 77 };

struct folders {
    char root[40], models[80], state[80], other[80];
};

static void make_folders(struct folders *f)
{
    (void)snprintf(f->root, sizeof f->root, "/tmp/infomask-confine-XXXXXX");
    assert_non_null(mkdtemp(f->root));
    assert_int_equal(chmod(f->root, 0711), 0); /* another user must come to the state folder */
    (void)snprintf(f->models, sizeof f->models, "%s/models", f->root);
    (void)snprintf(f->state, sizeof f->state, "%s/state", f->root);
    (void)snprintf(f->other, sizeof f->other, "%s/other", f->root);
    assert_int_equal(mkdir(f->models, 0700), 0);
    assert_int_equal(mkdir(f->state, 0700), 0);
    assert_int_equal(mkdir(f->other, 0700), 0);
}

static void remove_folders(const struct folders *f)
{
    static const char *const names[] = {"models/a", "models/before", "models/after", "state/a", "state/b", "other/a",
                                        "models", "state", "other"};
    char path[120];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", f->root, names[i]);
        (void)remove(path);
    }
    assert_int_equal(rmdir(f->root), 0);
}

/* Whether folder/name can be opened with the flags. */
static bool opens(const char *folder, const char *name, int flags)
{
    char path[160];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static int in_child(int (*probe)(const struct folders *f), const struct folders *f)
{
    pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0)
        _exit(probe(f));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int confine_to(const struct folders *f, bool calls, struct confined *confined)
{
    const struct confine_path paths[] = {{f->models, CONFINE_READ}, {f->state, CONFINE_WRITE}, {NULL, CONFINE_READ}};
    struct confined available;

    confine_available(&available);
    confine_files(paths, 3, NULL, 0, confined);
    if (calls && !available.calls)
        return NOT_HERE;
    if (calls)
        confine_calls(confined);
    return confined->no_new_privileges && (!calls || confined->calls) ? HELD : UNUSABLE;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

static int probe_files(const struct folders *f)
{
    struct confined confined;

    if (confine_to(f, false, &confined) != HELD)
        return UNUSABLE;
    if (confined.landlock == 0)
        return NOT_HERE;
    if (!CONFINE_SANITIZED && (opens("/etc", "passwd", O_RDONLY) || opens(f->other, "a", O_RDONLY) || opens("/proc/self", "maps", O_RDONLY)))
        return ESCAPED;
    if (opens(f->models, "a", O_WRONLY) || opens(f->models, "b", O_WRONLY | O_CREAT) || opens(f->other, "b", O_WRONLY | O_CREAT))
        return ESCAPED;
    if (!opens(f->models, "a", O_RDONLY) || !opens(f->state, "a", O_RDWR | O_CREAT | O_TRUNC) || !opens("/dev", "null", O_RDONLY))
        return UNUSABLE;
    return HELD;
}

static int probe_links(const struct folders *f)
{
    char before[120], after[120];
    struct confined confined;

    (void)snprintf(before, sizeof before, "%s/before", f->models);
    (void)snprintf(after, sizeof after, "%s/after", f->models);
    if (symlink(f->other, before) != 0)
        return UNUSABLE;
    if (confine_to(f, false, &confined) != HELD || !opens(before, "a", O_RDONLY))
        return confined.landlock == 0 ? NOT_HERE : UNUSABLE;
    if (confined.landlock == 0)
        return NOT_HERE;
    if (symlink("/etc", after) == 0) /* making links is not ours to do either */
        return ESCAPED;
    return HELD;
}

static int probe_late_link(const struct folders *f)
{
    char after[120];
    struct confined confined;
    int go[2], done[2];
    char byte = 0;
    pid_t child;

    if (pipe(go) != 0 || pipe(done) != 0 || (child = fork()) < 0)
        return UNUSABLE;
    (void)snprintf(after, sizeof after, "%s/after", f->models);
    if (child == 0) { /* somebody else, later */
        byte = read(go[0], &byte, 1) == 1 && symlink("/etc", after) == 0;
        _exit(write(done[1], &byte, 1) != 1);
    }
    if (confine_to(f, false, &confined) != HELD)
        return UNUSABLE;
    if (write(go[1], &byte, 1) != 1 || read(done[0], &byte, 1) != 1 || byte != 1)
        return UNUSABLE;
    (void)waitpid(child, NULL, 0);
    if (confined.landlock == 0 || CONFINE_SANITIZED)
        return NOT_HERE;
    return opens(after, "passwd", O_RDONLY) ? ESCAPED : HELD;
}

/* ---- Calls ------------------------------------------------------------------------------------------------------- */

static bool can_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd >= 0;
}

static bool can_exec(void)
{
    char *const arguments[] = {(char *)(uintptr_t)"true", NULL};

    (void)execv("/bin/true", arguments);
    (void)execv("/usr/bin/true", arguments);
    return false; /* whoever can is no longer here, and exits with 0 of its own */
}

static int probe_exec(const struct folders *f)
{
    struct confined confined;
    int code = confine_to(f, true, &confined);

    if (code != HELD)
        return code;
    return can_exec() ? ESCAPED : 3; /* not 0, which is what true would say */
}

static int probe_calls(const struct folders *f)
{
    struct confined confined;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    int code = confine_to(f, true, &confined);

    if (page == MAP_FAILED || code != HELD)
        return code != HELD ? code : UNUSABLE;
    if (can_socket())
        return ESCAPED;
    if (CONFINE_SANITIZED)
        return HELD;
    if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED ||
        mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 || fork() >= 0 || kill(getppid(), 0) == 0)
        return ESCAPED;
    return mprotect(page, 4096, PROT_READ) == 0 ? HELD : UNUSABLE;
}

struct early {
    pthread_mutex_t lock;
    int code;
};

static void *early_thread(void *context)
{
    struct early *early = context;

    (void)pthread_mutex_lock(&early->lock); /* until the filter is there */
    early->code = can_socket() ? ESCAPED : HELD;
    (void)pthread_mutex_unlock(&early->lock);
    return NULL;
}

/* The filter holds for threads that were there before it, and new ones can be made under it. */
static int probe_threads(const struct folders *f)
{
    struct early early = {.lock = PTHREAD_MUTEX_INITIALIZER, .code = UNUSABLE}, late = early;
    struct confined confined;
    pthread_t threads[2];

    int code = UNUSABLE;

    (void)pthread_mutex_lock(&early.lock);
    if (pthread_create(&threads[0], NULL, early_thread, &early) != 0 || (code = confine_to(f, true, &confined)) != HELD)
        return code;
    (void)pthread_mutex_unlock(&early.lock);
    if (pthread_join(threads[0], NULL) != 0 || pthread_create(&threads[1], NULL, early_thread, &late) != 0 ||
        pthread_join(threads[1], NULL) != 0)
        return UNUSABLE;
    return early.code != HELD ? early.code : late.code;
}

static void run(int (*probe)(const struct folders *f), int expected)
{
    struct folders f;
    int code;

    make_folders(&f);
    assert_true(opens(f.models, "a", O_WRONLY | O_CREAT) && opens(f.other, "a", O_WRONLY | O_CREAT));
    code = in_child(probe, &f);
    remove_folders(&f);
    if (code == NOT_HERE)
        skip();
    assert_int_equal(code, expected);
}

static void only_its_files_are_left(void **state)
{
    (void)state;
    run(probe_files, HELD);
}

static void links_made_before_lead_on(void **state)
{
    (void)state;
    run(probe_links, HELD);
}

static void links_made_later_lead_nowhere(void **state)
{
    (void)state;
    run(probe_late_link, HELD);
}

static void nothing_is_executed(void **state)
{
    (void)state;
    run(probe_exec, 3);
}

static void no_sockets_processes_or_code(void **state)
{
    (void)state;
    run(probe_calls, HELD);
}

static void all_threads_are_held(void **state)
{
    (void)state;
    run(probe_threads, HELD);
}

/* ---- The user ---------------------------------------------------------------------------------------------------- */

static int probe_user(const struct folders *f)
{
    struct infomask_error err;
    const struct passwd *nobody = getpwnam("nobody");
    struct stat folder;

    if (nobody == NULL || geteuid() != 0)
        return NOT_HERE;
    if (confine_user("nobody", f->state, &err) != INFOMASK_OK)
        return UNUSABLE;
    if (getuid() == 0 || setuid(0) == 0 || getgroups(0, NULL) > 1 || opens("/etc", "shadow", O_RDONLY))
        return ESCAPED;
    return stat(f->state, &folder) == 0 && folder.st_uid == getuid() && confine_user("nobody", NULL, &err) == INFOMASK_OK
               ? HELD
               : UNUSABLE;
}

static void root_becomes_another_user(void **state)
{
    struct infomask_error err;

    (void)state;
    run(probe_user, HELD);
    assert_int_equal(confine_user("no-such-user-here", NULL, &err), INFOMASK_ARGUMENT);
    assert_non_null(strstr(err.text, "no-such-user-here"));
    if (geteuid() != 0)
        assert_int_equal(confine_user("root", NULL, &err), INFOMASK_ARGUMENT);
}

static void what_is_missing_is_told(void **state)
{
    char text[CONFINED_TEXT];

    (void)state;
    confined_text(&(struct confined){0}, text);
    assert_non_null(strstr(text, "no Landlock"));
    assert_non_null(strstr(text, "no seccomp"));
    confined_text(&(struct confined){.no_new_privileges = true, .calls = true, .landlock = 3, .folders = 2}, text);
    assert_non_null(strstr(text, "no new privileges, seccomp, Landlock 3 (2 folders)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_its_files_are_left),      cmocka_unit_test(links_made_before_lead_on),
        cmocka_unit_test(links_made_later_lead_nowhere), cmocka_unit_test(nothing_is_executed),
        cmocka_unit_test(no_sockets_processes_or_code), cmocka_unit_test(all_threads_are_held),
        cmocka_unit_test(root_becomes_another_user),    cmocka_unit_test(what_is_missing_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
