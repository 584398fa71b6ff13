/* What the doctor says, line by line. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cli/doctor/doctor.h"

void doctor_say(struct doctor *doctor, enum doctor_state state, const char *check, const char *remedy,
                const char *format, ...)
{
    struct doctor_line *lines = reallocarray(doctor->lines, doctor->count + 1, sizeof *lines);
    va_list args;

    if (lines == NULL)
        return;
    doctor->lines = lines;
    lines[doctor->count] = (struct doctor_line){.state = state, .check = check, .remedy = remedy};
    va_start(args, format);
    (void)vsnprintf(lines[doctor->count].text, sizeof lines->text, format, args);
    va_end(args);
    doctor->count++;
}

void doctor_look_at_secret(struct doctor *doctor, const char *check, const char *path)
{
    struct stat at;

    if (stat(path, &at) == 0 && (at.st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)) != 0)
        doctor_say(doctor, (at.st_mode & (S_IWOTH | S_IROTH)) != 0 ? DOCTOR_WARN : DOCTOR_OK, check,
                   (at.st_mode & (S_IWOTH | S_IROTH)) != 0 ? "chmod o= it" : NULL, "%s can be read by %s", path,
                   (at.st_mode & (S_IWOTH | S_IROTH)) != 0 ? "everybody" : "its group");
}
