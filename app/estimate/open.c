#include "app/estimate/open.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static enum infomask_status check_same(const struct ask *ask, const struct estimate_info *info,
                                       struct infomask_error *err)
{
    struct infomask_estimate_spec spec;
    enum infomask_status status =
        infomask_estimate_spec_of(model_core(ask->model), &ask->options.classify.prior, &spec, err);

    if (status != INFOMASK_OK)
        return status;
    if (strcmp(info->sha256, model_info(ask->model)->sha256) != 0)
        status = error_set(err, INFOMASK_ARGUMENT, "the estimate \"%.100s\" is of another model, %.60s; give another "
                           "--name, or --fresh", info->name, info->model);
    for (size_t y = 0; status == INFOMASK_OK && y < spec.classes; y++) {
        double had = info->spec.prior != NULL ? info->spec.prior[y] : 1 / (double)spec.classes;
        if (fabs(had - spec.prior[y]) > 1e-9 * had)
            status = error_set(err, INFOMASK_ARGUMENT, "the estimate \"%.100s\" is under another prior; give another "
                               "--name, or --fresh", info->name);
    }
    infomask_estimate_spec_fini(&spec);
    return status;
}

static enum infomask_status create(struct estimates *estimates, const struct ask *ask, const char *name,
                                   char id[ESTIMATE_ID_SIZE], struct infomask_error *err)
{
    struct estimate_info info = {0};
    enum infomask_status status;

    (void)snprintf(info.name, sizeof info.name, "%s", name);
    (void)snprintf(info.prior, sizeof info.prior, "%s", ask->options.prior);
    status = estimate_info_of_model(&info, ask->model, &ask->options.classify.prior, err);
    if (status == INFOMASK_OK)
        status = estimates_create(estimates, &info, err);
    memcpy(id, info.id, ESTIMATE_ID_SIZE);
    estimate_info_fini(&info);
    return status;
}

enum infomask_status estimate_open(struct estimates *estimates, const struct ask *ask, const char *name, bool fresh,
                                   char id[ESTIMATE_ID_SIZE], struct infomask_error *err)
{
    struct estimate_info info = {0};
    enum infomask_status status = estimates_find(estimates, name, &info, err);

    if (status == INFOMASK_OK && fresh) {
        status = estimates_delete(estimates, info.id, err);
        if (status == INFOMASK_OK)
            status = INFOMASK_NO_SUCH_ESTIMATE;
    }
    if (status == INFOMASK_OK) {
        status = check_same(ask, &info, err);
        memcpy(id, info.id, ESTIMATE_ID_SIZE);
    } else if (status == INFOMASK_NO_SUCH_ESTIMATE) {
        status = create(estimates, ask, name, id, err);
    }
    estimate_info_fini(&info);
    return status;
}
