/* The few distribution functions that limits and tests need; relative error about 1e-12.  Thread rule: pure. */
#ifndef INFOMASK_INFO_SPECIAL_H
#define INFOMASK_INFO_SPECIAL_H

/* P(T <= t), Student's t with `df` > 0 degrees of freedom. */
double info_student_cdf(double t, double df);

/* The t with P(T <= t) = p, 0 < p < 1. */
double info_student_quantile(double p, double df);

/* P(X > x), chi-squared with `df` > 0 degrees of freedom. */
double info_chi2_tail(double x, double df);

#endif
