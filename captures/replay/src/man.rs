//! What does the manual page say? One page with all commands, each with its options and examples.

use clap::Command;
use clap_mangen::Man;
use std::io;

/// What no command says.
const CLOSING: &str = "\
.SH \"SEE ALSO\"
\\fBoverlay\\-snoop\\fR(1), \\fBoverlayadm\\fR(8), \\fBoverlayd\\fR(8), \\fBtcpdump\\fR(1)
";

/// The page, in roff.
pub(crate) fn page(mut command: Command) -> io::Result<Vec<u8>> {
    // Fills in what help texts are made of, the commands' full names among it.
    command.build();
    let mut page = Vec::new();
    Man::new(command.clone()).section("1").render(&mut page)?;
    // There is one page: commands are not pages of their own.
    let mut page = literal(&String::from_utf8_lossy(&page)).replace("overlay\\-replay\\-", "overlay\\-replay ").replace("(1)\n", "\n");
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        let name = format!("overlay-replay {}", sub.get_name());
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
            let heading = format!(".SH \"OVERLAY-REPLAY {}\"\n", command.get_name().to_uppercase());
            assert_eq!(page.matches(&heading).count(), 1, "{heading}");
        }
        assert!(page.contains("\n.SH \"EXIT STATUS\"\n") && page.contains("\n.SS EXAMPLES\n") && !page.contains("EXTRA"), "{page}");
        assert_eq!(page.matches("\n.nf\n").count(), page.matches("\n.fi\n").count());
        assert!(page.contains("\\-\\-vni\\-map") && page.contains("\n.SH \"SEE ALSO\"\n"), "{page}");
    }
}
