//! What does overlayd say about itself? What stands below its help, and the manual page and completions that are made of it.

use clap::Command;
use clap_mangen::Man;
use std::io::{self, Write};

/// What `--generate` makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum Generate {
    /// The man page.
    Man,
    /// Completions for bash.
    Bash,
    /// Completions for zsh.
    Zsh,
    /// Completions for fish.
    Fish,
}

/// Headings and what stands below them, in the help and in the page alike; at most 80 columns.
const SECTIONS: &[(&str, &str)] = &[
    (
        "Examples",
        "\
overlayd
overlayd --group netadmin      members of netadmin may change things, too
overlayd --root /tmp/host1     one of several hosts on this machine
overlayadm show-overlay -f     how the overlays are
curl --unix-socket /run/overlay/overlayd.sock http://localhost/v1/overlays
curl --unix-socket /run/overlay/overlayd.sock http://localhost/metrics",
    ),
    (
        "Files",
        "\
/run/overlay/overlayd.sock        calls, as HTTP and JSON; of mode 0660
/var/lib/overlay/overlayd.json    what is configured, written at every change
                                  and read at the start. One that is broken is
                                  set aside as overlayd.json.quarantine-N",
    ),
    (
        "Signals",
        "\
SIGTERM, SIGINT    end it; VNICs stay, with addresses and connections, and the
                   next overlayd takes them over",
    ),
    (
        "Rights",
        "\
CAP_NET_ADMIN and CAP_NET_RAW are needed, and CAP_SYS_ADMIN for VNICs and
underlays in other network namespaces. All others are given up at the start.",
    ),
    (
        "Exit status",
        "0  it was ended by a signal\n1  it cannot start or go on; the last line on stderr says why\n2  the command line is wrong",
    ),
];

/// What stands below the help.
pub(crate) fn below_help() -> String {
    let section = |(heading, text): &(&str, &str)| format!("{heading}:\n  {}", text.replace('\n', "\n  "));
    SECTIONS.iter().map(section).collect::<Vec<_>>().join("\n\n")
}

/// Writes the page or a shell's completions on standard output.
///
/// # Errors
/// When that cannot be written.
pub(crate) fn generate(mut command: Command, what: Generate) -> io::Result<()> {
    let shell = match what {
        Generate::Man => return io::stdout().write_all(&page(command)?),
        Generate::Bash => clap_complete::Shell::Bash,
        Generate::Zsh => clap_complete::Shell::Zsh,
        Generate::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "overlayd", &mut script);
    io::stdout().write_all(&script)
}

/// overlayd(8), in roff.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let man = Man::new(command).section("8");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for (heading, text) in SECTIONS {
        // As it stands: neither filled nor hyphenated, so that it can be copied. No line begins with a dot or a quote.
        let text = text.replace('\\', "\\e").replace('-', "\\-");
        write!(page, ".SH \"{}\"\n.nf\n{text}\n.fi\n", heading.to_uppercase())?;
    }
    write!(page, ".SH \"SEE ALSO\"\n\\fBoverlayadm\\fR(8), \\fBoverlay\\-snoop\\fR(1), \\fBip\\-netns\\fR(8)\n")?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;
    use clap::CommandFactory;

    #[test]
    fn page_and_help_have_the_same_sections() {
        let page = String::from_utf8(page(Flags::command()).unwrap()).unwrap();
        let help = Flags::command().render_long_help().to_string();
        for (heading, text) in SECTIONS {
            assert!(page.contains(&format!(".SH \"{}\"\n.nf\n", heading.to_uppercase())), "{heading}");
            assert!(help.contains(&format!("\n{heading}:\n  {}\n", text.lines().next().unwrap())), "{heading}: {help}");
            for line in text.lines() {
                assert!(line.len() <= 78, "{line}");
                assert!(!line.starts_with(['.', '\'']), "{line}: roff would take it for a request");
            }
        }
        assert!(page.starts_with(".") && page.contains(".TH overlayd 8") && page.contains("\\-\\-queues"), "{page}");
        assert!(!page.contains("generate"), "a hidden option is shown");
    }
}
