/* What is learnt about a model later, written into its folder's model.json. */
#ifndef APP_MODEL_TRAINING_RECORD_H
#define APP_MODEL_TRAINING_RECORD_H

#include "app/json/json.h"
#include "core/infomask_estimate.h"
#include "core/infomask_train.h"

/* The members of "precisions.int8" (without braces). */
void model_record_put_int8(struct json_writer *writer, const char *file, const struct infomask_quantized *quantized);

/* Sets "precisions.int8" in the document of the folder; everything else stays, unknown keys included.  The file is
 * replaced as a whole. */
enum infomask_status model_record_int8(const char *folder, const struct json *document, const char *file,
                                       const struct infomask_quantized *quantized, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The members of "calibration" (without braces). */
void model_record_put_calibration(struct json_writer *writer, const struct infomask_calibration *calibration,
                                  bool vector);
/* Sets "temperature", "calibration" and, with logit_prior [classes], "logit_prior", in the same way. */
enum infomask_status model_record_calibration(const char *folder, const struct json *document,
                                              const struct infomask_calibration *calibration, double temperature,
                                              const double *logit_prior, size_t classes, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
