/* SPDX-License-Identifier: Apache-2.0
 *
 * What every test program shares. A program includes this last. It has defined headers_t, metadata_t,
 * parser Parse and control ingress; each block it leaves out (no HAVE_... macro) is empty here, and the
 * deparser emits all headers in the order of headers_t.
 */
#ifndef HAVE_VERIFY
control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}
#endif
#ifndef HAVE_EGRESS
control egress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t sm) {
    apply { }
}
#endif
#ifndef HAVE_COMPUTE
control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}
#endif
#ifndef HAVE_DEPARSE
control Deparse(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}
#endif

V1Switch(Parse(), Verify(), ingress(), egress(), Compute(), Deparse()) main;
