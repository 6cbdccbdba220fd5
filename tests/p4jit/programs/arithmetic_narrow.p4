/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators on unsigned values of 1, 7, 8 and 13 bits: see include/arithmetic.p4.
 */
#include <core.p4>
#include <v1model.p4>

#define WIDTHS(M) M(1) M(7) M(8) M(13)
#define DECLARATIONS DECLARE(1, bit<6> pad;) DECLARE(7, bit<2> pad;) DECLARE(8, ) DECLARE(13, bit<6> pad;)
#include "include/arithmetic.p4"
#include "include/v1switch.p4"
