/* Text with numbers in it. */
#include "core.h"

#include <math.h>

#define LARGEST 9e15 /* below it every integer is a double */
#define MOST_DIGITS 20

static const double POWERS[10] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

/* Writes `number` with so many decimals; returns where the text goes on, NULL where the number is none or too large. */
static char *write_number(double number, int decimals, char *text) {
    double scaled = nearbyint(number * POWERS[decimals]);
    if (!(fabs(scaled) < LARGEST)) return NULL;
    char digits[MOST_DIGITS];
    int n = 0;
    if (scaled < 0) *text++ = '-';
    for (uint64_t rest = (uint64_t)fabs(scaled); rest || n <= decimals; rest /= 10) digits[n++] = (char)('0' + rest % 10);
    while (n) {
        if (n == decimals) *text++ = '.';
        *text++ = digits[--n];
    }
    return text;
}

int32_t core_fill(const char *form, const double *numbers, char *text) {
    const char *begin = text;
    for (; *form; form++) {
        int decimals = *form - CORE_NUMBER;
        if (decimals < 0 || decimals > 9) {
            *text++ = *form;
        } else if (!(text = write_number(*numbers++, decimals, text))) {
            return -1;
        }
    }
    return (int32_t)(text - begin);
}
