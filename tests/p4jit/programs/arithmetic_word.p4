/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators on unsigned values of 32, 48, 63 and 64 bits: see include/arithmetic.p4.
 */
#include <core.p4>
#include <v1model.p4>

#define WIDTHS(M) M(32) M(48) M(63) M(64)
#define DECLARATIONS DECLARE(32, ) DECLARE(48, ) DECLARE(63, bit<2> pad;) DECLARE(64, )
#include "include/arithmetic.p4"
#include "include/v1switch.p4"
