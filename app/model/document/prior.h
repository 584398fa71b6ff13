/* The priors of model.json. */
#ifndef APP_MODEL_DOCUMENT_PRIOR_H
#define APP_MODEL_DOCUMENT_PRIOR_H

#include "app/model/document/keys.h"

/* "uniform" (all equal), a file of K numbers, or K numbers, K the folder's labels: p(y) of each class, malloc'ed,
 * summing to one unless each class is its own question (sigmoid).  NULL where the key is absent. */
double *document_prior(struct document_reader *reader, const struct model_folder *folder, const char *key);

#endif
