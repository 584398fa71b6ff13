/* Model folders by name or path; what the catalogue and the finding of one folder share. */
#ifndef APP_MODEL_FOLDERS_H
#define APP_MODEL_FOLDERS_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>

#define FOLDER_OWN_MODEL "efficientnet-lite0" /* the model that the project comes with */

bool folder_is_path(const char *model);          /* a path, not a name in the models' directory */
#define FOLDERS_MOST 8 /* of a path; what comes behind is not looked at */
/* The folder number `index` of a path of folders with ':' between them; a path that is a folder itself is the only one.
 * malloc'ed; NULL: there are no more (or no memory). */
char *folders_part(const char *path, size_t index);
bool folder_has_document(const char *folder);    /* there is a model.json in it */
int folder_is_candidate(const struct dirent *entry); /* for scandir: what is not hidden */

#endif
