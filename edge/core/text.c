/* Text with numbers in it. */
#include "core.h"

#include <math.h>

#define LARGEST 9e15 /* below it every integer is a double */
#define MOST_DIGITS 20

static const double POWERS[10] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9};

/* The nearest integer to number * power, as if the product were exact; a tie goes to the even one. */
static double nearest(double number, double power) {
    double product = number * power, whole = nearbyint(product), left = product - whole;
    int wrong_side = fabs(left) == 0.5 && left * fma(number, power, -product) > 0;
    return wrong_side ? whole + 2 * left : whole;
}

/* Writes `number` with so many decimals; returns where the text goes on, NULL where the number is none or too large. */
static char *write_number(double number, int decimals, char *text) {
    double scaled = nearest(number, POWERS[decimals]);
    if (!(fabs(scaled) < LARGEST)) return NULL;
    char digits[MOST_DIGITS];
    int n = 0;
    if (signbit(scaled)) *text++ = '-';
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
