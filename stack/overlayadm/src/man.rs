//! What does the manual page say? One page with all commands, each with its options.

use clap::Command;
use clap_mangen::Man;
use std::io;

/// The page, in roff.
pub(crate) fn page(mut command: Command) -> io::Result<Vec<u8>> {
    // Fills in what help texts are made of, the commands' full names among it.
    command.build();
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    // There is one page: commands are not pages of their own.
    let mut page = literal(&String::from_utf8_lossy(&page)).replace("overlayadm\\-", "overlayadm ").replace("(1)\n", "\n");
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
    Ok(page.into_bytes())
}

/// With the examples as they stand: neither filled nor hyphenated, so that they can be copied.
fn literal(page: &str) -> String {
    let Some((before, extra)) = page.split_once("\n.SH EXTRA\n") else { return page.to_owned() };
    let (extra, after) = extra.find("\n.SH ").map_or((extra.trim_end(), "\n"), |end| extra.split_at(end));
    format!("{before}\n.SH NOTES\n.nf\n{extra}\n.fi{after}")
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
        assert!(!page.contains("EXTRA") && !page.contains("(1)\n"), "{page}");
        assert_eq!(page.matches("\n.nf\n").count(), page.matches("\n.fi\n").count());
        assert!(page.contains("\\-\\-vnetid") && page.contains("\n.SS OPTIONS"), "{page}");
    }
}
