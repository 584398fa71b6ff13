#include "app/host/confine.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/host/confine_build.h"

/* ---- The user ---------------------------------------------------------------------------------------------------- */

static bool become(const struct passwd *user)
{
    return initgroups(user->pw_name, user->pw_gid) == 0 && setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0 &&
           setuid(0) != 0; /* there must be no way back */
}

enum infomask_status confine_user(const char *name, const char *folder, struct infomask_error *err)
{
    const struct passwd *user = getpwnam(name);
    struct stat state;

    if (user == NULL)
        return error_set(err, INFOMASK_ARGUMENT, "user: there is no user %.60s", name);
    if (geteuid() == user->pw_uid && getuid() == user->pw_uid)
        return INFOMASK_OK;
    if (geteuid() != 0)
        return error_set(err, INFOMASK_ARGUMENT, "user: only root can become %.60s", name);
    if (folder != NULL && stat(folder, &state) == 0 && state.st_uid == 0 &&
        chown(folder, user->pw_uid, user->pw_gid) != 0)
        return error_set(err, INFOMASK_IO, "user: the state folder cannot be given to %.60s", name);
    if (user->pw_uid == 0 || !become(user))
        return error_set(err, INFOMASK_ARGUMENT, "user: root's rights cannot be given up for those of %.60s", name);
    return INFOMASK_OK;
}

/* ---- Landlock ---------------------------------------------------------------------------------------------------- */

/* The interface as of version 6, whatever headers this was built with (those of Linux 5.10 have none of it); zeros
 * where a kernel knows less. */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 }; /* the same numbers on every architecture */
#define ASK_VERSION 1U
#define RULE_PATH 1
#define RULE_NET_PORT 2 /* as of version 4 */
#define ACCESS_WRITE_FILE (UINT64_C(1) << 1)
#define ACCESS_READ_FILE (UINT64_C(1) << 2)
#define ACCESS_READ_FOLDER (UINT64_C(1) << 3)
#define ACCESS_REMOVE_FILE (UINT64_C(1) << 5)
#define ACCESS_MAKE_FILE (UINT64_C(1) << 8)
#define ACCESS_VERSION_1 ((UINT64_C(1) << 13) - 1)
#define ACCESS_REFER (UINT64_C(1) << 13)
#define ACCESS_TRUNCATE (UINT64_C(1) << 14)
#define ACCESS_DEVICE_IOCTL (UINT64_C(1) << 15)
#define ACCESS_BIND_CONNECT UINT64_C(3)
#define ACCESS_CONNECT UINT64_C(2)
#define SCOPE_SOCKETS_SIGNALS UINT64_C(3)

struct ruleset {
    uint64_t files, net, scoped;
};
#define RULESET_FILES 8 /* the struct's size as of version 1 */

struct path_rule {
    uint64_t access;
    int32_t folder;
} __attribute__((packed));

struct port_rule {
    uint64_t access, port;
};

#define AS_TEXT(name) #name
#define TEXT_OF(macro) AS_TEXT(macro) /* of what it stands for */
#define READ (ACCESS_READ_FILE | ACCESS_READ_FOLDER)
#define WRITE (READ | ACCESS_WRITE_FILE | ACCESS_REMOVE_FILE | ACCESS_MAKE_FILE | ACCESS_TRUNCATE)
#define OF_FILES (ACCESS_READ_FILE | ACCESS_WRITE_FILE | ACCESS_TRUNCATE)

struct rules {
    int fd;
    uint64_t handled;
    int folders;
};

static int landlock_version(void)
{
    long version = syscall(CREATE_RULESET, NULL, (size_t)0, ASK_VERSION);
    return version > 0 ? (int)version : 0;
}

static bool rules_create(struct rules *rules, int version)
{
    struct ruleset set = {.files = ACCESS_VERSION_1};
    size_t size = RULESET_FILES;

    if (version >= 2)
        set.files |= ACCESS_REFER;
    if (version >= 3)
        set.files |= ACCESS_TRUNCATE;
    if (version >= 4) {
        set.net = ACCESS_BIND_CONNECT;
        size = offsetof(struct ruleset, scoped);
    }
    if (version >= 5)
        set.files |= ACCESS_DEVICE_IOCTL;
    if (version >= 6) {
        set.scoped = SCOPE_SOCKETS_SIGNALS;
        size = sizeof set;
    }
    *rules = (struct rules){.fd = (int)syscall(CREATE_RULESET, &set, size, 0U), .handled = set.files};
    return rules->fd >= 0;
}

