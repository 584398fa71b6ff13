/* Targets: a class, or a group of the model asked about as one. */
#include "core/info/info.h"
#include "core/pipeline/pipeline.h"

bool pipeline_is_target(const struct infomask_model *model, int target)
{
    return target >= 0 && (size_t)target < model->info.classes + (size_t)model->info.groups;
}

struct mask_set pipeline_set(const struct infomask_model *model, const int *target, const double *log_t)
{
    struct mask_set set = mask_set_one(target);

    if ((size_t)*target >= model->info.classes) {
        const struct infomask_group *group = &model->groups[(size_t)*target - model->info.classes];
        set = (struct mask_set){.members = group->members, .count = group->count};
    }
    set.log_prior = mask_set_log_sum(&set, log_t);
    set.odds = model->sigmoid ? info_log_odds(model->log_logit_prior[*target]) : 0;
    return set;
}

/* Classes outside of the set that are likelier than it; of one class those before it in the order. */
static int likelier(const struct infomask_classification *c, const struct mask_set *set, double log_p)
{
    int count = 0;

    if (set->count == 1) {
        while ((size_t)count < c->classes && c->order[count] != set->members[0])
            count++;
        return count;
    }
    for (size_t k = 0; k < c->classes; k++)
        count += c->log_probability[k] > log_p && !mask_set_has(set, (int)k);
    return count;
}

struct infomask_score infomask_score(const struct infomask_model *model,
                                     const struct infomask_classification *classification, int target)
{
    struct mask_set set = pipeline_set(model, &target, classification->log_prior);
    struct infomask_score score = {.log_probability = mask_set_log_sum(&set, classification->log_probability),
                                   .log_prior = set.log_prior, .size = set.count};

    if (set.count == 1) {
        score.pmi = classification->pmi[set.members[0]];
    } else {
        if (score.log_probability > 0) /* rounding, where all of the probability is in the set */
            score.log_probability = 0;
        score.pmi = score.log_probability - score.log_prior;
    }
    score.rank = 1 + likelier(classification, &set, score.log_probability);
    return score;
}
