//! What does the manual page say? One page with all commands, each with its options and examples.

use clap::Command;
use clap_mangen::Man;
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
pub(crate) fn page(mut command: Command) -> io::Result<Vec<u8>> {
    // Fills in what help texts are made of, the commands' full names among it.
    command.build();
    let mut page = Vec::new();
    Man::new(command.clone()).section("8").render(&mut page)?;
    // There is one page: commands are not pages of their own.
    let mut page = literal(&String::from_utf8_lossy(&page)).replace("overlayadm\\-", "overlayadm ").replace("(8)\n", "\n");
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        let name = format!("overlayadm {}", sub.get_name());
        let man = Man::new(sub.clone().display_name(name.clone()));
        let mut part = Vec::new();
        man.render_synopsis_section(&mut part)?;
        man.render_description_section(&mut part)?;
        man.render_options_section(&mut part)?;
        man.render_extra_section(&mut part)?;
        page.push_str(&format!(".SH \"{}\"\n", name.to_uppercase()));
        // Sections of a page of its own are parts of a section here.
        page.push_str(&literal(&String::from_utf8_lossy(&part)).replace("\n.SH ", "\n.SS "));
    }
    page.push_str(CLOSING);
    Ok(page.into_bytes())
}

/// With what stands below the help as it stands there, under its own headings: neither filled nor hyphenated, so that it can be copied.
fn literal(page: &str) -> String {
    let Some((before, extra)) = page.split_once("\n.SH EXTRA\n") else { return page.to_owned() };
    let (extra, after) = extra.find("\n.SH ").map_or((extra.trim_end(), "\n"), |end| extra.split_at(end));
    let mut text = format!("{before}\n");
    let mut open = false;
    for line in extra.lines() {
        let heading = line.strip_suffix(':').filter(|heading| !heading.starts_with(' '));
        let heading = heading.or((!open && !line.is_empty()).then_some("Notes"));
        if let Some(heading) = heading {
            text.push_str(if open { ".fi\n" } else { "" });
            let heading = heading.to_uppercase();
            let heading = if heading.contains(' ') { format!("\"{heading}\"") } else { heading };
            text.push_str(&format!(".SH {heading}\n.nf\n"));
            open = true;
        }
        if !line.ends_with(':') || line.starts_with(' ') {
            text.push_str(line);
            text.push('\n');
        }
    }
    // A section begins on a line of its own.
    text.push_str(".fi");
    text + after
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
