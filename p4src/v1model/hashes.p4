// SPDX-License-Identifier: Apache-2.0

#ifndef DIN_V1MODEL_HASHES_P4_
#define DIN_V1MODEL_HASHES_P4_

// `flow_hash` is the same for every packet of a flow in one direction; `entropy` is the UDP source port (0xc000 to
// 0xffff) that spreads flows over paths.
control FlowHashes(inout ingress_metadata_t ingress) {
    bit<16> src_port = 0;
    bit<16> dst_port = 0;

    apply {
        if (ingress.by_address == 0) {
            src_port = ingress.flow.src_port;
            dst_port = ingress.flow.dst_port;
        }
        hash(ingress.flow_hash, HashAlgorithm.crc32, 32w0,
             { ingress.flow.src_addr, ingress.flow.dst_addr, ingress.flow.protocol, src_port, dst_port },
             64w0x1_0000_0000);
        // Other bits than those that choose a steering bucket.
        ingress.entropy = UDP_ENTROPY_PREFIX ++ ingress.flow_hash[31:18];
    }
}

#endif  // DIN_V1MODEL_HASHES_P4_
