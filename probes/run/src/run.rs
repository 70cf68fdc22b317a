//! How is a question asked? What was typed becomes a script with arguments, a process to watch, and a tracer that runs.

use crate::Refusal;
use crate::catalogue;
use crate::daemons::{Choice, Daemon, Found, find};
use crate::flags::{Flags, TracerFlag};
use crate::frames::Frames;
use crate::manual;
use crate::notes;
use crate::program;
use crate::question::{Language, Question, Questions};
use crate::tracer::{Tracer, may_trace, watch};
use overlay_api::Paths;
use std::io::{self, Write};
use std::process::Command;

/// A message of bpftrace that means nothing: it says it wherever it may not raise its limit of locked memory, and needs none.
const HARMLESS: &str = "couldn't set RLIMIT_MEMLOCK";

/// Does what was asked for.
///
/// # Errors
/// With one sentence for whatever stands in the way.
pub(crate) fn run(flags: &Flags) -> Result<(), Refusal> {
    let questions = Questions::of(flags.dir.as_deref());
    let mut stdout = io::stdout();
    if let Some(what) = flags.generate {
        return manual::generate(what, flags.of.as_deref(), &questions);
    }
    if flags.list {
        return Ok(stdout.write_all(manual::list(&questions.all()?).as_bytes())?);
    }
    if let Some(glob) = &flags.probes {
        return Ok(stdout.write_all(catalogue::listing(glob)?.as_bytes())?);
    }
    if let Some(name) = &flags.show {
        let language = if flags.tracer == Some(TracerFlag::Dtrace) { Language::Dtrace } else { Language::Bpftrace };
        return Ok(stdout.write_all(questions.find(name, language)?.script.as_bytes())?);
    }
    let name = flags.name.as_deref().unwrap_or_default();
    // Names and options are looked at before anything else, so that a mistake is told to everybody.
    let asked = questions.find(name, Language::Bpftrace).or_else(|refusal| match refusal {
        Refusal::Usage(_) => Err(refusal),
        _ => questions.find(name, Language::Dtrace),
    })?;
    check(flags, &asked)?;
    let tracer = Tracer::find(flags.tracer)?;
    if tracer.language == Language::Dtrace {
        check_dtrace(flags)?;
    }
    may_trace()?;
    let question = if asked.language == tracer.language { asked } else { questions.find(name, tracer.language)? };
    let (found, absent) = daemons_for(flags, &question)?;
    for sentence in &absent {
        say(&format!("{sentence}; its part of the question is left out"));
    }
    let command = match tracer.language {
        Language::Bpftrace => bpftrace(&tracer, flags, &question, &found)?,
        Language::Dtrace => dtrace(&tracer, flags, &question, &found),
    };
    let message = |line: &str| {
        if !line.contains(HARMLESS) {
            let _ = writeln!(io::stderr(), "{line}");
        }
    };
    match &flags.write {
        Some(file) => {
            let mut frames = Frames::create(file, flags.vni, flags.mac)?;
            watch(command, |line| frames.line(line), message)?;
            let sentence = frames.finish()?;
            say(&sentence);
            Ok(())
        }
        None => {
            let mut lines = Lines { json: flags.json, blank: true };
            watch(command, |line| lines.print(line), message)
        }
    }
}

/// Whether a question takes the options that were given.
fn check(flags: &Flags, question: &Question) -> Result<(), Refusal> {
    let Question { name, .. } = question;
    for (option, given) in [("--vni", flags.vni.is_some()), ("--mac", flags.mac.is_some()), ("-w", flags.write.is_some())] {
        if given && !question.takes(option) {
            return Err(Refusal::Usage(format!("{name} does not take {option}; its usage is\n{}", question.section("USAGE"))));
        }
    }
    if flags.tracer == Some(TracerFlag::Dtrace) {
        check_dtrace(flags)?;
    }
    if flags.vni.is_some_and(|vni| vni.get() == 0) {
        return Err(Refusal::Usage(
            "--vni 0: to the scripts, 0 stands for every network; leave it out and look for 0 in what is printed".to_owned(),
        ));
    }
    Ok(())
}

