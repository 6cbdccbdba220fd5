/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators on unsigned values of 129 and 256 bits: see include/arithmetic.p4.
 */
#include <core.p4>
#include <v1model.p4>

#define WIDTHS(M) M(129) M(256)
#define DECLARATIONS DECLARE(129, bit<6> pad;) DECLARE(256, )
#include "include/arithmetic.p4"
#include "include/v1switch.p4"
