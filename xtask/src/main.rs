//! What can be done with this repository? `cargo xtask help` lists it.
//!
//! Standard library only, so that this builds on a machine that has nothing but cargo: it then installs what the
//! other crates need. Nothing here is part of the suite; it calls cargo and the built programs.

// A task runner talks to the person who started it: stdout and stderr are its interface.
#![allow(clippy::print_stdout, clippy::print_stderr)]
#![forbid(unsafe_code)]

mod bench;
mod demo;
mod dist;
mod fresh;
mod fuzz;
mod install;
mod run;
mod test;

use std::process::ExitCode;

use run::{Outcome, Workspace};

/// A subcommand. One row of [`TASKS`] each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Demo,
    Test,
    Bench,
    Fuzz,
    Fresh,
    Dist,
    Help,
}

/// How a subcommand is called and what it does: the help text, and the list in a refusal.
struct Usage {
    task: Task,
    word: &'static str,
    arguments: &'static str,
    does: &'static str,
}

const TASKS: &[Usage] = &[
    Usage {
        task: Task::Demo,
        word: "demo",
        arguments: "",
        does: "show the suite at work: on captures, live, and with an overlay between two hosts",
    },
    Usage { task: Task::Test, word: "test", arguments: "[--quick]", does: "run every check; --quick leaves out the end-to-end tests" },
    Usage {
        task: Task::Bench,
        word: "bench",
        arguments: "[NAME [OPTION..]]",
        does: "measure and write docs/benchmarks.md; names: decode, live, engine, lookup, table, etcd, replay, top, datapath, probes (the last five: --quick)",
    },
    Usage {
        task: Task::Fuzz,
        word: "fuzz",
        arguments: "[--coverage] [SECONDS] [TARGET]",
        does: "feed random input to every fuzz target, 60 seconds each; --coverage uses libFuzzer with AddressSanitizer",
    },
    Usage { task: Task::Fresh, word: "fresh", arguments: "[--quick]", does: "clone HEAD into an empty folder and test it there" },
    Usage { task: Task::Dist, word: "dist", arguments: "", does: "build the release archive: programs, man pages, completions, units" },
    Usage { task: Task::Help, word: "help", arguments: "", does: "print this list" },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            if !message.is_empty() {
                eprintln!("xtask: {message}");
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Outcome {
    let (word, rest) = match arguments.split_first() {
        Some((word, rest)) => (word.as_str(), rest),
        None => ("help", arguments),
    };
    let task = task_named(word)?;
    if task == Task::Help || rest.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{}", help());
        return Ok(());
    }
    let workspace = Workspace::find()?;
    match task {
        Task::Demo => {
            no_arguments(word, rest)?;
            demo::run(&workspace)
        }
        Task::Test => test::run(&workspace, test::Tier::from_arguments(word, rest)?),
        Task::Bench => bench::run(&workspace, rest),
        Task::Fuzz => fuzz::run(&workspace, rest),
        Task::Fresh => fresh::run(&workspace, test::Tier::from_arguments(word, rest)?),
        Task::Dist => {
            no_arguments(word, rest)?;
            dist::run(&workspace)
        }
        Task::Help => Ok(()),
    }
}

fn task_named(word: &str) -> Outcome<Task> {
    match word {
        "--help" | "-h" => Ok(Task::Help),
        _ => TASKS.iter().find(|usage| usage.word == word).map(|usage| usage.task).ok_or_else(|| {
            let known: Vec<&str> = TASKS.iter().map(|usage| usage.word).collect();
            format!("`{word}` is not a task; there are: {}", known.join(", "))
        }),
    }
}

fn no_arguments(word: &str, rest: &[String]) -> Outcome {
    match rest.first() {
        None => Ok(()),
        Some(found) => Err(format!("`{word}` takes no arguments, found `{found}`")),
    }
}

fn help() -> String {
    let mut text = String::from("Usage: cargo xtask TASK\n\n");
    for usage in TASKS {
        let call = format!("{} {}", usage.word, usage.arguments);
        text.push_str(&format!("  {call:<37} {}\n", usage.does));
    }
    text.push_str("\ndemo, test, bench, fuzz and dist first install what is missing (apt-get, through sudo when not root).\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_does_not_exist_is_refused_with_the_list_of_those_that_do() {
        let refusal = task_named("soak").unwrap_err();
        assert_eq!(refusal, "`soak` is not a task; there are: demo, test, bench, fuzz, fresh, dist, help");
    }

    #[test]
    fn help_has_a_line_for_every_task() {
        let help = help();
        for usage in TASKS {
            assert!(help.lines().any(|line| line.trim_start().starts_with(usage.word)), "no line for {}:\n{help}", usage.word);
        }
    }
}
