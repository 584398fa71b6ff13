/* Model folders by name or path; what the catalogue and the finding of one folder share. */
#ifndef APP_MODEL_FOLDERS_H
#define APP_MODEL_FOLDERS_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

#define FOLDER_OWN_MODEL "efficientnet-lite0" /* the model that the project comes with */

bool folder_is_good_name(const char *name);      /* of a model: 1 to 63 of A-Za-z0-9._-, the first no dot */
bool folder_is_path(const char *model);          /* a path, not a name in the models' directory */
#define FOLDERS_MOST 8 /* of a path; what comes behind is not looked at */
/* The folder number `index` of a path of folders with ':' between them; a path that is a folder itself is the only one.
 * malloc'ed; NULL: there are no more (or no memory). */
char *folders_part(const char *path, size_t index);
bool folder_has_document(const char *folder);    /* there is a model.json in it */
int folder_is_candidate(const struct dirent *entry); /* for scandir: what is not hidden */

/* Folders of models are given as a path, "one:another" (app/settings/places.h); the first that has a name wins. */

/* The folder of the default model: efficientnet-lite0, else the first by name that has a model.json; malloc'ed; NULL:
 * none. */
char *models_default_folder(const char *directories);

/* The folder of a MODEL argument (a name below one of the directories, or the path of a folder); of one that is
 * nowhere, where it would be.  malloc'ed, NULL without memory. */
char *models_folder(const char *directories, const char *model);

/* Where a new model of that name goes: below `directory`, or the path that `model` is.  malloc'ed, NULL without memory.
 */
char *models_new_folder(const char *directory, const char *model);

/* " (did you mean NAME?)", or nothing where no model's name is near. */
void models_suggest(const char *directories, const char *model, char *text, size_t size);

#endif
