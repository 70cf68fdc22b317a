//! What does the answering daemon decide? The provider `varpd`.
//!
//! Lookups carry the id under which overlayd asked them: a script that watches both daemons can join their probes.

// The asm of a probe is written by `usdt`: nothing of it takes a pointer or a length from here.
#![allow(unsafe_code, reason = "usdt's macros expand to asm and to the load of a semaphore that the linker places")]

provider! { varpd;
    /// A plugin is asked.
    "lookup" lookup lookup(
        request: u64 = "lookup's id",
        vni: u32 = "virtual network",
        ethertype: u32 = "EtherType of the frame that asks",
        plugin: str = "plugin",
        vl2: str = "inner destination (VL2)",
    ) "usdt:*:varpd:lookup { @asked[str(arg3), str(arg4)] = count(); }"

    /// A plugin has answered.
    "answer" answer answer(
        request: u64 = "lookup's id",
        device: u32 = "overlay's number",
        answer: str = "`reach`, `drop`, `inject`, `resend`",
        plugin: str = "plugin",
    ) "usdt:*:varpd:answer { @answers[str(arg3), str(arg2)] = count(); }"

    /// A plugin has not answered, and drop is said in its place.
    "answer-missing" answer_missing answer__missing(
        request: u64 = "lookup's id",
        device: u32 = "overlay's number",
        plugin: str = "plugin",
    ) "usdt:*:varpd:answer-missing { @missing[str(arg2)] = count(); }"

    /// A plugin has answered a lookup that waits for no answer of its: twice, or too late.
    "answer-late" answer_late answer__late(
        request: u64 = "lookup's id",
        device: u32 = "overlay's number",
        plugin: str = "plugin",
    ) "usdt:*:varpd:answer-late { @late[str(arg2)] = count(); }"

    /// An ARP request that a table may answer.
    "proxy-arp" proxy_arp proxy__arp(
        request: u64 = "lookup's id",
        vni: u32 = "virtual network",
        known: u8 = "1 if the table knows whose address it is",
        vl3: str = "inner address asked for (VL3)",
    ) "usdt:*:varpd:proxy-arp { @[arg1, str(arg3), arg2] = count(); }"

    /// A neighbour solicitation that a table may answer.
    "proxy-ndp" proxy_ndp proxy__ndp(
        request: u64 = "lookup's id",
        vni: u32 = "virtual network",
        known: u8 = "1 if the table knows whose address it is",
        vl3: str = "inner address asked for (VL3)",
    ) "usdt:*:varpd:proxy-ndp { @[arg1, str(arg3), arg2] = count(); }"

    /// A DHCP request that may have to go to a server.
    "proxy-dhcp" proxy_dhcp proxy__dhcp(
        request: u64 = "lookup's id",
        vni: u32 = "virtual network",
        known: u8 = "1 if the table has a server for whoever asks",
        vl2_src: str = "inner source (VL2)",
    ) "usdt:*:varpd:proxy-dhcp { @[arg1, str(arg3), arg2] = count(); }"

    /// A frame looks like one for a proxy, and must not be answered.
    "proxy-refused" proxy_refused proxy__refused(
        request: u64 = "lookup's id",
        vni: u32 = "virtual network",
        reason: str = "why",
        vl2_src: str = "inner source (VL2)",
    ) "usdt:*:varpd:proxy-refused { @[arg1, str(arg2)] = count(); }"

    /// An instance of a plugin was started, or did not start.
    "instance-start" instance_start instance__start(
        device: u32 = "overlay's number",
        vni: u32 = "virtual network",
        started: u8 = "1 if it started",
        plugin: str = "plugin",
        overlay: str = "overlay",
    ) "usdt:*:varpd:instance-start { printf(\"%s for %s: %d\\n\", str(arg3), str(arg4), arg2); }"

    /// An instance of a plugin has ended.
    "instance-stop" instance_stop instance__stop(
        device: u32 = "overlay's number",
        vni: u32 = "virtual network",
        plugin: str = "plugin",
        overlay: str = "overlay",
    ) "usdt:*:varpd:instance-stop { printf(\"%s for %s\\n\", str(arg2), str(arg3)); }"

    /// An instance came into another state.
    "instance-state" instance_state instance__state(
        device: u32 = "overlay's number",
        degraded: u8 = "1 if it does not do what it should",
        plugin: str = "plugin",
        reason: str = "why it is degraded",
    ) "usdt:*:varpd:instance-state { printf(\"%s: %d %s\\n\", str(arg2), arg1, str(arg3)); }"

    /// A plugin's program has said what it is, or was refused.
    "plugin-load" plugin_load plugin__load(
        pid: u32 = "process that runs it",
        loaded: u8 = "1 if it can be used",
        plugin: str = "plugin; its file where it has not said its name",
        what: str = "why it was refused; empty if it can be used",
    ) "usdt:*:varpd:plugin-load { printf(\"%s: %d %s\\n\", str(arg2), arg1, str(arg3)); }"

    /// A plugin's program has ended, or was ended because it hung; it is started again.
    "plugin-crash" plugin_crash plugin__crash(
        pid: u32 = "process that ran it",
        lookups: u32 = "lookups that it had not answered",
        plugin: str = "plugin",
        how: str = "how it ended",
    ) "usdt:*:varpd:plugin-crash { printf(\"%s: %s\\n\", str(arg2), str(arg3)); }"

    /// All keys of a network were read from the store.
    "store-resync" store_resync store__resync(
        device: u32 = "overlay's number",
        revision: u64 = "the store's revision that they are of",
        entries: u32 = "entries of the mapping that holds",
        changes: u32 = "destinations that are elsewhere, new or gone",
        endpoint: str = "endpoint that gave them",
    ) "usdt:*:varpd:store-resync { printf(\"%d of %d changed, revision %d\\n\", arg3, arg2, arg1); }"

    /// Keys of a network were changed in the store.
    "store-change" store_change store__change(
        device: u32 = "overlay's number",
        revision: u64 = "the store's revision then",
        keys: u32 = "keys",
        changes: u32 = "destinations that are elsewhere, new or gone",
    ) "usdt:*:varpd:store-change { @keys[arg0] = sum(arg2); }"

    /// The store is not followed: no contact, no credentials, no changes for a while.
    "store-lost" store_lost store__lost(
        device: u32 = "overlay's number",
        revision: u64 = "the last revision that is known, 0 for none",
        why: str = "`away`, `deadline`, `tls`, `credentials`, `permission`, `refused`, `garbage`, `config`",
        reason: str = "reason",
    ) "usdt:*:varpd:store-lost { printf(\"%s: %s\\n\", str(arg2), str(arg3)); }"

    /// A key of the store has no meaning, and counts as not there.
    "store-garbage" store_garbage store__garbage(
        device: u32 = "overlay's number",
        reason: str = "the key, and why",
    ) "usdt:*:varpd:store-garbage { printf(\"%s\\n\", str(arg1)); }"

    /// A mapping has taken the place of another one, or was refused.
    "mapping" mapping mapping(
        device: u32 = "overlay's number",
        entries: u32 = "entries of the mapping that holds",
        changes: u32 = "targets that have changed",
        taken: u8 = "1 if it was taken, 0 if it was refused",
        file: str = "where it is from",
    ) "usdt:*:varpd:mapping { printf(\"%s: %d changes, taken %d\\n\", str(arg4), arg2, arg3); }"

    /// Varpd is connected to overlayd, or no longer.
    "connection" connection connection(
        connected: u8 = "1 if it is",
        instances: u32 = "instances that run",
        reason: str = "why it is not",
    ) "usdt:*:varpd:connection { printf(\"connected %d %s\\n\", arg0, str(arg2)); }"

    /// A call of the control socket was answered.
    "control-call" control_call control__call(
        pid: u32 = "process that called; 0 where it cannot be seen",
        uid: u32 = "user that it runs as",
        status: u16 = "status of the answer (HTTP)",
        ns: u64 = "nanoseconds until the answer began",
        method: str = "`GET`, `POST`, `PUT`, `DELETE` or another method",
        path: str = "what was called; without what stands behind a `?`",
    ) "usdt:*:varpd:control-call { @us[str(arg4), str(arg5)] = hist(arg3 / 1000); }"
}
