/* Any bytes as a settings file: refused with a sentence that names a line, or settings whose own text means the same. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (condition)
        return;
    (void)fprintf(stderr, "property broken: %s\n", what);
    __builtin_trap();
}

static void check_values(const struct config *config)
{
    for (int key = 0; key < CONFIG_COUNT; key++) {
        struct config again;
        char text[4200], back[4200];
        require(config_value_text(config, (enum config_key)key, text, sizeof text) < (int)sizeof text, "values are short");
        require(config_init(&again, NULL) == INFOMASK_OK, "there is memory");
        require(config_set(&again, (enum config_key)key, text, CONFIG_FLAG, NULL) == INFOMASK_OK, "a value sets itself");
        (void)config_value_text(&again, (enum config_key)key, back, sizeof back);
        require(strcmp(text, back) == 0, "and stays the same");
        config_fini(&again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct infomask_error err = {0};
    struct config config;

    require(config_init(&config, NULL) == INFOMASK_OK, "there is memory");
    if (config_read_text(&config, (const char *)data, size, &err) == INFOMASK_OK)
        check_values(&config);
    else
        require(strncmp(err.text, "line ", 5) == 0, "a refusal names the line");
    config_fini(&config);
    return 0;
}
