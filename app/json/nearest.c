#include "app/json/nearest.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define LONGEST 40 /* of what is looked for */

struct nearest nearest_begin(const char *asked) { return (struct nearest){.asked = asked}; }

static int plain(char c) { return c == '_' ? '-' : tolower((unsigned char)c); }

int nearest_edits(const char *a, const char *b)
{
    int row[NEAREST_LONGEST + 1], columns = (int)strlen(b);

    for (int j = 0; j <= columns; j++)
        row[j] = j;
    for (int i = 1; a[i - 1] != '\0'; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= columns; j++) {
            int above = row[j], best = diagonal + (plain(a[i - 1]) != plain(b[j - 1]));
            best = above + 1 < best ? above + 1 : best;
            row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            diagonal = above;
        }
    }
    return row[columns];
}

void nearest_offer(struct nearest *nearest, const char *name)
{
    size_t size = strlen(nearest->asked);
    int distance, most = size / 3 > 2 ? (int)(size / 3) : 2;

    if (size == 0 || size > LONGEST || strlen(name) > LONGEST)
        return;
    distance = nearest_edits(nearest->asked, name);
    if (size >= 3 && distance > 1 && strncasecmp(nearest->asked, name, size) == 0)
        distance = 1;
    if (distance > most || distance >= (int)size || (nearest->name != NULL && distance >= nearest->distance))
        return;
    nearest->name = name;
    nearest->distance = distance;
}
