//! What does the manual page say? What the help says, and the tables of keys and columns.

use crate::column::Screen;
use crate::keys;
use clap::Command;
use clap_mangen::Man;
use std::fmt::Write as _;
use std::io;

const CLOSING: &str = "\
.SH CONFIGURATION
\\fB\\-\\-config\\fR, or else \\fI$XDG_CONFIG_HOME/overlay/top.toml\\fR (\\fI~/.config\\fR without that variable), is a file in TOML. What it does not
say stays as it is; \\fBoverlay\\-top \\-\\-generate config\\fR prints all that there is.
.TP
[columns]
For a screen the names of the columns that it has, from the left on; those that do not fit are left out at the right.
.TP
[sort]
For a screen the column by which it is sorted at first; with a \\- in front the other way round.
.TP
[keys]
For an action its keys, which it then has instead of the usual ones. A key that belongs to another action has to be taken from that first. Keys with
Ctrl stay.
.SH ENVIRONMENT
.TP
NO_COLOR
Set and not empty: no colours; what is not as it should be is bold.
.TP
OVERLAY_ROOT
What is said with \\-\\-root otherwise.
.SH FILES
.TP
/run/overlay/overlayd.sock
Where overlayd is asked: root and members of its group may.
.SH \"SEE ALSO\"
\\fBoverlayd\\fR(8), \\fBoverlayadm\\fR(8), \\fBoverlay\\-snoop\\fR(1), \\fBbridge\\fR(8)
";

/// The page, in roff.
pub(crate) fn page(command: Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let man = Man::new(command).section("8");
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut extra = Vec::new();
    man.render_extra_section(&mut extra)?;
    let mut text = String::from_utf8_lossy(&page).into_owned();
    text.push_str(&sections(&String::from_utf8_lossy(&extra)));
    text.push_str(".SH KEYS\n");
    for (keys, does) in keys::Keys::default().all() {
        let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", escaped(&keys), escaped(does));
    }
    text.push_str(".SH COLUMNS\nNames as in filters, \\-\\-sort, JSON and CSV.\n");
    for screen in Screen::ALL {
        let names: Vec<&str> = screen.heads().iter().map(|head| head.name).collect();
        let _ = writeln!(text, ".TP\n\\fB{}\\fR\n{}", screen.name(), escaped(&names.join(", ")));
    }
    text.push_str(CLOSING);
    Ok(text.into_bytes())
}

/// What stands below the help, under its own headings and as it stands there.
fn sections(extra: &str) -> String {
    let mut text = String::new();
    for line in extra.lines().filter(|line| !line.is_empty()) {
        match line.strip_suffix(':').filter(|heading| !heading.starts_with(' ')) {
            Some(heading) => {
                text.push_str(if text.is_empty() { "" } else { ".fi\n" });
                let _ = writeln!(text, ".SH \"{}\"\n.nf", heading.to_uppercase());
            }
            // What stands before the first heading is roff's own.
            None if text.is_empty() => {}
            None => {
                let _ = writeln!(text, "{line}");
            }
        }
    }
    text + ".fi\n"
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::Flags;
    use clap::CommandFactory;

    #[test]
    fn the_page_has_keys_columns_and_examples() {
        let page = String::from_utf8(page(Flags::command()).unwrap()).unwrap();
        for heading in ["EXAMPLES", "FILTERS", "EXIT STATUS"] {
            assert_eq!(page.matches(&format!("\n.SH \"{heading}\"\n.nf\n")).count(), 1, "{heading}\n{page}");
        }
        assert_eq!(page.matches("\n.nf\n").count(), page.matches("\n.fi\n").count());
        assert!(page.contains("\n\\fBp, Space\\fR\npause, go on\n") && page.contains("\\fBdrops\\fR\nreason, overlay, vni, "), "{page}");
    }
}
