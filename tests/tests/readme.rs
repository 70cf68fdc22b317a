//! Does the README show what really happens? Its console sessions are run, command by command.
//!
//! In a fenced block called `console`, a line that starts with `$ ` is a command, lines that start with `> ` go on with it, and the
//! lines below are what it prints; `...` stands for any lines. Commands run in a shell in the root of the workspace, with the built
//! programs first on the path. Those of cargo and git, which would build or fetch, are left out.
//!
//! Behind `# ` stands what root types. Such a session is one shell from its first command to its last, in an empty folder and in
//! namespaces of its own, so that nothing of it is left, whatever it did.

use overlay_tests::{Run, is_root, program, say, skip, workspace};

/// Commands that a test must not run: it would build inside a build, or need the network.
const NOT_RUN: [&str; 3] = ["cargo ", "git clone ", "sudo "];

/// Ends what a step prints; no program prints it.
const MARK: char = '\u{1e}';

/// A command of a session and the lines below it.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    /// The line of the page where its session begins.
    session: usize,
    /// Whether root types it.
    root: bool,
    command: String,
    expected: Vec<String>,
}

/// The sessions of a page, one after the other.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut session) = (false, 0);
    for (number, line) in page.lines().enumerate() {
        match line {
            "```console" => (inside, session) = (true, number + 1),
            _ if line.starts_with("```") => inside = false,
            _ if !inside => {}
            _ => match (line.strip_prefix("$ ").or(line.strip_prefix("# ")), line.strip_prefix("> "), steps.last_mut()) {
                (Some(command), ..) => {
                    let root = line.starts_with('#');
                    steps.push(Step { session, root, command: command.to_owned(), expected: Vec::new() });
                }
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

/// With the programs first on the path, and what makes them print the same everywhere.
fn in_session(run: Run) -> Run {
    let programs = program("overlay-snoop");
    let path = format!("{}:{}", programs.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
    run.env("PATH", path).env("TZ", "UTC").env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8")
}

fn check(step: &Step) -> Result<(), String> {
    let run = Run::new("sh").args(["-c", &format!("{{ {}\n}} 2>&1", step.command)]).folder(workspace());
    let ended = in_session(run).end();
    let printed: Vec<&str> = ended.stdout.trim_end().lines().collect();
    if matches(&step.expected, &printed) {
        return Ok(());
    }
    Err(differs(step, ended.stdout.trim_end()))
}

fn differs(step: &Step, printed: &str) -> String {
    format!("$ {}\n--- the page\n{}\n--- printed\n{printed}\n", step.command, step.expected.join("\n"))
}

/// Runs a session of root to its end, in a shell whose interfaces, names of namespaces and processes are its own; what is wrong with it.
fn check_session(steps: &[Step]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let own = ["--net", "--mount", "--pid", "--fork", "--kill-child", "bash", "--norc"];
    let mut shell = in_session(Run::new("unshare").args(own).folder(folder.path())).start();
    shell.write(b"exec 2>&1; mount -t tmpfs none /run; ip link set lo up\n");
    let mut wrong = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        // A daemon gets ready before a person has typed the next command.
        let ready = match step.command.contains("overlayd --root host$n") {
            true => "for n in 1 2; do until test -S host$n/run/overlay/overlayd.sock; do sleep 0.05; done; done",
            false => "",
        };
        shell.write(format!("{{ {}\n}} </dev/null\n{ready}\nprintf '{MARK}'\n", step.command).as_bytes());
        let all = shell.wait_for(&step.command, |printed| printed.matches(MARK).count() > index);
        let printed = all.split(MARK).nth(index).unwrap_or_default();
        let steady = |lines: &mut dyn Iterator<Item = &str>| lines.map(steady).collect::<Vec<_>>();
        let (expected, found) = (steady(&mut step.expected.iter().map(String::as_str)), steady(&mut printed.trim_end().lines()));
        if !matches(&expected, &found.iter().map(String::as_str).collect::<Vec<_>>()) {
            wrong.push(differs(step, printed.trim_end()));
        }
    }
    wrong
}

/// A line without what is another one each time: times, and the numbers of pings.
fn steady(line: &str) -> String {
    let mut before = "";
    let word = |word| {
        let clock = |word: &str| word.contains('.') && word.matches(':').count() == 2;
        let shown = match word {
            word if clock(word) => "CLOCK",
            word if word.starts_with("time=") => "time=",
            _ if ["id", "seq"].contains(&before) => "NUMBER",
            word => word,
        };
        before = word;
        shown
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_sessions_of_the_readme_are_what_happens() {
    let Ok(page) = std::fs::read_to_string(workspace().join("README.md")) else {
        return say("there is no README.md yet: nothing to compare");
    };
    let (run, left_out): (Vec<Step>, Vec<Step>) =
        steps(&page).into_iter().partition(|step| !NOT_RUN.iter().any(|word| step.command.starts_with(word)));
    assert!(!run.is_empty(), "README.md has no console session to run");
    let (roots, others): (Vec<Step>, Vec<Step>) = run.into_iter().partition(|step| step.root);
    assert!(!roots.is_empty(), "README.md has no session of root");
    let wrong: Vec<String> = others.iter().filter_map(|step| check(step).err()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} commands print something else ({} not run):\n{}",
        wrong.len(),
        others.len(),
        left_out.len(),
        wrong.join("\n")
    );
}

#[test]
fn two_hosts_are_joined_as_the_readme_says() {
    if !is_root() {
        return skip("readme::two_hosts_are_joined_as_the_readme_says", "not root");
    }
    let page = std::fs::read_to_string(workspace().join("README.md")).expect("a README");
    let all: Vec<Step> = steps(&page).into_iter().filter(|step| step.root).collect();
    let wrong: Vec<String> = all.chunk_by(|one, next| one.session == next.session).flat_map(check_session).collect();
    assert!(wrong.is_empty(), "{} commands print something else:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_session_of_root_is_one_shell_and_a_wrong_one_is_found() {
    if !is_root() {
        return skip("readme::a_session_of_root_is_one_shell_and_a_wrong_one_is_found", "not root");
    }
    let page = "```console\n# kept=7; mkdir here; ip netns add blue\n# echo $kept; ls; ip netns\n7\nhere\nblue\n# echo id 12 time=0.5\nid 9 time=0.7\n# echo x\ny\n```\n";
    let steps = steps(page);
    assert!(steps.iter().all(|step| step.root && step.session == 1));
    let wrong = check_session(&steps);
    assert!(wrong.len() == 1 && wrong[0].contains("--- printed\nx"), "{wrong:?}");
    assert_eq!(
        steady("10:27:52.462630 a > b icmp echo request id 7 seq 1 len 32"),
        "CLOCK a > b icmp echo request id NUMBER seq NUMBER len 32"
    );
    assert_eq!(steady("vnic1 02:08:20:0a:00:01 1400"), "vnic1 02:08:20:0a:00:01 1400");
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
