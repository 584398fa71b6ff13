/* From the settings to models: the pool that computes, what a loading takes, and the one model of a MODEL argument. */
#ifndef APP_MODEL_LOAD_H
#define APP_MODEL_LOAD_H

#include "app/model/models.h"
#include "app/settings/config.h"

/* The pool of the setting `threads`. */
enum infomask_status load_pool(const struct config *config, struct pool **pool, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The setting `precision`, one of its words. */
enum infomask_precision load_precision(const struct config *config);
/* Settings to what models_create takes; the pool may be NULL, warn is the caller's to set.  ARGUMENT for kernels or a
 * precision that is not here. */
enum infomask_status load_options(const struct config *config, struct pool *pool, struct model_options *options,
                                  struct infomask_error *err) __attribute__((warn_unused_result));
/* The model of a MODEL argument (NULL: the setting `model`, or the default one), loaded. */
enum infomask_status load_model(const struct config *config, const char *name, const struct model_options *options,
                                struct model **model, struct infomask_error *err) __attribute__((warn_unused_result));

#endif
