/* Factorisations by OpenBLAS's LAPACK. */
#include <cblas.h>
#include <f77blas.h>

#include "core/kernels/blas/blas.h"

bool kernels_inverse_cholesky(double *a, int n)
{
    /* LAPACK's columns are our rows, so that its upper triangle is our lower one */
    char upper = 'U', general = 'N';
    blasint size = n, info = 0;

    (void)dpotrf_(&upper, &size, a, &size, &info);
    if (info == 0)
        (void)dtrtri_(&upper, &general, &size, a, &size, &info);
    return info == 0;
}
