//! What does the manual page of a program with commands say? One page with all of them, each with its options and examples.
//!
//! clap_mangen makes a page of a command. Here the pages of all commands become sections of their program's, and what stands below a help
//! text stands there as it is, under its own headings.
#![forbid(unsafe_code)]

use clap::Command;
use clap_mangen::Man;
use std::io;

/// The page, in roff: of `command` with all its commands, in this section of the manual; `closing` is what no command says, in roff too.
///
/// # Errors
/// Those of writing into memory: none.
pub fn page(mut command: Command, section: &str, closing: &str) -> io::Result<Vec<u8>> {
    // Fills in what help texts are made of, the commands' full names among it.
    command.build();
    let program = command.get_name().to_owned();
    let escaped = program.replace('-', "\\-");
    let mut page = Vec::new();
    Man::new(command.clone()).section(section).render(&mut page)?;
    // There is one page: commands are not pages of their own.
    let mut page = literal(&String::from_utf8_lossy(&page)).replace(&format!("{escaped}\\-"), &format!("{escaped} "));
    page = page.replace(&format!("({section})\n"), "\n");
    sections(&command, &program, &mut page)?;
    page.push_str(closing);
    Ok(page.into_bytes())
}

/// The commands of a command, each a section, and behind it those that it has itself.
fn sections(command: &Command, name: &str, page: &mut String) -> io::Result<()> {
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        let name = format!("{name} {}", sub.get_name());
        let man = Man::new(sub.clone().display_name(name.clone()));
        let mut part = Vec::new();
        man.render_synopsis_section(&mut part)?;
        man.render_description_section(&mut part)?;
        man.render_options_section(&mut part)?;
        man.render_extra_section(&mut part)?;
        page.push_str(&format!(".SH \"{}\"\n", name.to_uppercase()));
        // Sections of a page of its own are parts of a section here.
        page.push_str(&literal(&String::from_utf8_lossy(&part)).replace("\n.SH ", "\n.SS "));
        sections(sub, &name, page)?;
    }
    Ok(())
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
