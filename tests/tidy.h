/* Included before every file that clang-tidy and -fanalyzer look at (but core/base/status.c): they do not see into error_set, and
 * would follow failures that go on as if nothing were wrong. */
#include "core/base/status.h"

#define error_set(err, status, ...) ((void)(error_set)(err, status, __VA_ARGS__), (enum infomask_status)(status))