/// Whether the options are some that DTrace can do.
fn check_dtrace(flags: &Flags) -> Result<(), Refusal> {
    if flags.json {
        return Err(Refusal::Usage("--json is bpftrace's: DTrace prints text only".to_owned()));
    }
    if flags.write.is_some() {
        let why = "the time that DTrace prints is not since boot; without -w, frames prints text";
        return Err(Refusal::Usage(format!("-w is bpftrace's: {why}")));
    }
    Ok(())
}

/// The processes to watch. Kernel's questions watch none.
fn daemons_for(flags: &Flags, question: &Question) -> Result<(Vec<Found>, Vec<String>), Refusal> {
    let wanted: Vec<Daemon> = Daemon::BOTH.into_iter().filter(|daemon| question.watches(daemon.provider())).collect();
    if wanted.is_empty() {
        if flags.root.is_some() || !flags.pid.is_empty() {
            return Err(Refusal::Usage(format!("{} asks the kernel: --root and --pid choose nothing", question.name)));
        }
        return Ok((Vec::new(), Vec::new()));
    }
    let variable = std::env::var_os(overlay_api::paths::ROOT_VARIABLE).filter(|text| !text.is_empty());
    let choice = if !flags.pid.is_empty() {
        Choice::Pids(&flags.pid)
    } else if flags.root.is_some() || variable.is_some() {
        Choice::Root(Paths::chosen(flags.root.clone(), variable))
    } else {
        Choice::Any
    };
    find(&choice, &wanted)
}

/// Arguments of a script, up to the last one that says something: interval, count, network, MAC.
fn arguments(flags: &Flags) -> Vec<String> {
    let number = |value: Option<u32>| value.unwrap_or_default().to_string();
    // A capture is chosen from when it is written, where the MACs are known.
    let mac = flags.mac.filter(|_| flags.write.is_none());
    let mut all = vec![number(flags.interval), number(flags.count), number(flags.vni.map(|vni| vni.get()))];
    match mac {
        Some(mac) => all.push(mac.to_string()),
        None => all.truncate(all.iter().rposition(|argument| argument != "0").map_or(0, |last| last + 1)),
    }
    // One interval is what somebody wants who gives none to end after: totals so far, for ever.
    all
}

fn bpftrace(tracer: &Tracer, flags: &Flags, question: &Question, found: &[Found]) -> Result<Command, Refusal> {
    let kernels = program::pids_are_the_kernels();
    let mut command = Command::new(&tracer.program);
    command.args(["-B", "line", "--no-warnings"]);
    if flags.json {
        command.args(["-f", "json"]);
    }
    let script = built_in(question, found)?;
    let mut script = match found {
        [] => script,
        [one] if !Daemon::BOTH.iter().all(|daemon| question.watches(daemon.provider())) => {
            command.args(["-p", &one.pid.to_string()]);
            script
        }
        several => program::join(&script, several, kernels).map_err(Refusal::Failed)?,
    };
    if kernels {
        script.push_str(&program::ends_with(std::process::id()));
    }
    // What somebody has set is meant.
    for (variable, needed) in [("BPFTRACE_STRLEN", question.text_bytes()), ("BPFTRACE_MAP_KEYS_MAX", question.map_keys())] {
        if let (Some(needed), None) = (needed, std::env::var_os(variable)) {
            command.env(variable, needed);
        }
    }
    command.arg("-e").arg(script).args(arguments(flags));
    Ok(command)
}

