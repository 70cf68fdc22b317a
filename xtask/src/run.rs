//! Where is the repository, and how is a program run in it?
//!
//! Every child is started in our own process group, so the terminal's Ctrl-C reaches it at the same time as us, and
//! every exit status is looked at.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What a task gives: nothing, or one sentence that says what went wrong (empty when it has been said).
pub(crate) type Outcome<T = ()> = Result<T, String>;

/// A binary of the suite.
pub(crate) struct Program {
    /// Its name.
    pub(crate) name: &'static str,
    /// The package that it is built from.
    pub(crate) package: &'static str,
    /// The section of its manual page: 1 for everybody, 8 for administrators (man-pages(7)).
    pub(crate) section: u8,
    /// What the system is told of it: a file below the root of the repository, and its place below the prefix.
    pub(crate) system: &'static [(&'static str, &'static str)],
}

/// The binaries of the suite.
pub(crate) const PROGRAMS: &[Program] = &[
    Program { name: "overlay-snoop", package: "overlay-snoop", section: 1, system: &[] },
    Program { name: "overlay-top", package: "overlay-top", section: 8, system: &[] },
    Program { name: "overlay-replay", package: "overlay-replay", section: 1, system: &[] },
    Program {
        name: "overlayd",
        package: "overlayd",
        section: 8,
        system: &[("stack/overlayd/overlayd.service", "lib/systemd/system/overlayd.service")],
    },
    Program { name: "overlayadm", package: "overlayadm", section: 8, system: &[] },
    Program { name: "overlay-trace", package: "overlay-trace", section: 8, system: &[] },
    Program {
        name: "varpd",
        package: "overlay-varpd",
        section: 1,
        system: &[
            ("stack/varpd/varpd.service", "lib/systemd/system/varpd.service"),
            ("stack/varpd/varpd.sysusers", "lib/sysusers.d/overlay.conf"),
            // For whoever writes a plugin.
            ("stack/varpd/include/varpd_plugin.h", "include/varpd_plugin.h"),
            ("stack/varpd/include/varpd_plugin.h", "share/doc/overlay/stack/varpd/include/varpd_plugin.h"),
            ("stack/varpd/include/varpd_plugin.rs", "share/doc/overlay/stack/varpd/include/varpd_plugin.rs"),
            ("stack/varpd/overlay-varpd-plugin.pc", "lib/pkgconfig/overlay-varpd-plugin.pc"),
            ("stack/varpd/varpd_plugin.7", "share/man/man7/varpd_plugin.7"),
            ("stack/varpd/examples/c/template.c", "share/doc/overlay/stack/varpd/examples/c/template.c"),
            ("stack/varpd/examples/c/fixed.c", "share/doc/overlay/stack/varpd/examples/c/fixed.c"),
            ("stack/varpd/examples/rust/responder.rs", "share/doc/overlay/stack/varpd/examples/rust/responder.rs"),
            ("stack/varpd/examples/rust/safe.rs", "share/doc/overlay/stack/varpd/examples/rust/safe.rs"),
        ],
    },
];

/// The folders of one checkout.
pub(crate) struct Workspace {
    /// The folder of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// The workspace that holds this crate.
    ///
    /// Asked at run time, not compiled in: a target folder shared by two checkouts must not send one into the other.
    pub(crate) fn find() -> Outcome<Self> {
        let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(folder) => PathBuf::from(folder),
            None => std::env::current_dir().map_err(|error| format!("the current folder cannot be read: {error}"))?,
        };
        let root = start
            .ancestors()
            .find(|folder| folder.join("Cargo.toml").is_file() && folder.join("xtask").is_dir())
            .ok_or_else(|| format!("no workspace found at or above {}; run this as `cargo xtask`", start.display()))?
            .to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A program to be run in the root.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The same cargo that runs us.
    pub(crate) fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments);
        command
    }

    /// Builds all programs of the suite for release; returns the folder they are in.
    pub(crate) fn build_programs(&self) -> Outcome<PathBuf> {
        let mut command = self.cargo(&["build", "--release"]);
        for Program { name, package, .. } in PROGRAMS {
            command.args(["--package", package, "--bin", name]);
        }
        checked(&mut command)?;
        Ok(self.target.join("release"))
    }

    /// A path as it is written in output: relative to the root where it is below it.
    pub(crate) fn shown(&self, path: &Path) -> String {
        if let Ok(below) = path.strip_prefix(&self.target) {
            return Path::new("target").join(below).display().to_string();
        }
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// Prints the command, runs it with our stdin, stdout and stderr, and insists on success.
pub(crate) fn checked(command: &mut Command) -> Outcome {
    println!("$ {}", line_of(command));
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    succeeded(command, status)
}

/// Runs a command quietly and gives its stdout; its stderr is part of the error.
pub(crate) fn output_of(command: &mut Command) -> Outcome<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| cannot_start(command, &error))?;
    succeeded(command, output.status).map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a command could be started and left with status 0; its output is thrown away.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// An exit status as a result.
pub(crate) fn succeeded(command: &Command, status: ExitStatus) -> Outcome {
    if status.success() { Ok(()) } else { Err(format!("`{}` failed ({status})", line_of(command))) }
}

/// The sentence for a program that could not be started.
pub(crate) fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("`{}` cannot be started: {error}", command.get_program().to_string_lossy())
}

/// A command as it could be typed: the program's name without its folder, arguments quoted where a shell needs it.
pub(crate) fn line_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut line = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&quoted(&argument.to_string_lossy()));
    }
    line
}

/// One word for a shell.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Announces a step, runs it, and says how long it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    println!("\n== {name}");
    let begun = Instant::now();
    let result = work();
    let verdict = if result.is_ok() { "done" } else { "FAILED" };
    println!("== {name}: {verdict} in {}", seconds(begun.elapsed()));
    result
}

/// `12.3 s`, `4 min 05 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole < 60 { format!("{:.1} s", duration.as_secs_f64()) } else { format!("{} min {:02} s", whole / 60, whole % 60) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_command_can_be_pasted_into_a_shell() {
        let mut command = Command::new("/usr/bin/printf");
        command.args(["%s", "vni 77 and inner(icmp)", "it's", ""]);
        let line = line_of(&command);
        assert_eq!(line, r"printf %s 'vni 77 and inner(icmp)' 'it'\''s' ''");
    }

    #[test]
    fn durations_change_their_unit_after_a_minute() {
        assert_eq!(seconds(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(245)), "4 min 05 s");
    }

    #[test]
    fn a_failing_child_is_reported_with_its_command_and_status() {
        let error = output_of(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err();
        assert!(error.contains("exit status: 3") && error.ends_with("broken"), "{error}");
    }
}
