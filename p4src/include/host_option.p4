// SPDX-License-Identifier: Apache-2.0
// The host's DIN option (docs/wire-format.md), and whether to believe it. Only who holds a key of the tenant can make
// its tag, over the packet's addresses and ports and all fields of the option:
//
//   IPv6 source 16 | destination 16 | L4 source port 2 | destination port 2 | option data before the tag 16
//
// as they are on the wire; the ports are 0 without TCP or UDP, and in fragments. The epoch is a field of the option
// and of the key, and only the keys of the present one and the next are installed, the one before for as
// long as packets are under way: a packet can be replayed for that long, in its own flow and nowhere else.
//
//   option_keys: (tenant, key ID, epoch) -> key, and the classes that its holder may claim
//
// An option that is not believed is payload: none of its fields has any effect.

#ifndef DIN_HOST_OPTION_P4_
#define DIN_HOST_OPTION_P4_

#include "ids.p4"
#include "metadata.p4"
#include "halfsiphash.p4"

control HostOption(in headers_t headers, inout ingress_metadata_t ingress) {
    HostOptionResults() results;

    bit<64> key_bytes = 0;
    bit<16> permitted_classes = 0;
    bit<32> ports = 0;
    bit<32> tag = 0;
    option_result_t result = OPTION_NO_KEY;

    // `key`: its bytes in their order. `classes`: bit n says that its holder may claim class n; never control's or a
    // report's.
    @id(SET_KEY_ACTION_ID)
    @action_restriction("classes < 32")
    action set_key(@id(1) bit<64> key, @id(2) bit<16> classes) {
        key_bytes = key;
        permitted_classes = classes;
    }

    @id(OPTION_KEYS_TABLE_ID)
    table option_keys {
        key = {
            headers.host_option.tenant : exact @id(1) @name("tenant");
            headers.host_option.key_id : exact @id(2) @name("key_id");
            headers.host_option.epoch : exact @id(3) @name("epoch");
        }
        actions = {
            set_key;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = OPTION_KEYS_SIZE;
    }

    action compute_tag() {
        bool present = headers.host_option.isValid();
        bit<32> word = 0;
        bit<32> v0 = swap32(key_bytes[63:32]);
        bit<32> v1 = swap32(key_bytes[31:0]);
        bit<32> v2 = 0;
        bit<32> v3 = 0;
        if (present) {
            v2 = v0 ^ 0x6c796765;
            v3 = v1 ^ 0x74656462;
        }
        SIP_ABSORB(swap32(headers.ipv6.src_addr[127:96]))
        SIP_ABSORB(swap32(headers.ipv6.src_addr[95:64]))
        SIP_ABSORB(swap32(headers.ipv6.src_addr[63:32]))
        SIP_ABSORB(swap32(headers.ipv6.src_addr[31:0]))
        SIP_ABSORB(swap32(headers.ipv6.dst_addr[127:96]))
        SIP_ABSORB(swap32(headers.ipv6.dst_addr[95:64]))
        SIP_ABSORB(swap32(headers.ipv6.dst_addr[63:32]))
        SIP_ABSORB(swap32(headers.ipv6.dst_addr[31:0]))
        SIP_ABSORB(swap32(ports))
        SIP_ABSORB(headers.host_option.epoch ++ headers.host_option.key_id ++ headers.host_option.label ++
                   headers.host_option.version ++ headers.host_option.class_id)
        SIP_ABSORB(swap16(headers.host_option.service) ++ swap16(headers.host_option.tenant))
        SIP_ABSORB(swap16(headers.host_option.session) ++ swap16(headers.host_option.instance))
        SIP_ABSORB(swap32(headers.host_option.deadline))
        // The last word: the length, 52, in its top byte.
        SIP_ABSORB(32w52 << 24)
        if (present) {
            v2 = v2 ^ 0xff;
        }
        SIP_ROUND
        SIP_ROUND
        SIP_ROUND
        SIP_ROUND
        if (present) {
            tag = v1 ^ v3;
        }
    }

    // The service is what the option says; Services will know better.
    action believe() {
        ingress.option_verified = 1;
        ingress.class_id = (class_id_t)headers.host_option.class_id;
        ingress.service = headers.host_option.service;
        ingress.cookie = headers.host_option.instance;
        ingress.session = headers.host_option.session;
        ingress.deadline = headers.host_option.deadline;
        if (ingress.label_mandatory == 0) {
            ingress.label = headers.host_option.label;
        }
    }

    apply {
        if (headers.host_option.isValid()) {
            if (headers.host_option.tenant != ingress.tenant) {
                result = OPTION_FOREIGN_TENANT;
            } else if (option_keys.apply().hit) {
                // The ports of an ICMP error's flow are the quoted packet's.
                if (!headers.icmp.isValid()) {
                    ports = ingress.flow.src_port ++ ingress.flow.dst_port;
                }
                compute_tag();
                if (headers.host_option.tag != swap32(tag)) {
                    result = OPTION_BAD_TAG;
                } else if ((permitted_classes >> headers.host_option.class_id) & 1 == 0) {
                    result = OPTION_CLASS;
                } else {
                    believe();
                    result = OPTION_VERIFIED;
                }
            }
            results.apply(result);
        }
        if (ingress.option_required == 1 && ingress.option_verified == 0) {
            ingress.drop_reason = DROP_OPTION_TAG;
        }
    }
}

#endif  // DIN_HOST_OPTION_P4_
