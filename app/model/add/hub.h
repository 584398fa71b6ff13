/* What lies beside an ONNX file in a folder of Hugging Face's hub: preprocessor_config.json says how photos are
 * prepared, config.json which classes there are (transformers and optimum write both files), or both (timm).  Read as
 * the processors of transformers and timm read them. */
#ifndef APP_MODEL_ADD_HUB_H
#define APP_MODEL_ADD_HUB_H

#include "app/model/add/preset.h"
#include "core/base/status.h"

struct hub {
    struct preset preset; /* its name is the file's; NULL: there is none */
    int width, height;    /* of the network's input; 0: not said */
    bool several_labels;  /* a photo may have: a sigmoid of each output */
    char *classes;        /* text of a labels.txt; owned; NULL: none */
    size_t class_count;
};

/* Of the ONNX file's own folder, or of the one above where that is named onnx.  Files that are not there, or not of
 * this kind, leave their part of *hub empty; a preprocessor_config.json that cannot be understood is BAD_DATA with the
 * reason. */
enum infomask_status hub_read(const char *onnx_file, struct hub *hub, struct infomask_error *err)
    __attribute__((warn_unused_result));
void hub_fini(struct hub *hub);

/* The preset for the file: the hub's, unless the network itself shows that it cannot be meant (it normalises already);
 * else as preset_guess.  Borrowed of hub, or static. */
const struct preset *hub_preset(const struct hub *hub, const struct infomask_inspection *file, bool *known,
                                const char **reason);

#endif
