/* The state: a folder and its disk, or a server. */
#include "cli/doctor/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "app/settings/places.h"
#include "app/state/estimates.h"
#include "app/state/store.h"

#define LEAST_DISK (64u << 20) /* bytes: journals and temporary files of what is written */
#define UNIT_STATE "/var/lib/infomask" /* StateDirectory of infomask.service */
#define OLDEST_SERVER 130000   /* PostgreSQL 13 */

static double megabytes(unsigned long long bytes) { return (double)bytes / 1e6; }

/* ---- State ------------------------------------------------------------------------------------------------------- */

/* The folder itself, or the nearest above it that is there; malloc'ed. */
static char *existing(const char *path)
{
    char *at = strdup(path);

    while (at != NULL && access(at, F_OK) != 0) {
        char *slash = strrchr(at, '/');
        if (slash == NULL) {
            free(at);
            return strdup(".");
        }
        slash[slash == at] = '\0';
    }
    return at;
}

static void look_at_disk(struct doctor *doctor, const char *folder)
{
    unsigned long long limit = doctor->cli->config.state_limit, spare;
    struct statvfs disk;

    if (statvfs(folder, &disk) != 0)
        return;
    spare = (unsigned long long)disk.f_bavail * disk.f_frsize;
    if (spare < LEAST_DISK)
        doctor_say(doctor, DOCTOR_FAIL, "disk", "make room, or set state_dir to another disk", "%.0f MB are free at %s",
                   megabytes(spare), folder);
    else if (spare < limit)
        doctor_say(doctor, DOCTOR_WARN, "disk", "make room, or set state_limit to less",
                   "%.0f MB are free at %s, and the state may grow to %.0f MB", megabytes(spare), folder,
                   megabytes(limit));
    else
        doctor_say(doctor, DOCTOR_OK, "disk", NULL, "%.0f MB are free at %s", megabytes(spare), folder);
}

/* Does the file of estimates open?  Another process may have it open too. */
static void look_at_estimates(struct doctor *doctor, const char *folder)
{
    static const struct estimates_options options;
    struct store_look look;
    struct infomask_error err;
    char *path = file_join(folder, "estimates.db");

    if (path == NULL)
        return;
    if (access(path, F_OK) != 0)
        doctor_say(doctor, DOCTOR_OK, "state", NULL, "%s can be written; there are no estimates yet", folder);
    else if (estimates_look(path, &options, &look, &err) != INFOMASK_OK)
        doctor_say(doctor, DOCTOR_FAIL, "state", "put back a copy of estimates.db, or move it away", "%s: %s", folder,
                   err.text);
    else if (look.version < look.wanted)
        doctor_say(doctor, DOCTOR_OK, "state", NULL,
                   "%s can be written; its tables are of version %d, and will be made version %d", folder, look.version,
                   look.wanted);
    else
        doctor_say(doctor, DOCTOR_OK, "state", NULL, "%s can be written, and its estimates read", folder);
    free(path);
}

static bool can_write(const char *folder)
{
    char *name = file_join(folder, ".doctor-XXXXXX");
    int fd = name != NULL ? mkostemp(name, O_CLOEXEC) : -1, code = errno;

    if (fd >= 0) {
        (void)close(fd);
        (void)unlink(name);
    }
    free(name);
    errno = code;
    return fd >= 0;
}

/* The unit gives the service a folder of its own, which nobody else is told of. */
static void tell_of_unit(struct doctor *doctor, const char *path)
{
    if (doctor->cli->config.state_dir[0] != '\0' || getenv("STATE_DIRECTORY") != NULL ||
        strcmp(path, UNIT_STATE) == 0 || access(UNIT_STATE, F_OK) != 0)
        return;
    doctor_say(doctor, DOCTOR_WARN, "state",
               "runuser -u infomask -- env STATE_DIRECTORY=" UNIT_STATE " infomask doctor looks as the service does",
               "%s is that of who runs this; the service that systemd starts has " UNIT_STATE, path);
}

