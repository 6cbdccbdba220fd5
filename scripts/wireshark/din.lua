-- SPDX-License-Identifier: Apache-2.0
--
-- Wireshark and tshark: what is on the wire of a DIN fabric. docs/wire-format.md has the layouts.
--
--   din                the DIN option: in Geneve (fabric), in IPv6 Destination Options (hosts)
--   int_md             INT-MD v2.1 in a Geneve option, each hop decoded
--   telemetry_report   Telemetry Report v2.0 over UDP, with DIN's own metadata; the port is a preference
--
--   tshark -X lua_script:scripts/wireshark/din.lua -r capture.pcap -Y 'int_md.hop_latency > 1000000'
--
-- or copy this file into a plugin folder (Help, About Wireshark, Folders). Wireshark 3.4 or later.
--
-- Wireshark has no table in which dissectors of Geneve or IPv6 options could be registered, so the options are
-- dissected after all else, where Wireshark's own dissectors have found them.

local din = Proto("din", "Distributed Inference Network")
local int_md = Proto("int_md", "In-band Network Telemetry, INT-MD")
local report = Proto("telemetry_report", "Telemetry Report")

local GENEVE_CLASS_DIN, GENEVE_TYPE_DIN, DIN_OPTION_BYTES = 0xff44, 1, 28
local GENEVE_CLASS_INT, GENEVE_TYPE_INT_MD, INT_HEADER_WORDS = 0x0103, 1, 3
local HOST_OPTION_TYPE, HOST_OPTION_LENGTH = 0x1e, 20
local DIN_VERSION, INT_VERSION, REPORT_VERSION = 1, 2, 2
local REPORT_DOMAIN = 0x4449
local DEFAULT_REPORT_PORT = 32766
local SID_BLOCK = 0xfcbbbb00

local CLASSES = {
  [0] = "best effort", [1] = "training", [2] = "KV transfer", [3] = "scheduled", [4] = "deterministic",
  [5] = "control",
}
for class = 0, 5 do
  CLASSES[8 + class] = "report, " .. CLASSES[class]
end

local DROP_REASONS = {
  [0] = "none", [1] = "truncated", [2] = "IP header", [3] = "IP length", [4] = "IP checksum", [5] = "address",
  [6] = "port", [7] = "fabric destination", [8] = "source", [9] = "ethertype", [10] = "hop limit", [11] = "TTL",
  [12] = "too big", [13] = "policy", [14] = "no group", [15] = "no instance", [16] = "no destination",
  [17] = "no path", [18] = "segment", [19] = "function", [20] = "no next hop", [21] = "zone", [22] = "boundary",
  [23] = "option", [24] = "stream rate", [25] = "stream size", [26] = "tenant rate", [27] = "deadline",
  [28] = "punt limit", [29] = "option tag", [30] = "neighbor", [31] = "unencapsulated", [32] = "ecn",
}
local REPORT_TYPES = { [0] = "inner only", [1] = "INT", [2] = "IOAM" }
local INNER_TYPES = {
  [0] = "none", [1] = "TLV", [2] = "domain specific", [3] = "Ethernet", [4] = "IPv4", [5] = "IPv6",
}
local TOKEN_EVENTS = { [0] = "none", [1] = "first token", [2] = "response over" }

-- ---- fields ----------------------------------------------------------------------------------------------

local all = { [din] = {}, [int_md] = {}, [report] = {} }
local function field(proto, constructor, name, label, ...)
  local abbreviation = proto.name:lower() .. "." .. name
  local made = ProtoField[constructor](abbreviation, label, ...)
  table.insert(all[proto], made)
  return made
end

-- A layout is a list of { offset, length, field }, in bytes. Fields of a byte's bits have masks.

local function flag(proto, name, label, mask)
  return field(proto, "bool", name, label, 8, nil, mask)
end

