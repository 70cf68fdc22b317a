//! Does `docs/probes.md` say what the catalogue says? It is generated; `OVERLAY_UPDATE=1` writes it anew.

use overlay_probes::{CATALOGUE, Probe};
use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::path::Path;

const INTRODUCTION: &str = "\
# Probes

Which decisions of the overlay stack can be watched? Every frame, every drop, every lookup and every change of state fires a probe (USDT) that
bpftrace, DTrace, perf and SystemTap can attach to while the program runs. A probe that nobody watches costs one load and one compare;
a watched one about a microsecond.

```sh
bpftrace -p $(pidof overlayd) -e 'usdt:*:overlay:drop { @[str(arg4)] = count(); }'      # why are frames dropped?
```

- **Names are a contract.** Order and meaning of arguments stay; what means something else gets a new name.
- **Arguments** are integers first, then texts, at most six. Texts are addresses of bytes that end with a zero: `str(arg4)` in bpftrace,
  `copyinstr(arg4)` in DTrace. bpftrace shows their first 63 bytes; `BPFTRACE_STRLEN=200` shows more. Print `u32` with `%u`, `u64` with `%lu`.
- **Words.** VL2 is an inner MAC, UL3 an underlay address: IP and port, or IP alone for encapsulations without ports. Both are spelt as everywhere in
  the suite, so that they can be pasted back as arguments. A text that has nothing to say is empty.
- **Joining.** All probes of one frame carry the same `frame`, also after it waited in a queue; all probes of one lookup carry the same
  `request`, in both daemons, and `lookup-start` has both. A super-frame (GSO) is one frame. The upper 16 bits of a frame's id are the worker that
  read it (the number behind the last worker is the owner of the engine, for frames that plugins send), the lower 48 count: printed with `%016lx`, the
  first four digits are the worker. Another host counts its own.
- **Decided, then done.** `encap` and `decap` say what was decided. `tx-send` fires when the kernel has taken all datagrams of the frame,
  `rx-deliver` when the VNIC has taken it; what they refuse is a `drop` instead (`socket-full`, `send-failed`, `deliver-failed`, `local-failed`; the
  last two once for each VNIC), never both. All probes of a received frame fire on one thread.
- **Drops** have the names of [their counters](drop-reasons.md), one firing for one count: full queues are `pending-full`, `overlay-full`,
  `miss-queue-full`, `table-full` and `socket-full`; what the kernel loses before it is read is no frame yet, and fires `rx-overflow`.
- **Segments.** A super-frame passes the engine as one frame. How many datagrams it becomes is in `encap` (decided) and `tx-send` (done); what shared a
  message to the kernel is in `tx-message`, what was joined for a VNIC in `rx-write`.
- **Bytes.** `frame-bytes` carries the first 192 bytes of a frame in two firings of 96, because bpftrace takes texts of 199 characters at most and each
  firing more would be looked at by everybody whom nobody watches. A frame that was read from a port has direction 0; what came out of a datagram, 1.
- **What cannot be seen.** The target table grows a little with every insertion and does not say when it has begun with a larger half; `target-resize`
  is a change of `target/max`, and entries come and go with `target-state`, `target-evict` and `target-full`.
- **Attach to a running program**, by `-p` or by path: what is started later, or with `-c`, is not seen by bpftrace 0.17. A probe name
  with a typing error counts 0 and is no error.
- **DTrace** puts the process id into the provider's name: `dtrace -p PID -n 'overlay$target:::drop { @[copyinstr(arg4)] = count(); }'`.
- **Who may watch.** Root (CAP_BPF and CAP_PERFMON), from outside: the daemons need no right for it, and lose none of their probes with the rights that
  they give up. They install no seccomp filter themselves; the units for systemd do (`SystemCallFilter=`), and probes fire behind it, because a
  probe is a breakpoint and no system call. Arguments are numbers and texts, never an address of the daemon's memory; but texts are tenants'
  addresses, and `frame-bytes` is tenants' traffic.

This page is generated from `probes/src/`; tests compare it with the notes in the built daemons, stripped ones too, and fire every probe in them
under bpftrace (`tests/tests/trace`).
";

