/* SPDX-License-Identifier: Apache-2.0
 *
 * All that generated code includes.
 */
#ifndef P4JIT_PROGRAM_H
#define P4JIT_PROGRAM_H

#include <string.h>

#include "bits.h"
#include "core.h"
#include "hash.h"
#include "meter.h"
#include "profile.h"
#include "random.h"
#include "table.h"
#include "value_set.h"
#include "wide.h"

#endif