local DIN_OPTION = {
  { 4, 1, field(din, "uint8", "version", "Version", base.DEC, nil, 0xf0) },
  { 4, 1, field(din, "uint8", "class", "Class", base.DEC, CLASSES, 0x0f) },
  { 5, 1, field(din, "uint8", "label", "Privacy label") },
  { 6, 1, flag(din, "response", "Response", 0x80) },
  { 6, 1, flag(din, "watched", "Watched", 0x40) },
  { 6, 1, flag(din, "late_drop", "May be dropped late", 0x20) },
  { 6, 1, flag(din, "marked", "Out of profile", 0x10) },
  { 8, 2, field(din, "uint16", "service", "Service") },
  { 10, 2, field(din, "uint16", "session", "Session") },
  { 12, 4, field(din, "uint32", "slack", "Slack (us)") },
  { 16, 4, field(din, "uint32", "flow_hash", "Flow hash", base.HEX) },
  { 20, 8, field(din, "uint64", "ingress_time", "Ingress time (ns)") },
}
local din_sid = field(din, "uint16", "sid", "SID", base.HEX)

local HOST_OPTION = {
  { 2, 1, field(din, "uint8", "host.version", "Version", base.DEC, nil, 0xf0) },
  { 2, 1, field(din, "uint8", "host.class", "Class", base.DEC, CLASSES, 0x0f) },
  { 3, 1, field(din, "uint8", "host.label", "Privacy label") },
  { 4, 1, field(din, "uint8", "host.key_id", "Key ID") },
  { 5, 1, field(din, "uint8", "host.epoch", "Epoch") },
  { 6, 2, field(din, "uint16", "host.tenant", "Tenant") },
  { 8, 2, field(din, "uint16", "host.service", "Service") },
  { 10, 2, field(din, "uint16", "host.instance", "Cookie: instance") },
  { 12, 2, field(din, "uint16", "host.session", "Cookie: session") },
  { 14, 4, field(din, "uint32", "host.deadline", "Deadline (us)") },
  { 18, 4, field(din, "uint32", "host.tag", "Tag", base.HEX) },
}

local INT_MD = {
  { 4, 1, field(int_md, "uint8", "version", "Version", base.DEC, nil, 0xf0) },
  { 4, 1, flag(int_md, "discard", "Discard (D)", 0x08) },
  { 4, 1, flag(int_md, "exceeded", "Hops exceeded (E)", 0x04) },
  { 4, 1, flag(int_md, "mtu_exceeded", "MTU exceeded (M)", 0x02) },
  { 6, 1, field(int_md, "uint8", "hop_ml", "Words of a hop (HopML)", base.DEC, nil, 0x1f) },
  { 7, 1, field(int_md, "uint8", "remaining_hops", "Remaining hops") },
  { 8, 2, field(int_md, "uint16", "instructions", "Instructions", base.HEX) },
  { 10, 2, field(int_md, "uint16", "domain", "Domain specific ID", base.HEX) },
  { 12, 2, field(int_md, "uint16", "ds_instructions", "Domain specific instructions", base.HEX) },
  { 14, 2, field(int_md, "uint16", "ds_flags", "Domain specific flags", base.HEX) },
}
local int_hop = field(int_md, "uint8", "hop", "Hop")
local int_domain_data = field(int_md, "bytes", "domain_data", "Domain specific data")
local int_source_only = field(int_md, "bytes", "source_only", "Source-only data")

local GROUP = {
  { 0, 1, field(report, "uint8", "version", "Version", base.DEC, nil, 0xf0) },
  { 0, 2, field(report, "uint16", "hw_id", "Hardware ID", base.DEC, nil, 0x0fc0) },
  { 0, 4, field(report, "uint32", "sequence", "Sequence number", base.DEC, nil, 0x003fffff) },
  { 4, 4, field(report, "uint32", "node_id", "Node ID") },
}
local REPORT = {
  { 0, 1, field(report, "uint8", "type", "Type", base.DEC, REPORT_TYPES, 0xf0) },
  { 0, 1, field(report, "uint8", "inner_type", "Inner type", base.DEC, INNER_TYPES, 0x0f) },
  { 1, 1, field(report, "uint8", "length", "Length (words)") },
  { 2, 1, field(report, "uint8", "md_length", "Metadata length (words)") },
  { 3, 1, flag(report, "dropped", "Dropped (D)", 0x80) },
  { 3, 1, flag(report, "congested", "Congested queue (Q)", 0x40) },
  { 3, 1, flag(report, "tracked", "Tracked flow (F)", 0x20) },
  { 3, 1, flag(report, "intermediate", "Intermediate (I)", 0x10) },
}
local REPORT_INT = {
  { 4, 2, field(report, "uint16", "md_bits", "Metadata bits", base.HEX) },
  { 6, 2, field(report, "uint16", "domain", "Domain specific ID", base.HEX) },
  { 8, 2, field(report, "uint16", "ds_md_bits", "Domain specific metadata bits", base.HEX) },
  { 10, 2, field(report, "uint16", "ds_md_status", "Domain specific metadata status", base.HEX) },
}
local report_token_event = field(report, "uint8", "din.token_event", "Token event", base.DEC, TOKEN_EVENTS, 0x03)
local report_ds_data = field(report, "bytes", "ds_data", "Domain specific metadata")
local report_inner = field(report, "bytes", "inner", "Inner contents")

