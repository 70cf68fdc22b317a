//! What does the data path decide? The provider `overlay`: the engine, and the daemon around it.
//!
//! Frames carry an id from the first probe to the last, also through a queue, so that a script can join what happened to one; a
//! super-frame is one frame. Lookups carry theirs through both daemons.

// The asm of a probe is written by `usdt`: nothing of it takes a pointer or a length from here.
#![allow(unsafe_code, reason = "usdt's macros expand to asm and to the load of a semaphore that the linker places")]

provider! { overlay;
    // ---- Batches: what a worker does at a time ----

    /// A worker has handled a batch of frames that it read from a port.
    "tx-batch" tx_batch tx__batch(
        worker: u32 = "worker's number",
        port: u32 = "port that they came from",
        frames: u32 = "frames; a super-frame is one",
        bytes: u64 = "bytes of those frames, without encapsulation",
    ) "usdt:*:overlay:tx-batch { @frames = lhist(arg2, 0, 64, 4); }"

    /// A worker has handled a batch of datagrams that it read from an underlay socket.
    "rx-batch" rx_batch rx__batch(
        worker: u32 = "worker's number",
        underlay: u32 = "underlay that they came from",
        datagrams: u32 = "datagrams; what the kernel has coalesced is one",
        bytes: u64 = "bytes of those datagrams, with encapsulation",
    ) "usdt:*:overlay:rx-batch { @bytes[arg1] = sum(arg3); }"

    /// A thread of the data path slept until something was to be done.
    "worker-wake" worker_wake worker__wake(
        worker: u32 = "worker's number",
        ready: u32 = "what was ready: VNICs, underlay sockets, the bell",
        source: u32 = "port or underlay that was ready first; 0 for the bell",
        ns: u64 = "nanoseconds that it slept",
        what: str = "what was ready first: `vnic`, `underlay`, or `bell` (something is opened or closed)",
    ) "usdt:*:overlay:worker-wake { @us[arg0, str(arg4)] = hist(arg3 / 1000); }"

    // ---- Transmit: from a port to the underlay ----

    /// A frame came from a port.
    "tx-frame" tx_frame tx__frame(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        port: u32 = "port that it came from",
        len: u32 = "bytes of the frame",
        vl2_src: str = "inner source (VL2)",
        vl2_dst: str = "inner destination (VL2)",
    ) "usdt:*:overlay:tx-frame { @bytes[arg1, str(arg4), str(arg5)] = sum(arg3); }"

    /// The target table knows where a frame goes.
    "target-hit" target_hit target__hit(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        vl2: str = "inner destination (VL2)",
        ul3: str = "underlay destination (UL3)",
        state: str = "state of the entry",
    ) "usdt:*:overlay:target-hit { @[arg1, str(arg2), str(arg3)] = count(); }"

    /// The target table does not know yet where a frame goes.
    "target-miss" target_miss target__miss(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        state: str = "state of the entry: `absent`, `pending`, `draining`",
        vl2: str = "inner destination (VL2)",
    ) "usdt:*:overlay:target-miss { @[arg1, str(arg2), str(arg3)] = count(); }"

    /// A frame waits in the queue of an entry.
    "target-queue" target_queue target__queue(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        queued_bytes: u64 = "bytes that wait in the queue, with this frame",
        queued_frames: u32 = "frames that wait in the queue, with this one",
        vl2: str = "inner destination (VL2)",
    ) "usdt:*:overlay:target-queue { @deepest[str(arg4)] = max(arg2); }"

    /// A frame got its encapsulation and leaves for one underlay destination.
    "encap" encap encap(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        len: u32 = "bytes of the frame, without encapsulation",
        segments: u32 = "datagrams that it makes on the wire",
        encapsulation: str = "`vxlan`, `geneve`, `nvgre` or another module's name",
        ul3: str = "underlay destination (UL3)",
    ) "usdt:*:overlay:encap { @datagrams[str(arg5)] = sum(arg3); }"

    /// The kernel has taken all datagrams of a frame for one underlay destination; what it refuses is a drop.
    "tx-send" tx_send tx__send(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        len: u32 = "bytes of the frame, without encapsulation",
        datagrams: u32 = "datagrams that it makes on the wire",
        bytes: u64 = "bytes of those datagrams together, from the encapsulation's header on",
        ul3: str = "underlay destination (UL3)",
    ) "usdt:*:overlay:tx-send { @bytes[arg1, str(arg5)] = sum(arg4); }"

    /// The kernel has taken a message: one call's datagrams of one size for one underlay destination.
    "tx-message" tx_message tx__message(
        worker: u32 = "worker's number",
        underlay: u32 = "underlay that it leaves through",
        frames: u32 = "frames that are in it, or a part of which is; a super-frame is one",
        datagrams: u32 = "datagrams that the kernel makes of it (UDP_SEGMENT)",
        bytes: u64 = "bytes of those datagrams together, from the encapsulation's header on",
        ul3: str = "underlay destination (UL3)",
    ) "usdt:*:overlay:tx-message { @datagrams = lhist(arg3, 0, 64, 4); }"

    /// A frame goes to another port of the same device.
    "local" local local(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        port: u32 = "port that it goes to",
        len: u32 = "bytes of the frame",
        vl2: str = "inner destination (VL2)",
    ) "usdt:*:overlay:local { @bytes[arg1, arg2] = sum(arg3); }"

    /// A broadcast or multicast frame is replicated.
    "flood" flood flood(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        ports: u32 = "ports of the device that get a copy",
        underlays: u32 = "underlay destinations that get a copy",
        vl2: str = "inner destination (VL2)",
    ) "usdt:*:overlay:flood { @copies[arg1, str(arg4)] = sum(arg2 + arg3); }"

    /// A frame is too big for the device or the way to its destination.
    "too-big" too_big too__big(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        len: u32 = "bytes of the frame",
        limit: u32 = "bytes that would have passed",
        answered: u8 = "1: its sender is told by ICMP, 0: it is not",
        vl2: str = "inner destination (VL2)",
    ) "usdt:*:overlay:too-big { @[str(arg5), arg3, arg4] = max(arg2); }"

    // ---- Receive: from the underlay to a port ----

    /// A datagram came from an underlay socket.
    "rx-datagram" rx_datagram rx__datagram(
        frame: u64 = "id of the frame that it holds",
        underlay: u32 = "underlay that it came from",
        len: u32 = "bytes of the datagram, from the encapsulation's header on",
        ul3_src: str = "underlay source (UL3)",
    ) "usdt:*:overlay:rx-datagram { @bytes[str(arg3)] = sum(arg2); }"

    /// A datagram's encapsulation is valid and its device takes it.
    "decap" decap decap(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        len: u32 = "bytes of the inner frame",
        vl2_src: str = "inner source (VL2)",
        vl2_dst: str = "inner destination (VL2)",
        ul3_src: str = "underlay source (UL3)",
    ) "usdt:*:overlay:decap { @[arg1, str(arg3), str(arg5)] = count(); }"

    /// A VNIC has taken a frame that came from the underlay; what it refuses is a drop.
    "rx-deliver" rx_deliver rx__deliver(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        port: u32 = "port that has it",
        len: u32 = "bytes of the frame",
        vl2: str = "inner destination (VL2)",
    ) "usdt:*:overlay:rx-deliver { @bytes[arg1, arg2] = sum(arg3); }"

    /// A VNIC has taken what is one packet to it: a frame, or consecutive frames of one flow.
    "rx-write" rx_write rx__write(
        worker: u32 = "worker's number",
        port: u32 = "port that has it",
        frames: u32 = "frames that were joined; 1 if none were",
        bytes: u64 = "bytes that the VNIC was given",
    ) "usdt:*:overlay:rx-write { @joined = lhist(arg2, 0, 64, 4); }"

    /// Datagrams were lost before they were read: the socket had no room for them, or they were longer than any can be.
    "rx-overflow" rx_overflow rx__overflow(
        underlay: u32 = "underlay that they came to",
        datagrams: u64 = "datagrams that were lost since it was last looked, which is once a second",
        ul3: str = "address that it listens on (UL3)",
    ) "usdt:*:overlay:rx-overflow { @lost[str(arg2)] = sum(arg1); }"

    /// A ping or an answer to one came, or was sent.
    "ping" ping ping(
        frame: u64 = "id of its frame",
        vni: u32 = "virtual network",
        size: u32 = "bytes of the inner packet, behind the Ethernet header",
        sequence: u32 = "which of the ping's frames it is",
        what: str = "`ask`: one was sent, `answer`: one was answered, `answer-too-big`: one could not be, `pong`: an answer came",
        ul3: str = "the other end (UL3)",
    ) "usdt:*:overlay:ping { @[arg1, str(arg4), str(arg5)] = count(); }"

    // ---- Both ----

    /// The first bytes of a frame, as it came from a port or as it was inside of its datagram; a longer frame fires once for each part.
    "frame-bytes" frame_bytes frame__bytes(
        frame: u64 = "frame's id",
        vni: u32 = "virtual network",
        direction: u8 = "0: transmit, 1: receive",
        len: u32 = "bytes of the whole frame",
        offset: u32 = "where in the frame this part begins: 0 or 96",
        hex: str = "at most 96 bytes, two digits for each: BPFTRACE_STRLEN=200 takes them all",
    ) "usdt:*:overlay:frame-bytes { printf(\"%016lx %u %u %u %s\\n\", arg0, arg2, arg3, arg4, str(arg5)); }"

    /// A frame or a datagram goes no further.
    "drop" drop drop(
        frame: u64 = "frame's id",
        direction: u8 = "0: transmit, 1: receive",
        vni: u32 = "virtual network; 4294967295 when it is not known",
        len: u32 = "bytes of the frame or datagram",
        reason: str = "the reason's name, the same as of its counter",
        peer: str = "transmit: inner destination (VL2); receive: underlay source (UL3)",
    ) "usdt:*:overlay:drop { @[arg1, arg2, str(arg4), str(arg5)] = count(); }"

    // ---- Lookups: where is that destination? ----

    /// The engine asks for a destination.
    "lookup-start" lookup_start lookup__start(
        request: u64 = "lookup's id",
        frame: u64 = "id of the frame that asks",
        vni: u32 = "virtual network",
        len: u32 = "bytes of the frame that asks",
        vl2_src: str = "inner source (VL2)",
        vl2_dst: str = "inner destination (VL2)",
    ) "usdt:*:overlay:lookup-start { @asked[arg2, str(arg5)] = count(); }"

    /// A lookup was answered in time.
    "lookup-done" lookup_done lookup__done(
        request: u64 = "lookup's id",
        vni: u32 = "virtual network",
        ns: u64 = "nanoseconds since it was asked",
        answer: str = "`reach`, `drop`, `inject`, `resend`",
        vl2: str = "inner destination (VL2)",
        ul3: str = "underlay destinations (UL3); empty when the answer names none",
    ) "usdt:*:overlay:lookup-done { @us[str(arg3)] = hist(arg2 / 1000); }"

    /// A lookup is asked again, under the same id.
    "lookup-requeue" lookup_requeue lookup__requeue(
        request: u64 = "lookup's id",
        vni: u32 = "virtual network",
        why: str = "what became of the first one",
        vl2: str = "inner destination (VL2)",
    ) "usdt:*:overlay:lookup-requeue { @[str(arg2)] = count(); }"

    /// An answer came to a lookup that nobody waits for any more.
    "lookup-late" lookup_late lookup__late(
        request: u64 = "lookup's id",
        answer: str = "`reach`, `drop`, `inject`, `resend`",
    ) "usdt:*:overlay:lookup-late { @[str(arg1)] = count(); }"

    /// A lookup was not answered in time.
    "lookup-timeout" lookup_timeout lookup__timeout(
        request: u64 = "lookup's id",
        vni: u32 = "virtual network",
        ns: u64 = "nanoseconds since it was asked",
        vl2: str = "inner destination (VL2)",
    ) "usdt:*:overlay:lookup-timeout { @[arg1, str(arg3)] = count(); }"

    /// The answer to a lookup is a frame for the port that asked.
    "inject" inject inject(
        request: u64 = "lookup's id; 0 if a plugin has sent it unasked",
        frame: u64 = "that frame's own id",
        vni: u32 = "virtual network",
        len: u32 = "bytes of that frame",
        port: u32 = "port that gets it",
    ) "usdt:*:overlay:inject { @bytes[arg2, arg4] = sum(arg3); }"

    /// The answer to a lookup is a frame that is sent in place of the one that asked.
    "resend" resend resend(
        request: u64 = "lookup's id; 0 if a plugin has sent it unasked",
        frame: u64 = "that frame's own id, which its other probes carry",
        vni: u32 = "virtual network",
        len: u32 = "bytes of that frame",
        vl2: str = "its inner destination (VL2)",
    ) "usdt:*:overlay:resend { @[arg2, str(arg4)] = count(); }"

    // ---- Target table ----

    /// An entry of the target table came from one state into another.
    "target-state" target_state target__state(
        vni: u32 = "virtual network",
        vl2: str = "inner destination (VL2) of the entry",
        old: str = "state that it leaves",
        new: str = "state that it is in now",
        event: str = "what happened to it",
        ul3: str = "underlay destinations (UL3) in the new state; empty when there are none",
    ) "usdt:*:overlay:target-state { @[str(arg2), str(arg3), str(arg4)] = count(); }"

    /// An entry was removed to make room for another.
    "target-evict" target_evict target__evict(
        vni: u32 = "virtual network",
        idle_ns: u64 = "nanoseconds since a frame last used it",
        vl2: str = "inner destination (VL2) of the entry",
    ) "usdt:*:overlay:target-evict { @idle_ms[arg0] = hist(arg1 / 1000000); }"

    /// An entry was refused: the table is full and nothing in it can be evicted.
    "target-full" target_full target__full(
        vni: u32 = "virtual network",
        entries: u64 = "entries in the table",
        vl2: str = "inner destination (VL2) that got none",
    ) "usdt:*:overlay:target-full { @refused[arg0] = count(); }"

    /// The number of entries that the target table may have was changed.
    "target-resize" target_resize target__resize(
        device: u32 = "device's id",
        vni: u32 = "virtual network",
        entries: u64 = "entries in the table",
        old: u64 = "entries that there could be",
        new: u64 = "entries that there can be now",
        name: str = "device's name",
    ) "usdt:*:overlay:target-resize { printf(\"%s %lu to %lu\\n\", str(arg5), arg3, arg4); }"

    // ---- Devices, ports, underlays ----

    /// A device came from one state into another.
    "device-state" device_state device__state(
        device: u32 = "device's id",
        vni: u32 = "virtual network",
        name: str = "device's name",
        old: str = "state that it leaves",
        new: str = "state that it is in now",
        reason: str = "why; empty when there is nothing to say",
    ) "usdt:*:overlay:device-state { time(\"%H:%M:%S \"); printf(\"%s %s to %s %s\\n\", str(arg2), str(arg3), str(arg4), str(arg5)); }"

    /// The MTU of a device changed.
    "device-mtu" device_mtu device__mtu(
        device: u32 = "device's id",
        vni: u32 = "virtual network",
        old: u32 = "MTU before, in bytes",
        new: u32 = "MTU now, in bytes",
        name: str = "device's name",
    ) "usdt:*:overlay:device-mtu { printf(\"%s %u to %u\\n\", str(arg4), arg2, arg3); }"

    /// Something happened to a port.
    "port-state" port_state port__state(
        port: u32 = "port's id",
        device: u32 = "device's id",
        vni: u32 = "virtual network",
        name: str = "port's name",
        mac: str = "MAC (VL2) of the port",
        what: str = "what happened to it",
    ) "usdt:*:overlay:port-state { printf(\"%s %s %s\\n\", str(arg3), str(arg4), str(arg5)); }"

    /// Something happened to an underlay.
    "underlay" underlay underlay(
        underlay: u32 = "underlay's id",
        what: str = "`open`, `close`, `up`, `down`",
        encapsulation: str = "`vxlan`, `geneve`, `nvgre` or another module's name",
        ul3: str = "address that it listens on (UL3)",
    ) "usdt:*:overlay:underlay { printf(\"%s %s %s\\n\", str(arg3), str(arg2), str(arg1)); }"

    // ---- Who answers, who calls ----

    /// Something happened to whoever answers lookups, or wants to.
    "answerer" answerer answerer(
        pid: u32 = "process; 0 where it cannot be seen",
        uid: u32 = "user that it runs as",
        what: str = "`attached`, `lost`, `refused`",
        why: str = "why it was lost or refused",
    ) "usdt:*:overlay:answerer { printf(\"%u %s %s\\n\", arg0, str(arg2), str(arg3)); }"

    /// A call of the control socket was answered.
    "control-call" control_call control__call(
        pid: u32 = "process that called; 0 where it cannot be seen",
        uid: u32 = "user that it runs as",
        status: u16 = "status of the answer (HTTP)",
        ns: u64 = "nanoseconds until the answer began",
        method: str = "`GET`, `POST`, `PUT`, `DELETE` or another method",
        path: str = "what was called; without what stands behind a `?`",
    ) "usdt:*:overlay:control-call { @us[str(arg4), str(arg5)] = hist(arg3 / 1000); }"
}
