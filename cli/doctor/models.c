/* Kernels, and every model: does it load, does it answer, and as the reference kernels do? */
#include "cli/doctor/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "app/model/add/check.h"
#include "app/settings/places.h"
#include "cli/cli.h"
#include "cli/work.h"
#include "core/base/pool.h"

static void look_at_model(struct doctor *doctor, const struct model *model, bool is_default)
{
    const char *name = model_name(model);
    const struct model_check_of of = {.folder = model_folder_path(model), .warn = cli_warns};
    struct model_check check;
    struct infomask_error err;

    if (model_check(&doctor->cli->config, &of, &check, &err) != INFOMASK_OK)
        doctor_say(doctor, DOCTOR_FAIL, "model", "infomask models check tells more", "%s does not answer: %s", name,
                   err.text);
    else if (check.not_finite)
        doctor_say(doctor, DOCTOR_FAIL, "model", "infomask models remove it", "%s: " MODEL_CHECK_NOT_FINITE, name);
    else if (!check.equal)
        doctor_say(doctor, DOCTOR_FAIL, "kernels", "set isa = blas, and tell the project",
                   "%s differs from the reference kernels by %.2g of the spread of its logits on %s", name, check.error,
                   check.isa);
    else
        doctor_say(doctor, DOCTOR_OK, "model", NULL, "%s%s: answers in %.1f ms on %s, as the reference kernels to %.1g",
                   name, is_default ? " (default)" : "", check.ms, check.isa, check.error);
}

static void look_at_all(struct doctor *doctor, struct models *models)
{
    struct model **list = NULL;
    size_t count = 0, chosen = 0;
    struct infomask_error err;
    struct model_failures failures = models_failed(models);

    if (models_list(models, &list, &count, &chosen, &err) == INFOMASK_OK) {
        for (size_t i = 0; i < count; i++)
            look_at_model(doctor, list[i], i == chosen);
        models_list_free(list, count);
    }
    for (size_t i = 0; i < failures.count; i++)
        doctor_say(doctor, DOCTOR_WARN, "model", "mend its folder, or infomask models remove it",
                   "%s cannot be loaded: %s", failures.list[i].name, failures.list[i].reason);
    model_failures_fini(&failures);
}

void doctor_models(struct doctor *doctor)
{
    const struct config *config = &doctor->cli->config;
    struct model_options options;
    struct models *models = NULL;
    struct infomask_error err;
    char *directories = place_of_models(config->models_dir);

    if (directories == NULL)
        return;
    if (work_model_options(config, NULL, &options, &err) != INFOMASK_OK) {
        doctor_say(doctor, DOCTOR_FAIL, "kernels", "set isa = auto and precision = f32", "%s", err.text);
    } else {
        options.warn = NULL;
        doctor_say(doctor, DOCTOR_OK, "kernels", NULL, "%s, %s", infomask_isa(config->isa, &err), config->precision);
        if (models_create(directories, config->model, &options, &models, &err) == INFOMASK_OK)
            look_at_all(doctor, models);
        else
            doctor_say(doctor, DOCTOR_FAIL, "model",
                       err.status == INFOMASK_ARGUMENT
                           ? "set models_dir and model; infomask models add and fetch make folders"
                           : "mend its folder, or set model to another; infomask models check tells more",
                       "%s", err.text);
    }
    models_free(models);
    free(directories);
}