local TRAFFIC = {
  { 0, 2, field(report, "uint16", "din.tenant", "Tenant") },
  { 2, 2, field(report, "uint16", "din.service", "Service") },
  { 4, 2, field(report, "uint16", "din.instance", "Instance") },
  { 6, 1, field(report, "uint8", "din.label", "Privacy label") },
  { 7, 1, field(report, "uint8", "din.class", "Class", base.DEC, CLASSES) },
  { 8, 4, field(report, "uint32", "din.flow_hash", "Flow hash", base.HEX) },
}
local TRAFFIC_BYTES = 12
local TOKENS = {
  { 0, 4, field(report, "uint32", "din.headers_time", "Request to headers (us)") },
  { 4, 4, field(report, "uint32", "din.first_token_time", "Request to first token (us)") },
  { 8, 4, field(report, "uint32", "din.segments", "Segments") },
  { 12, 4, field(report, "uint32", "din.gap_sum", "Gaps, sum (us)") },
  { 16, 4, field(report, "uint32", "din.gap_max", "Gaps, longest (us)") },
}
local TOKENS_BYTES, GAPS_OFFSET, GAP_BINS, FIRST_GAP = 52, 20, 16, 128
local report_gap = field(report, "uint16", "din.gaps", "Gaps")

-- What the 16 bits of an instruction bitmap stand for, the most significant first: { length, field }, in order.
local function baseline(proto)
  local meaning = {
    [1] = {
      { 2, field(proto, "uint16", "ingress_port", "Ingress port") },
      { 2, field(proto, "uint16", "egress_port", "Egress port") },
    },
    [2] = { { 4, field(proto, "uint32", "hop_latency", "Hop latency (ns)") } },
    [3] = {
      { 1, field(proto, "uint8", "queue", "Queue") },
      { 3, field(proto, "uint24", "occupancy", "Queue occupancy") },
    },
    [4] = { { 8, field(proto, "uint64", "ingress_time", "Ingress time (ns)") } },
    [5] = { { 8, field(proto, "uint64", "egress_time", "Egress time (ns)") } },
    [6] = {
      { 4, field(proto, "uint32", "l2_ingress_port", "Logical ingress port") },
      { 4, field(proto, "uint32", "l2_egress_port", "Logical egress port") },
    },
    [7] = { { 4, field(proto, "uint32", "tx_utilization", "Egress port utilisation") } },
    [8] = {
      { 1, field(proto, "uint8", "buffer", "Buffer") },
      { 3, field(proto, "uint24", "buffer_occupancy", "Buffer occupancy") },
    },
  }
  local reserved = { { 4, field(proto, "uint32", "reserved", "Reserved", base.HEX) } }
  for bit = 0, 15 do
    meaning[bit] = meaning[bit] or reserved
  end
  return meaning
end

local INT_BASELINE = baseline(int_md)
INT_BASELINE[0] = { { 4, field(int_md, "uint32", "node_id", "Node ID") } }
INT_BASELINE[15] = { { 4, field(int_md, "uint32", "checksum_complement", "Checksum complement", base.HEX) } }
local REPORT_BASELINE = baseline(report)
local report_drop_reason = field(report, "uint8", "drop_reason", "Drop reason", base.DEC, DROP_REASONS)
REPORT_BASELINE[15] = {
  { 1, field(report, "uint8", "drop_queue", "Queue") },
  { 1, report_drop_reason },
  { 2, field(report, "uint16", "pad", "Padding", base.HEX) },
}

for proto, fields in pairs(all) do
  proto.fields = fields
end

local din_unknown = ProtoExpert.new("din.unknown_version", "Another version of the option", expert.group.UNDECODED,
  expert.severity.NOTE)
