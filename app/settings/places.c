#include "app/settings/places.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first of the paths, each relative to the binary's folder, that exists; malloc'ed; NULL: none. */
static char *beside_binary(const char *const *paths, size_t count)
{
    char folder[PATH_MAX], *path = NULL;
    ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 1);
    char *slash;

    if (length <= 0)
        return NULL;
    folder[length] = '\0';
    slash = strrchr(folder, '/');
    if (slash == NULL)
        return NULL;
    *slash = '\0';
    for (size_t i = 0; i < count; i++) {
        if (asprintf(&path, "%s/%s", folder, paths[i]) < 0)
            return NULL;
        if (access(path, R_OK) == 0) {
            char *clean = realpath(path, NULL);
            free(path);
            return clean;
        }
        free(path);
    }
    return NULL;
}

char *place_of_config(void)
{
    static const char *const paths[] = {"../config/infomask.ini", "../../config/infomask.ini",
                                        "../etc/infomask/infomask.ini", "../../etc/infomask/infomask.ini"};
    return beside_binary(paths, sizeof paths / sizeof *paths);
}

char *place_of_script(const char *name)
{
    char source[80], deeper[80], installed[80];
    const char *paths[] = {source, deeper, installed};

    (void)snprintf(source, sizeof source, "../config/%.50s", name);
    (void)snprintf(deeper, sizeof deeper, "../../config/%.50s", name);
    (void)snprintf(installed, sizeof installed, "../share/infomask/%.50s", name);
    return beside_binary(paths, 3);
}

char *place_of_data(const char *name)
{
    char *here, path[64], up[64];
    const char *paths[] = {path, up};

    if (asprintf(&here, "build/data/%.32s", name) < 0)
        return NULL;
    if (access(here, R_OK) == 0)
        return here;
    free(here);
    (void)snprintf(path, sizeof path, "data/%.32s", name);
    (void)snprintf(up, sizeof up, "../data/%.32s", name);
    return beside_binary(paths, 2);
}

/* Makes the folder and those above it. */
static bool make_folders(char *path, mode_t mode)
{
    for (char *at = path + 1; *at != '\0'; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        if (mkdir(path, mode) != 0 && errno != EEXIST)
            return false;
        *at = '/';
    }
    return mkdir(path, mode) == 0 || errno == EEXIST;
}

static const char *variable(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] == '/' ? value : NULL; /* only absolute paths are meant by these */
}

char *place_of_state_path(const char *setting)
{
    const char *systemd = variable("STATE_DIRECTORY"), *xdg = variable("XDG_STATE_HOME"), *home = variable("HOME");
    char *path = NULL;
    int length = 0;

    if (setting[0] != '\0')
        path = strdup(setting);
    else if (systemd != NULL)
        path = strndup(systemd, strcspn(systemd, ":")); /* systemd may name several */
    else if (xdg != NULL)
        length = asprintf(&path, "%s/infomask", xdg);
    else if (home != NULL)
        length = asprintf(&path, "%s/.local/state/infomask", home);
    return length < 0 ? NULL : path;
}

char *place_of_state(const char *setting)
{
    char *path = place_of_state_path(setting);

    if (path != NULL && !make_folders(path, 0700)) {
        free(path);
        return NULL;
    }
    return path;
}

/* ---- Models ------------------------------------------------------------------------------------------------------ */

/* In the sources; NULL: this is not a build of them. */
static char *models_of_sources(void)
{
    static const char here[] = "config/models";
    static const char *const paths[] = {"../config/models", "../../config/models"};

    return access(here, R_OK) == 0 ? strdup(here) : beside_binary(paths, sizeof paths / sizeof *paths);
}

/* NULL: there is no home. */
static char *models_of_user(void)
{
    const char *xdg = variable("XDG_DATA_HOME"), *home = variable("HOME");
    char *path = NULL;
    int length = -1;

    if (xdg != NULL)
        length = asprintf(&path, "%s/infomask/models", xdg);
    else if (home != NULL)
        length = asprintf(&path, "%s/.local/share/infomask/models", home);
    return length < 0 ? NULL : path;
}

char *place_of_models(const char *setting)
{
    static const char *const shared[] = {"../share/infomask/models"};
    char *parts[3], *path = NULL;

    if (setting[0] != '\0')
        return strdup(setting);
    parts[0] = models_of_sources();
    parts[1] = models_of_user();
    parts[2] = beside_binary(shared, 1);
    for (size_t i = 0; i < 3; i++) {
        char *before = path;
        if (parts[i] == NULL)
            continue;
        if (asprintf(&path, "%s%s%s", before != NULL ? before : "", before != NULL ? ":" : "", parts[i]) < 0)
            path = NULL;
        free(before);
        free(parts[i]);
    }
    return path != NULL ? path : strdup("config/models");
}

char *place_of_new_models(const char *setting)
{
    char *path = place_of_models(setting), *user = setting[0] == '\0' ? models_of_user() : NULL;

    if (path != NULL && access(path, F_OK) != 0) /* one folder may have a colon in its name */
        path[strcspn(path, ":")] = '\0';
    if (path != NULL && user != NULL && strcmp(path, user) == 0)
        (void)make_folders(path, 0777);
    free(user);
    return path;
}
