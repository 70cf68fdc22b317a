//! Does `docs/probes.md` say what the catalogue says? It is generated; `OVERLAY_UPDATE=1` writes it anew.

use overlay_probes::{CATALOGUE, Probe};
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
  `request`. A super-frame (GSO) is one frame.
- **Attach to a running program**, by `-p` or by path: what is started later, or with `-c`, is not seen by bpftrace 0.17. A probe name
  with a typing error counts 0 and is no error.
- **DTrace** puts the process id into the provider's name: `dtrace -p PID -n 'overlay$target:::drop { @[copyinstr(arg4)] = count(); }'`.

This page is generated from `probes/src/`; tests compare it with the notes in a built program and fire every probe under bpftrace.
";

fn reference() -> Result<String, fmt::Error> {
    let mut page = String::from(INTRODUCTION);
    writeln!(page, "\n## List\n\n| probe | fires when | arguments |\n|---|---|---|")?;
    for Probe { provider, name, fires, arguments, .. } in CATALOGUE {
        let names: Vec<&str> = arguments.iter().map(|argument| argument.name).collect();
        writeln!(page, "| [`{provider}:{name}`](#{provider}{name}) | {fires} | {} |", names.join(", "))?;
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