din.experts = { din_unknown }
local int_bad_length = ProtoExpert.new("int_md.bad_length", "Lengths do not agree", expert.group.MALFORMED,
  expert.severity.ERROR)
local int_flagged = ProtoExpert.new("int_md.incomplete", "Hops are missing from the stack", expert.group.SEQUENCE,
  expert.severity.NOTE)
int_md.experts = { int_bad_length, int_flagged }
local report_bad_length = ProtoExpert.new("telemetry_report.bad_length", "Lengths do not agree",
  expert.group.MALFORMED, expert.severity.ERROR)
local report_unknown = ProtoExpert.new("telemetry_report.unknown_version", "Another version of the report",
  expert.group.UNDECODED, expert.severity.NOTE)
report.experts = { report_bad_length, report_unknown }

-- ---- reading ---------------------------------------------------------------------------------------------

local function add(tree, range, layout)
  for _, row in ipairs(layout) do
    tree:add(row[3], range(row[1], row[2]))
  end
end

-- Bytes that a bitmap (two bytes of the packet) asks for.
local function wanted_bytes(bitmap, meaning)
  local bytes = 0
  for bit = 0, 15 do
    if bitmap:bitfield(bit, 1) == 1 then
      for _, row in ipairs(meaning[bit]) do
        bytes = bytes + row[1]
      end
    end
  end
  return bytes
end

local function add_metadata(tree, range, bitmap, meaning)
  local offset = 0
  for bit = 0, 15 do
    if bitmap:bitfield(bit, 1) == 1 then
      for _, row in ipairs(meaning[bit]) do
        tree:add(row[2], range(offset, row[1]))
        offset = offset + row[1]
      end
    end
  end
end

-- ---- options ---------------------------------------------------------------------------------------------

local function dissect_din_option(tree, option)
  local version = option(4, 1):bitfield(0, 4)
  local subtree = tree:add(din, option, "DIN option")
  if version ~= DIN_VERSION or option:len() ~= DIN_OPTION_BYTES then
    subtree:add(DIN_OPTION[1][3], option(4, 1))
    subtree:add_proto_expert_info(din_unknown)
    return
  end
  local class = option(4, 1):bitfield(4, 4)
  subtree:append_text(string.format(", %s, label %d, service %d", CLASSES[class] or ("class " .. class),
    option(5, 1):uint(), option(8, 2):uint()))
  add(subtree, option, DIN_OPTION)
end

local function dissect_int_option(tree, option)
  local subtree = tree:add(int_md, option, "INT-MD option")
  if option:len() < 4 + 4 * INT_HEADER_WORDS or option(4, 1):bitfield(0, 4) ~= INT_VERSION then
    subtree:add_proto_expert_info(int_bad_length, "No INT-MD header of version 2")
    return
  end
  add(subtree, option, INT_MD)
  if option(4, 1):bitfield(5, 2) ~= 0 then
    subtree:add_proto_expert_info(int_flagged)
  end
  local stack = option:len() - 16
  local size = 4 * option(6, 1):bitfield(3, 5)
  local instructions = option(8, 2)
  local known = wanted_bytes(instructions, INT_BASELINE)
  if size == 0 or size < known then
    subtree:add_proto_expert_info(int_bad_length, "HopML is shorter than what the instructions ask for")
    return
  end
  local count = math.floor(stack / size)
  subtree:append_text(string.format(", %d hop%s", count, count == 1 and "" or "s"))
  for index = 0, count - 1 do
    local data = option(16 + index * size, size)
    -- The newest is the first in the stack. Numbered along the way.
    local hop = subtree:add(int_hop, data, count - index)
    if instructions:bitfield(0, 1) == 1 then
      hop:append_text(string.format(", node %d", data(0, 4):uint()))
    end
    if known > 0 then
      add_metadata(hop, data, instructions, INT_BASELINE)
    end
    if size > known then
      hop:add(int_domain_data, data(known, size - known))
    end
  end
  if stack > count * size then
    subtree:add(int_source_only, option(16 + count * size, stack - count * size))
  end
end

