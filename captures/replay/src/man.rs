//! What does the manual page say? One page with all commands, each with its options and examples.

use clap::Command;
use std::io;

/// What no command says.
const CLOSING: &str = "\
.SH \"SEE ALSO\"
\\fBoverlay\\-snoop\\fR(1), \\fBoverlayadm\\fR(8), \\fBoverlayd\\fR(8), \\fBtcpdump\\fR(1)
";

/// The page, in roff.
pub(crate) fn page(command: Command) -> io::Result<Vec<u8>> {
    overlay_manual::page(command, "1", CLOSING)
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
            let heading = format!(".SH \"OVERLAY-REPLAY {}\"\n", command.get_name().to_uppercase());
            assert_eq!(page.matches(&heading).count(), 1, "{heading}");
        }
        assert!(page.contains("\n.SH \"EXIT STATUS\"\n") && page.contains("\n.SS EXAMPLES\n") && !page.contains("EXTRA"), "{page}");
        assert_eq!(page.matches("\n.nf\n").count(), page.matches("\n.fi\n").count());
        assert!(page.contains("\\-\\-vni\\-map") && page.contains("\n.SH \"SEE ALSO\"\n"), "{page}");
    }
}
