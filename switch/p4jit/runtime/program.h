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

/* Every function of a kind has the same parameters, whether it needs them or not. */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wunused-variable"
#pragma GCC diagnostic ignored "-Wunused-but-set-variable"
/* The first state or node is reached by falling into it. */
#pragma GCC diagnostic ignored "-Wunused-label"

#endif
