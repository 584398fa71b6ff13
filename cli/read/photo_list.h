/* Labelled photos on disk: a folder with one subfolder a class, or a list of paths and labels. */
#ifndef CLI_READ_PHOTO_LIST_H
#define CLI_READ_PHOTO_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/model/models.h"
#include "core/base/status.h"

struct labelled_photo {
    char *path;         /* to open */
    const char
        *sample; /* its id, within path: relative to the folder or list, so that a moved data set keeps its ids */
    int label;
    uint64_t near; /* the group of near copies that it is of (estimate_near.h); 0: not looked at */
};

struct photo_list {
    struct labelled_photo *photos;
    size_t count, capacity;
};

/* Every file under each subfolder, which a class names by label, alias or index; what begins with a dot is left out.
 * In the order of the names.  A subfolder that no class names is an error that names it. */
enum infomask_status photo_list_folder(struct photo_list *list, const struct model *model, const char *folder,
                                       struct infomask_error *err) __attribute__((warn_unused_result));
/* The same for classes that are new: each subfolder is one, numbered in the order of the names.  With names->fixed only
 * those that are there already. */
struct class_names {
    char **names;
    size_t count;
    bool fixed;
};
enum infomask_status photo_list_classes(struct photo_list *list, struct class_names *names, const char *folder,
                                        struct infomask_error *err) __attribute__((warn_unused_result));
void class_names_fini(struct class_names *names);
/* Every file under the folder, at any depth, whatever it shows. */
enum infomask_status photo_list_all(struct photo_list *list, const char *folder, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Lines of PATH<tab>CLASS; a relative path counts from the list's own folder; empty lines and #... are left out. */
enum infomask_status photo_list_file(struct photo_list *list, const struct model *model, const char *file,
                                     struct infomask_error *err) __attribute__((warn_unused_result));
/* Leaves the photos whose sample's hash is `index` modulo `count`: disjoint parts, whatever the order. */
void photo_list_shard(struct photo_list *list, unsigned index, unsigned count);
/* What photos of one folder have in common (a person, a video): a hash of its name, below the class's folder if the
 * list is one of folders of classes (so that one name below two classes is one group); 0: it lies in none. */
uint64_t photo_folder(const struct labelled_photo *photo, bool below_class);
/* What became of reading a photo's file: where it is larger than max_body allows, the sentence names that setting. */
enum infomask_status photo_was_read(enum infomask_status status, size_t limit, struct infomask_error *err);
/* The bytes of a photo's file (malloc'ed).  A pipe or device that lies in a folder is refused: opening it would wait.
 */
enum infomask_status photo_read(const struct labelled_photo *photo, size_t limit, char **bytes, size_t *size,
                                struct infomask_error *err) __attribute__((warn_unused_result));
void photo_list_fini(struct photo_list *list);

#endif
