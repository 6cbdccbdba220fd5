// SPDX-License-Identifier: Apache-2.0
// Whose packet an access port has brought. Everything that is trusted of a host begins here.
//
//   sources: (port, VLAN, source prefix) -> tenant, and what holds for all its packets. Anything else is spoofed.
//   reverse_rewrites: (port, source, protocol, source port) -> the service's address, which is the source from here
//            on: of an instance that answers from its own (its requests were rewritten: delivery.p4).

#ifndef DIN_SOURCES_P4_
#define DIN_SOURCES_P4_

#include "ids.p4"
#include "metadata.p4"

control Sources(in headers_t headers, inout ingress_metadata_t ingress, inout bridged_metadata_t bridged) {
    // Of the packet itself: an ICMP error's flow is that of the packet it quotes.
    address_t src_addr = headers.ipv6.src_addr;
    bit<12> vid = 0;

    // `label` is that of traffic nobody says more about. With `label_mandatory` nobody may: neither the classifier nor a
    // host's option changes it. With `option_required` a packet without a true host option is dropped, ICMP and
    // resets of the host's kernel among them.
    @id(PERMIT_SOURCE_ACTION_ID)
    @action_restriction("label_mandatory <= 1 && option_required <= 1")
    action permit(@id(1) tenant_id_t tenant, @id(2) label_t label, @id(3) bit<1> label_mandatory,
                  @id(4) bit<1> option_required) {
        ingress.tenant = tenant;
        ingress.label = label;
        ingress.source_label = label;
        ingress.label_mandatory = label_mandatory;
        ingress.option_required = option_required;
    }

    @id(REFUSE_SOURCE_ACTION_ID)
    action refuse_source() {
        ingress.drop_reason = DROP_SOURCE;
    }

    @id(SOURCES_TABLE_ID)
    table sources {
        key = {
            ingress.ingress_port : exact @id(1) @name("port");
            vid : exact @id(2) @name("vid");
            src_addr : lpm @id(3) @name("src_addr");
        }
        actions = {
            permit;
            @defaultonly refuse_source;
        }
        const default_action = refuse_source();
        size = SOURCES_SIZE;
    }

    // The flow is the service's now; the packet itself becomes so in egress. An ICMP error's flow is that of the packet
    // which it quotes: what the instance was sent, at its own address.
    @id(RESTORE_SOURCE_ACTION_ID)
    action restore_source(@id(1) address_t service_addr) {
        ingress.flow.src_addr = service_addr;
        bridged.rewrite_src = 1;
        bridged.rewrite_src_addr = service_addr;
    }

    @id(REVERSE_REWRITES_TABLE_ID)
    table reverse_rewrites {
        key = {
            ingress.ingress_port : exact @id(1) @name("port");
            ingress.flow.src_addr : exact @id(2) @name("src_addr");
            ingress.flow.protocol : exact @id(3) @name("protocol");
            ingress.flow.src_port : exact @id(4) @name("src_port");
        }
        actions = {
            restore_source;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = REVERSE_REWRITES_SIZE;
    }

    apply {
        if (headers.ipv4.isValid()) {
            src_addr = IPV4_MAPPED ++ headers.ipv4.src_addr;
        }
        // A tag of VLAN 0 is a priority and no more (802.1Q, 9.6).
        if (headers.vlan.isValid()) {
            vid = headers.vlan.vid;
        }
        sources.apply();
        reverse_rewrites.apply();
    }
}

#endif  // DIN_SOURCES_P4_
