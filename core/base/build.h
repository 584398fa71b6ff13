/* Which build of the program runs: the build identifier that the linker made of everything in it. */
#ifndef INFOMASK_BASE_BUILD_H
#define INFOMASK_BASE_BUILD_H

#define BUILD_ID 41 /* 40 lower-case hex digits at most, and the NUL */

/* "" where the linker made none. */
void build_id(char hex[BUILD_ID]);

#endif
