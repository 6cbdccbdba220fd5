// SPDX-License-Identifier: Apache-2.0
// What kind of traffic a packet is, from what can be trusted about it: the port's tenant, the addresses, the ports,
// DSCP, and a host's option if it is true.
//
//   services:   (destination, protocol, port) -> service: a request
//   responses:  (port, source, protocol, source port) -> service and instance: a response, by where it comes from
//   classifier: all that and the host's claim -> class, label, deadline, stream; or refused
//   watchlist:  all that -> how closely to watch
//
// What the classifier does not know is best effort, with its source's label and no deadline.
//
// Precedence, the strongest first: a mandatory label (sources.p4); an entry with `overrule`; a host's option; any
// other entry; the source.

#ifndef DIN_CLASSIFICATION_P4_
#define DIN_CLASSIFICATION_P4_

#include "ids.p4"
#include "metadata.p4"

control Services(inout ingress_metadata_t ingress) {
    service_id_t claimed = 0;

    // `by_address`: fragments are to reach the same instance as whole packets, so nothing but addresses and protocol
    // chooses it. Such a service has an entry of port 0 too, for the fragments.
    @id(SET_SERVICE_ACTION_ID)
    @action_restriction("service != 0 && by_address <= 1")
    action set_service(@id(1) service_id_t service, @id(2) bit<1> by_address) {
        ingress.service = service;
        ingress.by_address = by_address;
        ingress.direction = DIRECTION_REQUEST;
    }

    @id(SERVICES_TABLE_ID)
    table services {
        key = {
            ingress.flow.dst_addr : exact @id(1) @name("dst_addr");
            ingress.flow.protocol : exact @id(2) @name("protocol");
            ingress.flow.dst_port : exact @id(3) @name("dst_port");
        }
        actions = {
            set_service;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = SERVICES_SIZE;
    }

    @id(SET_RESPONSE_ACTION_ID)
    @action_restriction("service != 0 && by_address <= 1")
    action set_response(@id(1) service_id_t service, @id(2) instance_id_t instance, @id(3) bit<1> by_address) {
        ingress.service = service;
        ingress.instance = instance;
        ingress.by_address = by_address;
        ingress.direction = DIRECTION_RESPONSE;
    }

    // By port, for several instances of a service may be at this leaf.
    @id(RESPONSES_TABLE_ID)
    table responses {
        key = {
            ingress.ingress_port : exact @id(1) @name("port");
            ingress.flow.src_addr : exact @id(2) @name("src_addr");
            ingress.flow.protocol : exact @id(3) @name("protocol");
            ingress.flow.src_port : exact @id(4) @name("src_port");
        }
        actions = {
            set_response;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = RESPONSES_SIZE;
    }

    apply {
        claimed = ingress.service;
        ingress.service = 0;
        if (!services.apply().hit) {
            responses.apply();
        }
        // The address says which service it is. A session of another service is none of this one's.
        if (claimed != 0 && claimed != ingress.service) {
            ingress.cookie = 0;
            ingress.session = 0;
        }
    }
}

control Classifier(in headers_t headers, inout ingress_metadata_t ingress) {
    // Does the entry decide the class, label and deadline, or the option?
    bit<1> decides = 0;

    // `label` 0: the source's. `deadline` 0: none, in us. `stream` and `tenant_meter`: policers (police.p4), 0: none; a
    // stream's counts alone. `late_drop`: what is late may be dropped, but not TCP without `late_drop_tcp`: the sender
    // would only send it again.
    @id(CLASSIFY_ACTION_ID)
    @action_restriction("class_id < 8 && late_drop <= 1 && late_drop_tcp <= 1 && overrule <= 1 &&
        (late_drop_tcp == 1 -> late_drop == 1) && stream < 35840 && tenant_meter < 16384")
    action classify(@id(1) class_id_t class_id, @id(2) label_t label, @id(3) bit<32> deadline, @id(4) bit<1> late_drop,
                    @id(5) bit<1> late_drop_tcp, @id(6) bit<16> stream, @id(7) bit<16> tenant_meter,
                    @id(8) bit<1> overrule) {
        decides = overrule | ~ingress.option_verified;
        if (decides == 1) {
            ingress.class_id = class_id;
            ingress.deadline = deadline;
            ingress.label = ingress.source_label;
            if (label != 0 && ingress.label_mandatory == 0) {
                ingress.label = label;
            }
        }
        ingress.late_drop = late_drop;
        ingress.late_drop_tcp = late_drop_tcp;
        ingress.stream = stream;
        ingress.tenant_meter = tenant_meter;
    }

    @id(DENY_ACTION_ID)
    action deny() {
        ingress.drop_reason = DROP_POLICY;
    }

    @id(CLASSIFIER_TABLE_ID)
    @entry_restriction("
        // What the option claims is not known unless it is true.
        option_class::mask != 0 -> option_verified == 1;
        // Only TCP and UDP have ports.
        (src_port::mask != 0 || dst_port::mask != 0) -> (protocol == 6 || protocol == 17);
    ")
    table classifier {
        key = {
            ingress.ingress_port : ternary @id(1) @name("port");
            ingress.tenant : ternary @id(2) @name("tenant");
            ingress.service : ternary @id(3) @name("service");
            ingress.direction : ternary @id(4) @name("direction");
            ingress.flow.src_addr : ternary @id(5) @name("src_addr");
            ingress.flow.dst_addr : ternary @id(6) @name("dst_addr");
            ingress.flow.protocol : ternary @id(7) @name("protocol");
            ingress.flow.src_port : ternary @id(8) @name("src_port");
            ingress.flow.dst_port : ternary @id(9) @name("dst_port");
            ingress.dscp : ternary @id(10) @name("dscp");
            ingress.option_verified : ternary @id(11) @name("option_verified");
            ingress.class_id : ternary @id(12) @name("option_class");
        }
        actions = {
            classify;
            deny;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = CLASSIFIER_SIZE;
    }

    // `instructions` 0: no INT. Otherwise `hop_ml` is the words that they make a hop push, and at most `hops` of those
    // fit in the 28 words that the Geneve option has for them. `tokens`: its token times are measured.
    @id(WATCH_ACTION_ID)
    @action_restriction("tokens <= 1 && hop_ml <= 28 && hops <= 28 && (instructions == 0 -> hop_ml == 0) &&
        (instructions != 0 -> (hop_ml >= 1 && hops >= 1)) &&
        (hop_ml >= 2 -> hops <= 14) && (hop_ml >= 3 -> hops <= 9) && (hop_ml >= 4 -> hops <= 7) &&
        (hop_ml >= 5 -> hops <= 5) && (hop_ml >= 6 -> hops <= 4) && (hop_ml >= 8 -> hops <= 3) &&
        (hop_ml >= 10 -> hops <= 2) && (hop_ml >= 15 -> hops <= 1)")
    action watch(@id(1) bit<16> instructions, @id(2) bit<5> hop_ml, @id(3) bit<8> hops, @id(4) bit<1> tokens) {
        ingress.int_instructions = instructions;
        ingress.int_hop_ml = hop_ml;
        ingress.int_hops = hops;
        ingress.watched = tokens;
    }

    @id(WATCHLIST_TABLE_ID)
    @entry_restriction("
        (src_port::mask != 0 || dst_port::mask != 0) -> (protocol == 6 || protocol == 17);
    ")
    table watchlist {
        key = {
            ingress.ingress_port : ternary @id(1) @name("port");
            ingress.tenant : ternary @id(2) @name("tenant");
            ingress.service : ternary @id(3) @name("service");
            ingress.direction : ternary @id(4) @name("direction");
            ingress.flow.src_addr : ternary @id(5) @name("src_addr");
            ingress.flow.dst_addr : ternary @id(6) @name("dst_addr");
            ingress.flow.protocol : ternary @id(7) @name("protocol");
            ingress.flow.src_port : ternary @id(8) @name("src_port");
            ingress.flow.dst_port : ternary @id(9) @name("dst_port");
            ingress.class_id : ternary @id(10) @name("class_id");
            ingress.label : ternary @id(11) @name("label");
        }
        actions = {
            watch;
            @defaultonly NoAction;
        }
        const default_action = NoAction();
        size = WATCHLIST_SIZE;
    }

    apply {
        classifier.apply();
        if (ingress.flow.protocol == PROTOCOL_TCP && ingress.late_drop_tcp == 0) {
            ingress.late_drop = 0;
        }
        if (ingress.drop_reason == DROP_NONE) {
            watchlist.apply();
        }
    }
}

#endif  // DIN_CLASSIFICATION_P4_