local function dissect_host_option(tree, option)
  local subtree = tree:add(din, option, "DIN host option")
  if option(2, 1):bitfield(0, 4) ~= DIN_VERSION then
    subtree:add(HOST_OPTION[1][3], option(2, 1))
    subtree:add_proto_expert_info(din_unknown)
    return
  end
  subtree:append_text(string.format(", tenant %d, key %d, epoch %d", option(6, 2):uint(), option(4, 1):uint(),
    option(5, 1):uint()))
  add(subtree, option, HOST_OPTION)
end

local function dissect_sids(tree, address)
  local subtree = tree:add(din, address, "Segments")
  for offset = 4, 14, 2 do
    local id = address(offset, 2)
    if id:uint() == 0 then
      break
    end
    subtree:add(din_sid, id)
    subtree:append_text(string.format(offset == 4 and ": %x" or ", %x", id:uint()))
  end
end

local geneve_class = Field.new("geneve.option.class")
local ipv6_option_type = Field.new("ipv6.opt.type")
local ipv6_destination = Field.new("ipv6.dst")

-- The bytes from a field on, if the capture has that many.
local function bytes_at(info, length)
  if info.source == nil or info.offset + length > info.source:captured_len() then
    return nil
  end
  return info.source(info.offset, length)
end

function din.dissector(_, _, tree)
  for _, info in ipairs({ ipv6_destination() }) do
    local address = bytes_at(info, 16)
    if address and address(0, 4):uint() == SID_BLOCK then
      dissect_sids(tree, address)
    end
  end
  for _, info in ipairs({ geneve_class() }) do
    local head = bytes_at(info, 4)
    local option = head and bytes_at(info, 4 + 4 * head(3, 1):bitfield(3, 5))
    if option and option:len() > 4 then
      local class, kind = head(0, 2):uint(), head(2, 1):uint()
      if class == GENEVE_CLASS_DIN and kind == GENEVE_TYPE_DIN then
        dissect_din_option(tree, option)
      elseif class == GENEVE_CLASS_INT and kind == GENEVE_TYPE_INT_MD then
        dissect_int_option(tree, option)
      end
    end
  end
  for _, info in ipairs({ ipv6_option_type() }) do
    local option = bytes_at(info, 2 + HOST_OPTION_LENGTH)
    if option and option(0, 1):uint() == HOST_OPTION_TYPE and option(1, 1):uint() == HOST_OPTION_LENGTH then
      dissect_host_option(tree, option)
    end
  end
end

register_postdissector(din)

-- ---- reports ---------------------------------------------------------------------------------------------

local INNER_DISSECTORS = {
  [3] = Dissector.get("eth_withoutfcs"),
  [4] = Dissector.get("ip"),
  [5] = Dissector.get("ipv6"),
}

local function add_gaps(tree, range)
  -- The shortest gaps are the last on the wire.
  local low, high = 0, FIRST_GAP
  for bin = 0, GAP_BINS - 1 do
    local item = tree:add(report_gap, range(2 * (GAP_BINS - 1 - bin), 2))
    if bin == GAP_BINS - 1 then
      item:append_text(string.format(" of %d us and more", low))
    else
      item:append_text(string.format(" of %d to %d us", low, high - 1))
    end
    low, high = high, 2 * high
  end
end

-- DIN's own metadata: returns how much of it there was.
local function add_domain(tree, range, bits)
  local offset = 0
  if bits:bitfield(0, 1) == 1 and range:len() >= TRAFFIC_BYTES then
    local traffic = range(0, TRAFFIC_BYTES)
    local subtree = tree:add(traffic, "Traffic")
    subtree:append_text(string.format(": tenant %d, service %d", traffic(0, 2):uint(), traffic(2, 2):uint()))
    add(subtree, traffic, TRAFFIC)
    offset = TRAFFIC_BYTES
  end
  if bits:bitfield(1, 1) == 1 and range:len() >= offset + TOKENS_BYTES then
    local tokens = range(offset, TOKENS_BYTES)
    local subtree = tree:add(tokens, "Tokens")
    add(subtree, tokens, TOKENS)
    add_gaps(subtree, tokens(GAPS_OFFSET, 2 * GAP_BINS))
    offset = offset + TOKENS_BYTES
  end
  return offset
end

