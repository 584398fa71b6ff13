/* Where things lie when nobody says: beside the binary, in its source tree or where `make install` put them. */
#ifndef APP_SETTINGS_PLACES_H
#define APP_SETTINGS_PLACES_H

/* The settings' file: ../config/infomask.ini, ../../config/infomask.ini, ../etc/infomask/infomask.ini
 * or (of /usr/bin) ../../etc/infomask/infomask.ini from the
 * binary's folder; malloc'ed; NULL: none is there. */
char *place_of_config(void);

/* Where model folders are looked for, as a path of folders with ':' between them of which the first that has a name
 * wins: `setting` if it is not empty; else config/models here, or ../config/models or ../../config/models from the
 * binary's folder (its sources); then the user's own, $XDG_DATA_HOME/infomask/models or ~/.local/share/infomask/models,
 * which need not be there yet; then ../share/infomask/models from the binary's folder (what was installed).  malloc'ed;
 * NULL without memory. */
char *place_of_models(const char *setting);
/* The first of them, where new models go; the user's own is made if it is not there.  malloc'ed; NULL without memory.
 */
char *place_of_new_models(const char *setting);

/* A script of the project's: config/NAME of its sources, or ../share/infomask/NAME from the binary's folder; malloc'ed;
 * NULL: it is not there. */
char *place_of_script(const char *name);

/* The data set `name` that `make data` fetched: build/data/NAME here, or data/NAME or ../data/NAME from the binary's
 * folder; malloc'ed; NULL: it is not there. */
char *place_of_data(const char *name);

/* As place_of_state, but nothing is made: it may not be there. */
char *place_of_state_path(const char *setting);
/* The folder of what is kept: `setting` if it is not empty; else $STATE_DIRECTORY, $XDG_STATE_HOME/infomask or
 * ~/.local/state/infomask; made if it is not there.  malloc'ed; NULL when there is no place, or none that can be made.
 */
char *place_of_state(const char *setting);

#endif
