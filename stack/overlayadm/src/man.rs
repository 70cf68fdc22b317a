//! What does the manual page say? One page with all commands, each with its options and examples.

use clap::Command;
use std::io;

/// What no command says: files, environment, other pages.
const CLOSING: &str = "\
.SH FILES
.TP
/run/overlay/overlayd.sock
Where overlayd takes calls. It is of mode 0660: root and its group may connect.
.TP
/run/netns
The names of the network namespaces that a VNIC can be in (ip\\-netns(8)).
.SH ENVIRONMENT
.TP
OVERLAY_ROOT
What is said with \\-\\-root otherwise.
.SH \"SEE ALSO\"
\\fBoverlayd\\fR(8), \\fBoverlay\\-snoop\\fR(1), \\fBip\\-netns\\fR(8)
";

/// The page, in roff.
pub(crate) fn page(command: Command) -> io::Result<Vec<u8>> {
    overlay_manual::page(command, "8", CLOSING)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;
    use clap::CommandFactory;

    #[test]
    fn the_page_has_every_command_with_its_options() {
        let page = String::from_utf8(page(Flags::command()).unwrap()).unwrap();
        for command in Flags::command().get_subcommands() {
            let heading = format!(".SH \"OVERLAYADM {}\"\n", command.get_name().to_uppercase());
            assert_eq!(page.matches(&heading).count(), 1, "{heading}");
        }
        assert!(!page.contains("EXTRA") && !page.contains("\n.SH EXAMPLES:"), "{page}");
        assert!(
            page.contains("\n.TH overlayadm 8 ") && page.contains("\n.SH \"EXIT STATUS\"\n") && page.contains("\n.SS EXAMPLES\n"),
            "{page}"
        );
        for end in ["FILES", "ENVIRONMENT", "\"SEE ALSO\""] {
            assert_eq!(page.matches(&format!("\n.SH {end}\n")).count(), 1, "{end}");
        }
        assert_eq!(page.matches("\n.nf\n").count(), page.matches("\n.fi\n").count());
        assert!(page.contains("\\-\\-vnetid") && page.contains("\n.SS OPTIONS"), "{page}");
    }
}
