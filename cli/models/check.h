/* What models check and models add tell a person of the comparison. */
#ifndef CLI_MODELS_CHECK_H
#define CLI_MODELS_CHECK_H

#include "app/model/add/check.h"

void models_check_print(const struct model_check *check);

#endif
