/* Self-confinement: what the process could do and does not need is given up for good, so that a flaw in a decoder, in
 * the HTTP library or in our own code leads nowhere.
 *
 *     confine_user("infomask", state, &err);      root only: becomes that user, for good
 *     confine_files(paths, count, &confined);     before any thread is made: threads inherit it
 *     ... everything is opened, threads are made ...
 *     confine_calls(&confined);                   all threads at once, before the first request
 *
 * Files: no new privileges (prctl(2)) and Landlock (landlock(7)), which leaves the named folders and a few files of the
 * system, and no TCP connection outwards where the kernel knows that rule.  Calls: a seccomp filter (libseccomp) under
 * which there is no execve, no socket, no connect (unless ports were named), no ptrace, no new process and no new
 * executable memory; a call that is not on its list fails with ENOSYS.  What the kernel lacks is left out and told:
 * none of it is a reason not to serve. Builds with a sanitizer read all files and may make the calls that its reports
 * need; builds that measure coverage write into the folder that INFOMASK_COVERAGE names.
 */
#ifndef APP_HOST_CONFINE_H
#define APP_HOST_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

enum confine_access {
    CONFINE_READ,   /* everything below a folder; what links in it or in its folders lead to now can be read as well */
    CONFINE_BESIDE, /* a file that may be replaced: everything in its folder, and in the one that it is a link into */
    CONFINE_WRITE,  /* below a folder: read, write, make and remove files */
    CONFINE_UNLINK  /* a name that will be removed: removing names in its folder */
};

struct confine_path {
    const char *path; /* NULL or "": ignored */
    enum confine_access access;
};

/* What is in force. */
struct confined {
    bool no_new_privileges, calls;
    int landlock; /* the version of its interface; 0: none */
    int folders;  /* that can still be reached */
    bool connects; /* outwards, to the ports that were named */
};

/* Becomes `user` with its groups, after giving it `folder` (NULL: none) if that is root's.  ARGUMENT when there is no
 * such user, or when the process is neither root's nor its; nothing when it is that user's already. */
enum infomask_status confine_user(const char *user, const char *folder, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ports [port_count]: TCP ports that may still be connected to, with the names of hosts looked up on the way (a state
 * that is on a server); NULL, 0: none. */
void confine_files(const struct confine_path *paths, size_t count, const int *ports, int port_count,
                   struct confined *confined);
void confine_calls(struct confined *confined);

/* One sentence: "no new privileges, seccomp, Landlock 7 (3 folders)"; what is missing is named. */
#define CONFINED_TEXT 200
void confined_text(const struct confined *confined, char text[CONFINED_TEXT]);
/* What this kernel has to confine with. */
void confine_available(struct confined *available);

#endif
