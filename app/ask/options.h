/* What the parameters mean for a model: priors counted, classes found, units converted to nats. */
#ifndef APP_ASK_OPTIONS_H
#define APP_ASK_OPTIONS_H

#include "app/model/models.h"
#include "app/settings/params.h"
#include "app/view/problem.h"

struct param_options {
    struct infomask_classify_options classify;
    struct infomask_filter_options filter; /* and .mask inside */
    int targets[PARAMS_MAX_TARGETS];
    int target_count;
    int top_k;            /* capped at K only when it is the default */
    bool groups;          /* with the predictions */
    bool bits;
    double abstain_below; /* nats; NAN: never */
    const char *prior;    /* "train", "uniform", "given" */
    double *prior_values; /* owned */
};

/* options->filter.mask.targets points into options: don't copy the struct.  Free with param_options_fini, on failure
 * too.  *problem: what a failure is to a client. */
enum infomask_status param_options_init(struct param_options *options, const struct params *params,
                                        const struct model *model, enum view_problem *problem,
                                        struct infomask_error *err) __attribute__((warn_unused_result));
void param_options_fini(struct param_options *options);

/* A class or group (model_find_target) or a class alone (model_find_class) by its name.  *problem: what a failure is to
 * a client. */
enum infomask_status ask_find_target(const struct model *model, const char *name, int *target,
                                     enum view_problem *problem, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status ask_find_class(const struct model *model, const char *name, int *class, enum view_problem *problem,
                                struct infomask_error *err) __attribute__((warn_unused_result));

/* ARGUMENT, with a sentence, if a parameter was given that says how a mask is to be made: it cannot stand beside a mask
 * of one's own. */
enum infomask_status params_check_mask(const struct params *params, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* pixels: borrowed. */
void param_options_mask(struct param_options *options, const struct params *params, const uint8_t *pixels);

#endif
