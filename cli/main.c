#include <stdio.h>

#include "core/infomask.h"

int main(void)
{
    (void)printf("infomask %s\n", INFOMASK_VERSION);
    return 0;
}
