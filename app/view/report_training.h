/* A page about a training run, and its curves as pictures: how the information in the network's outputs rose. */
#ifndef APP_VIEW_REPORT_TRAINING_H
#define APP_VIEW_REPORT_TRAINING_H

#include <stddef.h>

#include "app/view/views.h"
#include "core/infomask_train.h"

/* Writes folder/index.html with all of them, and information.svg, accuracy.svg and softmax.svg (held-out information
 * against the mean log-softmax of the training labels); makes the folder.  title: of the page; truth: I(X;Y) in nats
 * where it is known, else NAN. */
enum infomask_status report_training(const char *folder, const char *title, const struct infomask_train_epoch *epochs,
                                     size_t count, double truth, enum view_units units,
                                     struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
