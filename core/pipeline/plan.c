/* What every part of a mask asks of the plan: a target's classes and evidence, the posterior and PMI of a pass, whether
 * there is still time. */
#include <math.h>
#include <stdlib.h>

#include "core/pipeline/mask.h"

enum infomask_status plan_expired(const struct infomask_photo *photo, struct infomask_error *err)
{
    const struct image_limits *limits = &photo->limits;

    if (limits->expired == NULL || !limits->expired(limits->deadline_context))
        return INFOMASK_OK;
    return error_set(err, INFOMASK_DEADLINE, "the request's deadline passed before the mask was done");
}

struct mask_set plan_set(const struct mask_plan *plan, int i)
{
    return pipeline_set(plan->session->model, &plan->targets[i], plan->classification->log_prior);
}

double plan_evidence(const struct mask_plan *plan, int i)
{
    struct mask_set set = plan_set(plan, i);

    if (plan->session->model->sigmoid && plan->evidence_default && !plan->evidence_given)
        return MASK_EVIDENCE * -set.log_prior; /* the same share of the most that there can be */
    if (set.count == 1 || plan->evidence_given)
        return plan->min_evidence;
    return fmin(plan->min_evidence, -set.log_prior / 2);
}

void plan_pmi_of_posterior(const struct mask_plan *plan, const double *log_p, double *pmi)
{
    for (int i = 0; i < plan->count; i++) {
        struct mask_set set = plan_set(plan, i);
        pmi[i] = mask_set_log_sum(&set, log_p) - set.log_prior;
    }
}

enum infomask_status plan_pmi_of_logits(const struct mask_plan *plan, const float *logits, double *pmi,
                                        struct infomask_error *err)
{
    double *log_p = malloc(plan->session->model->info.classes * sizeof *log_p);
    enum infomask_status status;

    if (log_p == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the mask");
    status = pipeline_posterior(plan->session->model, logits, plan->classification->log_prior, log_p, err);
    if (status == INFOMASK_OK)
        plan_pmi_of_posterior(plan, log_p, pmi);
    free(log_p);
    return status;
}

enum infomask_status plan_posterior(const struct mask_plan *plan, const float *output, double *log_p,
                                    struct infomask_error *err)
{
    const struct infomask_model *model = plan->session->model;
    float *logits = malloc(model->info.classes * sizeof *logits);
    enum infomask_status status;

    if (logits == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the mask");
    pipeline_logits(model, output, logits);
    status = pipeline_posterior(model, logits, plan->classification->log_prior, log_p, err);
    free(logits);
    return status;
}

enum infomask_status plan_pmi(const struct mask_plan *plan, const float *output, double *pmi,
                              struct infomask_error *err)
{
    double *log_p = malloc(plan->session->model->info.classes * sizeof *log_p);
    enum infomask_status status;

    if (log_p == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the mask");
    status = plan_posterior(plan, output, log_p, err);
    if (status == INFOMASK_OK)
        plan_pmi_of_posterior(plan, log_p, pmi);
    free(log_p);
    return status;
}