static void look_at_folder(struct doctor *doctor)
{
    char *path = place_of_state_path(doctor->cli->config.state_dir), *there = path != NULL ? existing(path) : NULL;
    struct stat at;

    if (there == NULL) {
        doctor_say(doctor, DOCTOR_WARN, "state", "set state_dir",
                   "there is no place for state: estimates will be refused");
    } else if (stat(there, &at) != 0 || !S_ISDIR(at.st_mode)) {
        doctor_say(doctor, DOCTOR_FAIL, "state", "set state_dir to a folder", "%s is not a folder", there);
    } else if (!can_write(there)) {
        if (strcmp(path, there) == 0)
            doctor_say(doctor, DOCTOR_FAIL, "state", "give it to the user of the service, or set state_dir", "%s: %s",
                       there, strerror(errno));
        else
            doctor_say(doctor, DOCTOR_FAIL, "state", "make it for the user of the service, or set state_dir",
                       "%s cannot be made: %s: %s", path, there, strerror(errno));
    } else if (strcmp(path, there) != 0) {
        doctor_say(doctor, DOCTOR_OK, "state", NULL, "%s will be made", path);
    } else {
        look_at_estimates(doctor, path);
        if ((at.st_mode & S_IWOTH) != 0)
            doctor_say(doctor, DOCTOR_WARN, "state", "chmod o-w it", "%s can be written by everybody", path);
    }
    if (there != NULL) {
        tell_of_unit(doctor, path);
        look_at_disk(doctor, there);
    }
    free(there);
    free(path);
}

/* ---- A server ---------------------------------------------------------------------------------------------------- */

static void tell_rights(struct doctor *doctor, const struct store_look *look)
{
    if (!look->may_make && look->version == 0)
        doctor_say(doctor, DOCTOR_FAIL, "state", "GRANT CREATE ON DATABASE ... TO its user, or make it the owner",
                   "the user may not make the tables, which are not there yet");
    else if (!look->may_make)
        doctor_say(doctor, DOCTOR_FAIL, "state", "start as the user that made the tables",
                   "the user may not change the tables, which are of version %d, to version %d", look->version,
                   look->wanted);
    if (!look->may_use)
        doctor_say(doctor, DOCTOR_FAIL, "state",
                   "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA infomask, and USAGE on the schema",
                   "the user may not read and write the tables");
    if (look->read_only)
        doctor_say(doctor, DOCTOR_FAIL, "state", "name the primary, or add ?target_session_attrs=read-write",
                   "the server takes nothing: it is a standby, or read only");
}

static void tell_server(struct doctor *doctor, const struct store_look *look)
{
    int release = look->server / 10000;

    if (look->server < OLDEST_SERVER)
        doctor_say(doctor, DOCTOR_FAIL, "state", "use version 13 or later", "the server is PostgreSQL %d", release);
    if (!look->utf8)
        doctor_say(doctor, DOCTOR_FAIL, "state", "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
                   "the database does not hold UTF-8, and names of samples may be anything");
    if (!look->serves)
        doctor_say(doctor, DOCTOR_FAIL, "state", "use the version of infomask that the other replicas are of",
                   "the tables are of version %d, and this infomask knows version %d", look->version, look->wanted);
    tell_rights(doctor, look);
    if (!look->encrypted && !look->local)
        doctor_say(doctor, DOCTOR_WARN, "state", "add ?sslmode=verify-full&sslrootcert=FILE to the address",
                   "the server is on another machine, and nothing is encrypted on the way to it");
    if (look->version == 0)
        doctor_say(doctor, DOCTOR_OK, "state", NULL, "PostgreSQL %d answers%s; the tables will be made", release,
                   look->encrypted ? " by TLS" : "");
    else
        doctor_say(doctor, DOCTOR_OK, "state", NULL, "PostgreSQL %d answers%s; its tables are of version %d%s", release,
                   look->encrypted ? " by TLS" : "", look->version,
                   look->version < look->wanted ? ", and will be changed" : "");
}

static void look_at_server(struct doctor *doctor)
{
    const struct config *config = &doctor->cli->config;
    const struct estimates_options options = {.password_file = config->state_password};
    struct store_look look;
    struct infomask_error err;
    enum infomask_status status = estimates_look(config->state, &options, &look, &err);

    if (status != INFOMASK_OK)
        doctor_say(doctor, DOCTOR_FAIL, "state",
                   status == INFOMASK_ARGUMENT ? "see docs/operate.md, \"State that replicas share\""
                                               : "the service would start, and answer 503 to who needs the state",
                   "%s", err.text);
    else
        tell_server(doctor, &look);
    if (config->state_password[0] != '\0')
        doctor_look_at_secret(doctor, "state", config->state_password);
}

void doctor_state_of_service(struct doctor *doctor)
{
    if (strcmp(doctor->cli->config.state, "sqlite") == 0)
        look_at_folder(doctor);
    else
        look_at_server(doctor);
}
