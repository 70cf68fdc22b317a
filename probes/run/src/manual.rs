//! What do the manual pages say? overlay-trace's is made of its options; a question's of the header of its script.

use crate::Refusal;
use crate::flags::{Flags, Generate};
use crate::question::{Language, Question, Questions};
use clap::CommandFactory;
use clap_mangen::Man;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

/// What stands below the help, and in the page.
pub(crate) const EXAMPLES: &str = "\
Examples:
  overlay-trace --list                     which questions there are
  overlay-trace drops                      why packets are dropped, till Ctrl-C
  overlay-trace talkers 5 12 --vni 77      who talks in network 77: totals each
                                           5 seconds, for a minute
  overlay-trace path 10 1 --mac 02:08:20:0a:00:01
  overlay-trace frames -w /tmp/f.pcapng    what is in the frames
  overlay-trace --probes 'lookup*'         probes, and what they say
  overlay-trace --show drops > my.bt       a script to begin with (--dir)

Exit status:
  0  the question was answered
  1  it cannot be: no tracer, no daemon, no right; stderr says what
  2  the command line is wrong";

/// A line for each question.
pub(crate) fn list(questions: &[Question]) -> String {
    let widest = questions.iter().map(|question| question.name.len()).max().unwrap_or_default();
    let mut text = String::new();
    for Question { name, asks, .. } in questions {
        let _ = writeln!(text, "{name:<widest$}  {asks}");
    }
    text
}

/// Writes a page or a shell's completions on standard output.
pub(crate) fn generate(what: Generate, of: Option<&str>, questions: &Questions<'_>) -> Result<(), Refusal> {
    let mut command = Flags::command();
    let shell = match (what, of) {
        (Generate::Man, Some(name)) => {
            return Ok(io::stdout().write_all(page_of(&questions.find(name, Language::Bpftrace)?).as_bytes())?);
        }
        (Generate::Man, None) => return Ok(io::stdout().write_all(page(&questions.all()?)?.as_bytes())?),
        (Generate::Bash, _) => clap_complete::Shell::Bash,
        (Generate::Zsh, _) => clap_complete::Shell::Zsh,
        (Generate::Fish, _) => clap_complete::Shell::Fish,
    };
    // Those of this program; a folder's scripts are typed as they are.
    let built = |name| if let Cow::Borrowed(name) = name { Some(name) } else { None };
    let names: Vec<&str> = questions.names()?.into_iter().filter_map(built).collect();
    command = command.mut_arg("name", |argument| argument.value_parser(clap::builder::PossibleValuesParser::new(names)));
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "overlay-trace", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

/// overlay-trace(8), in roff.
fn page(questions: &[Question]) -> io::Result<String> {
    let man = Man::new(Flags::command()).section("8");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut page = String::from_utf8_lossy(&page).into_owned();
    section(&mut page, "QUESTIONS", &list(questions));
    for part in EXAMPLES.split("\n\n") {
        let (heading, text) = part.split_once(":\n").unwrap_or(("NOTES", part));
        section(&mut page, &heading.to_uppercase(), text);
    }
    page.push_str(".SH \"SEE ALSO\"\n");
    let pages = questions.iter().map(|question| format!("\\fBoverlay\\-trace\\-{}\\fR(8)", roff(&question.name)));
    let pages: Vec<String> = pages.chain(["overlayd", "varpd", "bpftrace"].map(|name| format!("\\fB{name}\\fR(8)"))).collect();
    page.push_str(&pages.join(", "));
    page.push('\n');
    Ok(page)
}

/// A question's page, in roff.
pub(crate) fn page_of(question: &Question) -> String {
    let Question { name, asks, sections, .. } = question;
    let mut page = format!(
        ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n.TH overlay-trace-{name} 8 \"\" \"overlay-trace {}\"\n.SH NAME\noverlay\\-trace\\-{} \\- {}\n",
        env!("CARGO_PKG_VERSION"),
        roff(name),
        roff(asks)
    );
    for (heading, text) in sections {
        section(&mut page, heading, text);
    }
    page.push_str(".SH \"SEE ALSO\"\n\\fBoverlay\\-trace\\fR(8), \\fBbpftrace\\fR(8)\n");
    page
}

/// A section as it stands: neither filled nor hyphenated, so that it can be copied.
fn section(page: &mut String, heading: &str, text: &str) {
    let _ = writeln!(page, ".SH \"{heading}\"\n.nf");
    for line in text.trim_end().lines() {
        // A dot or a quote at the start of a line would be a request.
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        let _ = writeln!(page, "{guard}{}", roff(line));
    }
    page.push_str(".fi\n");
}

fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn questions() -> Vec<Question> {
        Questions::of(None).all().unwrap()
    }

    #[test]
    fn the_page_has_options_questions_and_examples() {
        let page = page(&questions()).unwrap();
        for part in [".TH overlay-trace 8", "\\-\\-vni", ".SH \"QUESTIONS\"", ".SH \"EXAMPLES\"", ".SH \"EXIT STATUS\"", "\ntalkers "] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("generate"), "a hidden option is shown");
        assert!(EXAMPLES.lines().all(|line| line.chars().count() <= 80));
    }

    #[test]
    fn a_questions_page_has_all_its_sections() {
        for question in questions() {
            let page = page_of(&question);
            for (heading, _) in &question.sections {
                assert!(page.contains(&format!("\n.SH \"{heading}\"\n.nf\n")), "{heading}: {page}");
            }
            assert_eq!(page.matches("\n.nf\n").count(), page.matches("\n.fi\n").count());
        }
    }

    /// The part of probes/README.md that is made of the headers; `OVERLAY_UPDATE=1` writes it anew.
    #[test]
    fn the_readme_has_a_row_and_a_sample_for_every_question() {
        const BEGIN: &str = "<!-- questions: made of the scripts' headers -->\n";
        const END: &str = "<!-- end of questions -->\n";
        let mut made = String::from("\n| question | script | also in D |\n|---|---|---|\n");
        for Question { name, asks, .. } in &questions() {
            let file =
                name.strip_prefix("kernel-").map_or_else(|| format!("bpftrace/{name}.bt"), |name| format!("bpftrace/kernel/{name}.bt"));
            let d = if name.starts_with("kernel-") { "no".to_owned() } else { format!("[{name}.d](dtrace/{name}.d)") };
            let _ = writeln!(made, "| [{asks}](#{name}) | [{file}]({file}) | {d} |");
        }
        for question in &questions() {
            let _ = writeln!(made, "\n### {}\n\n{}", question.name, question.asks);
            let _ = writeln!(made, "\n```console\n{}\n```", question.section("SAMPLE"));
            let _ = writeln!(made, "\n*Overhead.* {}", question.section("OVERHEAD").split_whitespace().collect::<Vec<_>>().join(" "));
        }
        made.push('\n');
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let page = std::fs::read_to_string(&path).expect("probes/README.md is there");
        let (before, rest) = page.split_once(BEGIN).expect("the README says where the questions begin");
        let (found, after) = rest.split_once(END).expect("the README says where the questions end");
        if found != made && std::env::var_os("OVERLAY_UPDATE").is_some_and(|value| value == "1") {
            std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{after}")).expect("probes/README.md can be written");
        } else {
            assert!(found == made, "probes/README.md is not what the headers say; OVERLAY_UPDATE=1 writes it anew");
        }
    }
}
