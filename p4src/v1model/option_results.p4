// SPDX-License-Identifier: Apache-2.0

#ifndef DIN_V1MODEL_OPTION_RESULTS_P4_
#define DIN_V1MODEL_OPTION_RESULTS_P4_

#include "ids.p4"
#include "metadata.p4"

control HostOptionResults(in option_result_t result) {
    // Packets with a host's DIN option, by what became of it.
    @id(HOST_OPTIONS_COUNTER_ID)
    counter(OPTION_RESULTS_SIZE, CounterType.packets_and_bytes) host_options;

    apply {
        host_options.count((bit<32>)result);
    }
}

#endif  // DIN_V1MODEL_OPTION_RESULTS_P4_