/// Where what illumos' overlay and varpd would want to say is said here: a list of the minimum, and the probes that are it.
const MINIMUM: &[(&str, &[&str])] = &[
    ("a frame comes from a port", &["overlay:tx-frame"]),
    ("its target is known, is not known, is waited for", &["overlay:target-hit", "overlay:target-miss", "overlay:target-queue"]),
    ("a queue is full", &["overlay:drop", "overlay:target-full", "overlay:rx-overflow"]),
    ("a frame is encapsulated, is sent", &["overlay:encap", "overlay:tx-send", "overlay:tx-message"]),
    ("a frame is dropped, either way, and why", &["overlay:drop", "overlay:too-big"]),
    (
        "a datagram comes, is decapsulated, is delivered",
        &["overlay:rx-datagram", "overlay:decap", "overlay:rx-deliver", "overlay:rx-write"],
    ),
    ("a frame stays on its host", &["overlay:local", "overlay:flood"]),
    ("a lookup starts, is done, is asked again", &["overlay:lookup-start", "overlay:lookup-done", "overlay:lookup-requeue"]),
    ("an answer comes late or never", &["overlay:lookup-late", "overlay:lookup-timeout", "varpd:answer-late", "varpd:answer-missing"]),
    ("an entry changes: set, removed, flushed, expired", &["overlay:target-state"]),
    ("the table changes its size, or makes room", &["overlay:target-resize", "overlay:target-evict"]),
    ("a plugin is asked, answers", &["varpd:lookup", "varpd:answer"]),
    ("a proxy's verdict", &["varpd:proxy-arp", "varpd:proxy-ndp", "varpd:proxy-dhcp", "varpd:proxy-refused"]),
    ("a frame is injected, is sent in place of another", &["overlay:inject", "overlay:resend"]),
    (
        "a plugin starts, stops, is loaded, crashes",
        &["varpd:instance-start", "varpd:instance-stop", "varpd:plugin-load", "varpd:plugin-crash"],
    ),
    ("something is degraded, and restored", &["overlay:device-state", "varpd:instance-state", "varpd:mapping"]),
    (
        "the store that a mapping is kept in is read, has changed, is lost, has garbage",
        &["varpd:store-resync", "varpd:store-change", "varpd:store-lost", "varpd:store-garbage"],
    ),
    ("a mux opens, closes", &["overlay:underlay"]),
    ("an MTU changes", &["overlay:device-mtu"]),
    ("batches, workers", &["overlay:tx-batch", "overlay:rx-batch", "overlay:worker-wake"]),
    (
        "ports, who answers, who calls",
        &["overlay:port-state", "overlay:answerer", "varpd:connection", "overlay:control-call", "varpd:control-call"],
    ),
    ("pings of overlayadm, and their answers", &["overlay:ping"]),
    ("the bytes of a frame", &["overlay:frame-bytes"]),
];

fn reference() -> Result<String, fmt::Error> {
    let mut page = String::from(INTRODUCTION);
    writeln!(page, "\n## List\n\n| probe | fires when | arguments |\n|---|---|---|")?;
    for Probe { provider, name, fires, arguments, .. } in CATALOGUE {
        let names: Vec<&str> = arguments.iter().map(|argument| argument.name).collect();
        writeln!(page, "| [`{provider}:{name}`](#{provider}{name}) | {fires} | {} |", names.join(", "))?;
    }
    writeln!(page, "\n## By question\n\n| what happens | probes |\n|---|---|")?;
    for (what, probes) in MINIMUM {
        let linked: Vec<String> = probes.iter().map(|probe| format!("[`{probe}`](#{})", probe.replace(':', ""))).collect();
        writeln!(page, "| {what} | {} |", linked.join(", "))?;
    }
    for Probe { provider, name, fires, arguments, example } in CATALOGUE {
        writeln!(page, "\n## {provider}:{name}\n\n{fires}\n\n| | argument | type | meaning |\n|---|---|---|---|")?;
        for (number, argument) in arguments.iter().enumerate() {
            writeln!(page, "| `arg{number}` | {} | {} | {} |", argument.name, argument.kind.name(), argument.meaning)?;
        }
        writeln!(page, "\n```sh\nbpftrace -p PID -e '{example}'\n```")?;
    }
    Ok(page)
}

#[test]
fn the_page_is_the_catalogue() {
    let expected = reference().expect("a String takes everything");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/probes.md");
    if std::env::var_os("OVERLAY_UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(&path, &expected).expect("docs/ can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let line = expected.lines().zip(found.lines()).position(|(one, other)| one != other);
    let line = line.unwrap_or_else(|| expected.lines().count().min(found.lines().count()));
    assert!(
        found == expected,
        "docs/probes.md differs from the catalogue in line {}: expected {:?}, found {:?}; OVERLAY_UPDATE=1 writes it anew",
        line + 1,
        expected.lines().nth(line),
        found.lines().nth(line)
    );
}

#[test]
fn every_probe_answers_one_of_the_questions() {
    let there: BTreeSet<String> = CATALOGUE.iter().map(|probe| format!("{}:{}", probe.provider, probe.name)).collect();
    let listed: BTreeSet<String> = MINIMUM.iter().flat_map(|(_, probes)| *probes).map(|probe| (*probe).to_owned()).collect();
    assert_eq!(listed, there);
}
