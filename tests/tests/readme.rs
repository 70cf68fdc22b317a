//! Does the README show what really happens? Its console sessions are run, command by command.
//!
//! In a fenced block called `console`, a line that starts with `$ ` is a command, lines that start with `> ` go on with it, and the
//! lines below are what it prints; `...` stands for any lines. Commands run in a shell in the root of the workspace, with the built
//! programs first on the path. Those of cargo and git, which would build or fetch, are left out.

use overlay_tests::{Run, program, say, workspace};

/// Commands that a test must not run: it would build inside a build, or need the network.
const NOT_RUN: [&str; 3] = ["cargo ", "git clone ", "sudo "];

/// A command of a session and the lines below it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    expected: Vec<String>,
}

/// The sessions of a page, one after the other.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line {
            "```console" => inside = true,
            _ if line.starts_with("```") => inside = false,
            _ if !inside => {}
            _ => match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
                (Some(command), ..) => steps.push(Step { command: command.to_owned(), expected: Vec::new() }),
                (None, Some(more), Some(step)) if step.expected.is_empty() && step.command.ends_with('\\') => {
                    step.command.truncate(step.command.len() - 1);
                    step.command.push_str(more);
                }
                (None, _, Some(step)) => step.expected.push(line.to_owned()),
                (None, _, None) => panic!("a session starts with output: {line}"),
            },
        }
    }
    for step in &mut steps {
        // Empty lines before the next command are layout.
        while step.expected.last().is_some_and(|line| line.trim().is_empty()) {
            step.expected.pop();
        }
    }
    steps
}

/// Whether printed lines are the expected ones, where `...` is any number of lines.
fn matches(expected: &[String], printed: &[&str]) -> bool {
    match expected.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.trim() == "..." => (0..=printed.len()).any(|skipped| matches(rest, &printed[skipped..])),
        Some((first, rest)) => {
            printed.split_first().is_some_and(|(line, behind)| first.trim_end() == line.trim_end() && matches(rest, behind))
        }
    }
}

fn check(step: &Step) -> Result<(), String> {
    let programs = program("overlay-snoop");
    let path = format!("{}:{}", programs.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    let run = Run::new("sh").args(["-c", &format!("{{ {}\n}} 2>&1", step.command)]).folder(workspace());
    let ended = run.env("PATH", path).env("TZ", "UTC").env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8").end();
    let printed: Vec<&str> = ended.stdout.trim_end().lines().collect();
    if matches(&step.expected, &printed) {
        return Ok(());
    }
    Err(format!("$ {}\n--- the page\n{}\n--- printed\n{}\n", step.command, step.expected.join("\n"), ended.stdout.trim_end()))
}

#[test]
fn the_sessions_of_the_readme_are_what_happens() {
    let Ok(page) = std::fs::read_to_string(workspace().join("README.md")) else {
        return say("there is no README.md yet: nothing to compare");
    };
    let (run, left_out): (Vec<Step>, Vec<Step>) =
        steps(&page).into_iter().partition(|step| !NOT_RUN.iter().any(|word| step.command.starts_with(word)));
    assert!(!run.is_empty(), "README.md has no console session to run");
    let wrong: Vec<String> = run.iter().filter_map(|step| check(step).err()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} commands print something else ({} not run):\n{}",
        wrong.len(),
        run.len(),
        left_out.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_session_is_read_and_a_wrong_one_is_found() {
    let page =
        "text\n```console\n$ echo one; echo two\none\n...\n$ printf '%s\\n' \\\n> a b\na\nb\n\n$ echo x\ny\n```\n```sh\n$ not run\n```\n";
    let steps = steps(page);
    assert_eq!(steps.iter().map(|step| step.command.as_str()).collect::<Vec<_>>(), ["echo one; echo two", "printf '%s\\n' a b", "echo x"]);
    assert_eq!(check(&steps[0]), Ok(()));
    assert_eq!(check(&steps[1]), Ok(()));
    assert!(check(&steps[2]).is_err_and(|message| message.contains("--- printed\nx")));
}
