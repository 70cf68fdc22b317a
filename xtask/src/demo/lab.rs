//! Two hosts for a demonstration: a lab that goes away whatever happens, and commands that run in it.
//!
//! The lab is held by a process of its own, `overlay-lab up --foreground`, which removes it when it is told to end: by us, or by the
//! kernel when we die, of Ctrl-C or of anything else (setpriv's `--pdeathsig`). It ends every program in the lab, too.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{Outcome, cannot_start, line_of, quoted, succeeded, succeeds};

/// Far more than a program needs to get ready, also on a busy machine.
const CEILING: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A lab; dropping it removes it.
pub(super) struct Lab {
    program: PathBuf,
    folder: PathBuf,
    label: String,
    holder: Child,
    /// Programs that were left running, in the order of their start.
    left: Vec<Child>,
}

impl Lab {
    /// Builds a lab with these options, and shows its drawing.
    pub(super) fn up(program: &Path, options: &[&str]) -> Outcome<Self> {
        let mut up = Command::new(program);
        up.arg("up").args(options).args(["--foreground", "demo"]);
        println!("$ {}", line_of(&up));
        let mut held = Command::new("setpriv");
        held.args(["--pdeathsig", "TERM", "--"]).arg(program).args(up.get_args()).stdin(Stdio::null()).stdout(Stdio::piped());
        // The terminal's Ctrl-C is not for it: it would end the tools that it is just building or removing with.
        held.process_group(0);
        let mut holder = held.spawn().map_err(|error| cannot_start(&held, &error))?;
        let mut label = None;
        if let Some(stdout) = holder.stdout.take() {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(ready) = line.strip_prefix("ready ") {
                    label = Some(ready.to_owned());
                    break;
                }
                // The blank line before the word is the word's.
                if !line.is_empty() {
                    println!("{line}");
                }
            }
        }
        let Some(label) = label else {
            let ended = holder.wait().map_err(|error| format!("`{}` cannot be waited for: {error}", line_of(&up)))?;
            return Err(succeeded(&up, ended).err().unwrap_or_else(|| format!("`{}` did not get ready", line_of(&up))));
        };
        let state = std::env::var_os("OVERLAY_LAB_DIR").map_or_else(|| "/run/overlay-lab".into(), PathBuf::from);
        Ok(Self { program: program.to_path_buf(), folder: state.join(&label), label, holder, left: Vec::new() })
    }

    /// What `ip netns` calls a host or a tenant.
    pub(super) fn namespace(&self, role: &str) -> String {
        format!("ovlab-{}-{role}", self.label)
    }

    /// The folder of a host or a tenant, which goes with the lab.
    pub(super) fn folder(&self, role: &str) -> Outcome<PathBuf> {
        let folder = self.folder.join(role);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{} cannot be created: {error}", folder.display()))?;
        Ok(folder)
    }

    /// A command on a host or a tenant.
    pub(super) fn command(&self, role: &str, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["exec", &self.label, role]).arg(program).args(arguments);
        // Each host has daemons of its own, with files of their own.
        command.env("OVERLAY_ROOT", self.folder.join(role).join("root"));
        command
    }

    /// Shows a command with the place where it is typed, runs it, and insists on success.
    pub(super) fn run(&self, role: &str, program: &Path, arguments: &[&str]) -> Outcome {
        println!("{}", typed(role, program, arguments));
        let mut command = self.command(role, program, arguments);
        let status = command.status().map_err(|error| cannot_start(&command, &error))?;
        succeeded(&command, status)
    }

    /// Shows and starts a program that stays, and waits until it says `word` on stderr.
    pub(super) fn start(&mut self, role: &str, program: &Path, word: &str) -> Outcome {
        println!("{} &", typed(role, program, &[]));
        let name = program.file_name().unwrap_or(program.as_os_str());
        let log = self.folder(role)?.join(name).with_extension("log");
        let file = std::fs::File::create(&log).map_err(|error| format!("{} cannot be created: {error}", log.display()))?;
        let mut command = self.command(role, program, &[]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        self.left.push(command.spawn().map_err(|error| cannot_start(&command, &error))?);
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        let ready = wait_until(|| said().contains(word));
        if ready { Ok(()) } else { Err(format!("`{}` does not get ready: {}", typed(role, program, &[]), said().trim())) }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let told = succeeds(Command::new("kill").args(["-TERM", &self.holder.id().to_string()]));
        let gone = told && self.holder.wait().is_ok_and(|status| status.success());
        for child in &mut self.left {
            // The lab has ended it; this only takes note.
            let _ = child.kill();
            let _ = child.wait();
        }
        if !gone {
            println!("(the lab {} could not be removed; `overlay-lab clean` does)", self.label);
        }
    }
}

/// Waits for something to be so; whether it is.
pub(super) fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !condition() {
        if begun.elapsed() > CEILING {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

/// A command behind the name of the place where it is typed.
pub(super) fn typed(role: &str, program: &Path, arguments: &[&str]) -> String {
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let words = std::iter::once(name).chain(arguments.iter().map(|word| quoted(word)));
    format!("{role} $ {}", words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_is_typed_on_its_host() {
        let line = typed("h1", Path::new("/a/b/overlay-snoop"), &["-n", "vni 7 and inner(icmp)"]);
        assert_eq!(line, "h1 $ overlay-snoop -n 'vni 7 and inner(icmp)'");
    }
}