-- An individual report of INT; returns where its inner contents begin.
local function add_int_report(tree, range, notes)
  local md_bytes = 4 * range(2, 1):uint()
  if range:len() < 12 + md_bytes then
    tree:add_proto_expert_info(report_bad_length)
    return range:len()
  end
  add(tree, range, REPORT_INT)
  local md_bits = range(4, 2)
  local known = wanted_bytes(md_bits, REPORT_BASELINE)
  if known > md_bytes then
    tree:add_proto_expert_info(report_bad_length)
    return 12 + md_bytes
  end
  if known > 0 then
    add_metadata(tree, range(12, known), md_bits, REPORT_BASELINE)
  end
  if md_bits:bitfield(15, 1) == 1 then
    local reason = range(12 + known - 3, 1):uint()
    table.insert(notes, string.format("dropped: %s", DROP_REASONS[reason] or reason))
  end
  if md_bytes > known then
    local data = range(12 + known, md_bytes - known)
    local ours = 0
    if range(6, 2):uint() == REPORT_DOMAIN then
      tree:add(report_token_event, range(11, 1))
      ours = add_domain(tree, data, range(8, 2))
    end
    if data:len() > ours then
      tree:add(report_ds_data, data(ours))
    end
  end
  return 12 + md_bytes
end

function report.dissector(buffer, pinfo, tree)
  if buffer:len() < 8 then
    return 0
  end
  pinfo.cols.protocol = "Telemetry Report"
  local subtree = tree:add(report, buffer(), "Telemetry Report")
  if buffer(0, 1):bitfield(0, 4) ~= REPORT_VERSION then
    subtree:add(GROUP[1][3], buffer(0, 1))
    subtree:add_proto_expert_info(report_unknown)
    return buffer:len()
  end
  add(subtree, buffer(0, 8), GROUP)
  local notes = {}
  local inner_packets = {}
  local offset = 8
  while offset + 4 <= buffer:len() do
    local words = buffer(offset + 1, 1):uint()
    local length = 4 + 4 * words
    if words == 0xff then
      length = buffer:len() - offset
    end
    local kind = buffer(offset, 1):bitfield(0, 4)
    local one = subtree:add(buffer(offset, math.min(length, buffer:len() - offset)), "Report")
    one:append_text(string.format(" of type %s", REPORT_TYPES[kind] or kind))
    add(one, buffer(offset, 4), REPORT)
    if offset + length > buffer:len() then
      one:add_proto_expert_info(report_bad_length)
      break
    end
    local range = buffer(offset, length)
    local at = kind == 1 and add_int_report(one, range, notes) or 4
    if at < length then
      local inner_type = range(0, 1):bitfield(4, 4)
      one:add(report_inner, range(at))
      table.insert(inner_packets, { INNER_DISSECTORS[inner_type], range(at) })
    end
    offset = offset + length
  end

  -- The packets that reports are about, as far as they go. The columns are the report's.
  local columns = { "src", "dst", "net_src", "net_dst", "src_port", "dst_port" }
  local saved = {}
  for _, name in ipairs(columns) do
    saved[name] = pinfo[name]
  end
  for _, each in ipairs(inner_packets) do
    if each[1] and report.prefs.inner then
      -- Cut short within a header, it ends in an error that the tree shows.
      pcall(each[1].call, each[1], each[2]:tvb("Packet that is reported on"), pinfo, subtree)
    end
  end
  for _, name in ipairs(columns) do
    pinfo[name] = saved[name]
  end
  pinfo.cols.protocol = "Telemetry Report"
  pinfo.cols.info:clear_fence()
  pinfo.cols.info = string.format("Node %d, sequence %d", buffer(4, 4):uint(), buffer(0, 4):bitfield(10, 22))
  if #notes > 0 then
    pinfo.cols.info:append(", " .. table.concat(notes, ", "))
  end
  return buffer:len()
end

report.prefs.port = Pref.uint("UDP port", DEFAULT_REPORT_PORT, "Where the fabric's reports go to")
report.prefs.inner = Pref.bool("Dissect packets that are reported on", true,
  "Their TCP segments are taken for segments of the flow, so its analysis may see retransmissions")
local udp_ports = DissectorTable.get("udp.port")
local bound = nil

local function bind()
  if bound ~= nil then
    udp_ports:remove(bound, report)
  end
  bound = report.prefs.port
  if bound == 0 then
    bound = nil
  else
    udp_ports:add(bound, report)
  end
end

function report.prefs_changed()
  bind()
end

bind()
udp_ports:add_for_decode_as(report)
