/* The scalar functions of the general operators: float32 in and out, computed in double. */
#include <math.h>

#include "core/graph/general/general.h"

#define SQRT_HALF 0.70710678118654752440
#define SQRT_2_OVER_PI 0.79788456080286535588

static double softplus(double x) { return x > 30 ? x : log1p(exp(x)); }

float general_unary(const struct graph_node *node, float value)
{
    double x = (double)value, alpha = (double)node->alpha, beta = (double)node->beta;

    switch (node->function) {
    case GRAPH_ABS:
        return fabsf(value);
    case GRAPH_NEGATE:
        return -value;
    case GRAPH_SQRT:
        return sqrtf(value);
    case GRAPH_EXP:
        return (float)exp(x);
    case GRAPH_LOG:
        return (float)log(x);
    case GRAPH_TANH:
        return (float)tanh(x);
    case GRAPH_ERF:
        return (float)erf(x);
    case GRAPH_GELU:
        return (float)(0.5 * x * (1 + erf(x * SQRT_HALF)));
    case GRAPH_GELU_TANH:
        return (float)(0.5 * x * (1 + tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x))));
    case GRAPH_RECIPROCAL:
        return 1 / value;
    case GRAPH_FLOOR:
        return floorf(value);
    case GRAPH_CEIL:
        return ceilf(value);
    case GRAPH_ROUND:
        return rintf(value);
    case GRAPH_TRUNCATE:
        return truncf(value);
    case GRAPH_SIN:
        return (float)sin(x);
    case GRAPH_COS:
        return (float)cos(x);
    case GRAPH_TAN:
        return (float)tan(x);
    case GRAPH_ASIN:
        return (float)asin(x);
    case GRAPH_ACOS:
        return (float)acos(x);
    case GRAPH_ATAN:
        return (float)atan(x);
    case GRAPH_SINH:
        return (float)sinh(x);
    case GRAPH_COSH:
        return (float)cosh(x);
    case GRAPH_SIGN:
        return (float)((value > 0) - (value < 0));
    case GRAPH_NOT:
        return value == 0.0f;
    case GRAPH_IS_NAN:
        return isnan(value) ? 1.0f : 0.0f;
    case GRAPH_IS_INF: /* alpha: of those above 0; beta: of those below */
        return isinf(value) ? (value > 0 ? node->alpha : node->beta) : 0;
    case GRAPH_SOFTPLUS:
        return (float)softplus(x);
    case GRAPH_SOFTSIGN:
        return (float)(x / (1 + fabs(x)));
    case GRAPH_ELU:
        return (float)(x < 0 ? alpha * expm1(x) : x);
    case GRAPH_SELU:
        return (float)(beta * (x < 0 ? alpha * expm1(x) : x));
    case GRAPH_CELU:
        return (float)(fmax(x, 0) + fmin(0, alpha * expm1(x / alpha)));
    case GRAPH_MISH:
        return (float)(x * tanh(softplus(x)));
    case GRAPH_THRESHOLDED_RELU:
        return value > node->alpha ? value : 0;
    case GRAPH_SWISH:
        return (float)(x / (1 + exp(-alpha * x)));
    default:
        return value;
    }
}

/* Python's: the sign of the divisor. */
static double modulo(double a, double b)
{
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

float general_binary(enum graph_function function, float a, float b)
{
    switch (function) {
    case GRAPH_PLUS:
        return a + b;
    case GRAPH_MINUS:
        return a - b;
    case GRAPH_TIMES:
        return a * b;
    case GRAPH_DIVIDE:
        return a / b;
    case GRAPH_POWER:
        return b == 2.0f ? a * a : (float)pow((double)a, (double)b);
    case GRAPH_LEAST:
        return a < b ? a : b;
    case GRAPH_MOST:
        return a > b ? a : b;
    case GRAPH_MODULO:
        return (float)modulo((double)a, (double)b);
    case GRAPH_REMAINDER:
        return fmodf(a, b);
    case GRAPH_PRELU:
        return a < 0 ? a * b : a;
    case GRAPH_EQUAL:
        return a == b;
    case GRAPH_LESS:
        return a < b;
    case GRAPH_LESS_EQUAL:
        return a <= b;
    case GRAPH_GREATER:
        return a > b;
    case GRAPH_GREATER_EQUAL:
        return a >= b;
    case GRAPH_AND:
        return a != 0.0f && b != 0.0f;
    case GRAPH_OR:
        return a != 0.0f || b != 0.0f;
    case GRAPH_XOR:
        return (a != 0.0f) != (b != 0.0f);
    case GRAPH_DIVIDE_INTEGERS:
        return b == 0.0f ? 0 : truncf(a / b);
    default:
        return a;
    }
}

/* By the C library in single precision: half a unit in the last place is not worth twice the time. */
static void gelu_all(const float *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = 0.5f * x[i] * (1 + erff(x[i] * (float)SQRT_HALF));
}

void general_unary_all(const struct graph_node *node, const float *x, float *y, size_t n)
{
    switch (node->function) {
    case GRAPH_GELU:
        gelu_all(x, y, n);
        break;
    case GRAPH_SQRT:
        for (size_t i = 0; i < n; i++)
            y[i] = sqrtf(x[i]);
        break;
    case GRAPH_ERF:
        for (size_t i = 0; i < n; i++)
            y[i] = erff(x[i]);
        break;
    case GRAPH_TANH:
        for (size_t i = 0; i < n; i++)
            y[i] = tanhf(x[i]);
        break;
    case GRAPH_EXP:
        for (size_t i = 0; i < n; i++)
            y[i] = expf(x[i]);
        break;
    default:
        for (size_t i = 0; i < n; i++)
            y[i] = general_unary(node, x[i]);
        break;
    }
}