/// The script as far as the daemons have its probes.
fn built_in(question: &Question, found: &[Found]) -> Result<String, Refusal> {
    let notes: Vec<_> = found.iter().filter_map(|found| Some((found, notes::of_process(found.pid)?))).collect();
    // What cannot be read is left to the tracer's own sentence.
    let has = |provider: &str, name: &str| {
        let of = notes.iter().find(|(found, _)| found.daemon.provider() == provider);
        of.is_none_or(|(_, probes)| probes.contains(&(provider.to_owned(), name.to_owned())))
    };
    let is_alone = found.iter().all(|found| found.daemon != Daemon::Varpd);
    let whole = if is_alone { question.without_varpd() } else { &question.script };
    let (script, missing) = program::without(whole, has);
    if !missing.is_empty() {
        let names = missing.into_iter().collect::<Vec<_>>().join(", ");
        if !script.contains("usdt:*:") {
            return Err(Refusal::Failed(format!("the daemons that run were built without {names}: nothing is left of {}", question.name)));
        }
        say(&format!("the daemons that run were built without {names}; that part of the question is left out"));
    }
    Ok(script)
}

fn dtrace(tracer: &Tracer, flags: &Flags, question: &Question, found: &[Found]) -> Command {
    let mut command = Command::new(&tracer.program);
    // -Z: a daemon that does not run has no probes, and that is no mistake.
    command.args(["-Z", "-n", &question.script]);
    let pid = |daemon| found.iter().find(|found| found.daemon == daemon).map_or(0, |found| found.pid).to_string();
    match found {
        [one] if question.script.contains("$target") => {
            command.args(["-p", &one.pid.to_string()]);
        }
        _ => {
            command.args(Daemon::BOTH.map(pid));
        }
    }
    command.args(arguments(flags));
    command
}

/// What is printed: the tracer's lines, without those that say nothing.
struct Lines {
    json: bool,
    /// Whether the line before was empty.
    blank: bool,
}

impl Lines {
    fn print(&mut self, line: &str) -> Result<(), Refusal> {
        let blank = line.trim().is_empty();
        if (blank && (self.json || self.blank)) || line.starts_with("Attaching ") {
            return Ok(());
        }
        self.blank = blank;
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")?;
        Ok(stdout.flush()?)
    }
}

fn say(sentence: &str) {
    let _ = writeln!(io::stderr(), "overlay-trace: {sentence}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn flags(words: &[&str]) -> Flags {
        Flags::try_parse_from(["overlay-trace"].iter().chain(words)).unwrap()
    }

    #[test]
    fn arguments_keep_their_places() {
        assert_eq!(arguments(&flags(&["drops"])), [""; 0]);
        assert_eq!(arguments(&flags(&["drops", "2"])), ["2"]);
        assert_eq!(arguments(&flags(&["drops", "2", "5"])), ["2", "5"]);
        assert_eq!(arguments(&flags(&["drops", "--vni", "77"])), ["0", "0", "77"]);
        assert_eq!(arguments(&flags(&["drops", "--mac", "2:8:20:a:0:1"])), ["0", "0", "0", "02:08:20:0a:00:01"]);
    }

    #[test]
    fn an_option_that_a_question_does_not_take_is_refused_with_its_usage() {
        let asked = |name: &str| Questions::of(None).find(name, Language::Bpftrace).unwrap();
        for (words, name) in
            [(&["batches", "--vni", "77"][..], "batches"), (&["drops", "-w", "x"], "drops"), (&["calls", "--mac", "2:0:0:0:0:1"], "calls")]
        {
            let refusal = check(&flags(words), &asked(name)).unwrap_err();
            assert!(matches!(&refusal, Refusal::Usage(text) if text.contains("overlay-trace ")), "{refusal:?}");
        }
        assert!(check(&flags(&["drops", "--vni", "0"]), &asked("drops")).is_err());
        let refusal = check(&flags(&["--tracer", "dtrace", "frames", "-w", "x"]), &asked("frames")).unwrap_err();
        assert!(matches!(&refusal, Refusal::Usage(text) if text.starts_with("-w is bpftrace's")), "{refusal:?}");
        assert!(check(&flags(&["frames", "-w", "x", "--mac", "2:0:0:0:0:1"]), &asked("frames")).is_ok());
    }

    #[test]
    fn the_kernel_is_no_process() {
        let question = Questions::of(None).find("kernel-drops", Language::Bpftrace).unwrap();
        assert!(daemons_for(&flags(&["kernel-drops", "--pid", "1"]), &question).is_err());
    }
}