static void allow(struct rules *rules, const char *path, uint64_t access)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    struct stat state;

    if (fd < 0)
        return;
    if (fstat(fd, &state) == 0) {
        bool folder = S_ISDIR(state.st_mode);
        const struct path_rule rule = {access & rules->handled & (folder ? UINT64_MAX : OF_FILES), fd};
        if (syscall(ADD_RULE, rules->fd, RULE_PATH, &rule, 0U) == 0)
            rules->folders += folder;
    }
    (void)close(fd);
}

static bool is_folder(const char *path)
{
    struct stat state;
    return stat(path, &state) == 0 && S_ISDIR(state.st_mode);
}

/* A folder of models may be a link to where they are, and so may a model's files: who made those links before the start
 * meant them.  Links made later lead nowhere. */
static void allow_links(struct rules *rules, const char *folder, int depth)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    char path[PATH_MAX], real[PATH_MAX];

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.' || (entry->d_type != DT_LNK && entry->d_type != DT_DIR) ||
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path)
            continue;
        if (entry->d_type == DT_LNK && realpath(path, real) != NULL)
            allow(rules, real, READ);
        if (depth > 0 && is_folder(path))
            allow_links(rules, path, depth - 1);
    }
    if (dir != NULL)
        (void)closedir(dir);
}

static void allow_folder_of(struct rules *rules, const char *path, uint64_t access)
{
    char copy[PATH_MAX];

    if (snprintf(copy, sizeof copy, "%s", path) < (int)sizeof copy)
        allow(rules, dirname(copy), access);
}

static void allow_path(struct rules *rules, const struct confine_path *path)
{
    char real[PATH_MAX];

    switch (path->access) {
    case CONFINE_READ:
        allow(rules, path->path, READ);
        allow_links(rules, path->path, 1);
        break;
    case CONFINE_BESIDE:
        allow_folder_of(rules, path->path, READ);
        if (realpath(path->path, real) != NULL)
            allow_folder_of(rules, real, READ);
        break;
    case CONFINE_WRITE:
        allow(rules, path->path, WRITE);
        break;
    case CONFINE_UNLINK:
        allow_folder_of(rules, path->path, ACCESS_REMOVE_FILE);
        break;
    }
}

static void allow_port(const struct rules *rules, int port)
{
    const struct port_rule rule = {ACCESS_CONNECT, (uint64_t)port};

    (void)syscall(ADD_RULE, rules->fd, RULE_NET_PORT, &rule,
                  0U); /* older kernels know no rule, and forbid nothing */
}

void confine_files(const struct confine_path *paths, size_t count, const int *ports, int port_count,
                   struct confined *confined)
{
    /* opened again when descriptors run out; how many processors a container has */
    static const char *const system_files[] = {"/dev/null", "/sys/fs/cgroup/cpu.max"};
    /* names of hosts (resolv.conf is often a link), and of TLS's certificates */
    static const struct confine_path names = {"/etc/resolv.conf", CONFINE_BESIDE};
    int version = landlock_version();
    struct rules rules;

    *confined = (struct confined){.no_new_privileges = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0,
                                  .connects = port_count > 0};
    if (version == 0 || !rules_create(&rules, version))
        return;
    for (size_t i = 0; i < count; i++)
        if (paths[i].path != NULL && paths[i].path[0] != '\0')
            allow_path(&rules, &paths[i]);
    if (port_count > 0)
        allow_path(&rules, &names);
    for (int i = 0; i < port_count; i++)
        allow_port(&rules, ports[i]);
    confined->folders = rules.folders;
    for (size_t i = 0; i < sizeof system_files / sizeof *system_files; i++)
        allow(&rules, system_files[i], ACCESS_READ_FILE);
    if (CONFINE_SANITIZED)
        allow(&rules, "/", READ);
#ifdef INFOMASK_COVERAGE /* the folder where this build writes, at its end, which lines ran */
    allow(&rules, TEXT_OF(INFOMASK_COVERAGE), WRITE);
#endif
    if (syscall(RESTRICT_SELF, rules.fd, 0U) == 0)
        confined->landlock = version;
    (void)close(rules.fd);
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

void confine_available(struct confined *available)
{
    *available = (struct confined){.no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0,
                                   .calls = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0,
                                   .landlock = landlock_version()};
}

void confined_text(const struct confined *confined, char text[CONFINED_TEXT])
{
    char files[64] = "no Landlock here", folders[32] = "";

    if (confined->folders > 0)
        (void)snprintf(folders, sizeof folders, " (%d folders)", confined->folders);
    if (confined->landlock > 0)
        (void)snprintf(files, sizeof files, "Landlock %d%s", confined->landlock, folders);
    (void)snprintf(text, CONFINED_TEXT, "%s, %s, %s%s",
                   confined->no_new_privileges ? "no new privileges" : "new privileges possible",
                   confined->calls ? "seccomp" : "no seccomp here", files,
                   CONFINE_SANITIZED ? " (wider for the sanitizer of this build)" : "");
}
