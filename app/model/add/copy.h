/* An ONNX file into a model folder, with the files of weights that it names. */
#ifndef APP_MODEL_ADD_COPY_H
#define APP_MODEL_ADD_COPY_H

#include "app/model/folder_write.h"

/* `name` in the folder; *to: its path, malloc'ed.  The only time that the file is read: whatever is found out
 * afterwards is found out of the copy. */
enum infomask_status copy_network(const struct folder_write *folder, const char *file, const char *name, char **to,
                                  struct infomask_error *err) __attribute__((warn_unused_result));

#endif
