/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators on unsigned values of 65, 100 and 128 bits: see include/arithmetic.p4.
 */
#include <core.p4>
#include <v1model.p4>

#define WIDTHS(M) M(65) M(100) M(128)
#define DECLARATIONS DECLARE(65, bit<6> pad;) DECLARE(100, ) DECLARE(128, )
#include "include/arithmetic.p4"
#include "include/v1switch.p4"
