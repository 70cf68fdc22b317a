//! Whose is a namespace? Its name says: `ovlab-OWNER-LAB-ROLE`.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Starts the name of every namespace that a lab makes, and of none that it may not touch.
const PREFIX: &str = "ovlab";
/// What [`Owner::Kept`] is called in names.
const KEPT: &str = "up";
/// Longest name of a lab, in characters.
pub(crate) const NAME_MAX: usize = 20;

/// Who removes a lab.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Owner {
    /// The process that built it, when it drops it; [`clean`](crate::clean) when that process is gone.
    Process {
        /// Its process id.
        pid: u32,
        /// Which of its labs.
        count: u32,
    },
    /// Nobody, until `overlay-lab down`.
    Kept,
}

impl Owner {
    /// This process, with a number that no other lab of it has.
    #[must_use]
    pub fn this_process() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        Self::Process { pid: std::process::id(), count: COUNT.fetch_add(1, Ordering::Relaxed) }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == KEPT {
            return Some(Self::Kept);
        }
        let (pid, count) = text.split_once('.')?;
        Some(Self::Process { pid: number(pid)?, count: number(count)? })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, count } => write!(out, "{pid}.{count}"),
            Self::Kept => out.write_str(KEPT),
        }
    }
}

/// Which lab, of all on this machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LabId {
    /// Who removes it.
    pub owner: Owner,
    /// A letter, then letters, digits and underscores, all lower case: no `-`, which separates the parts of names.
    pub name: String,
}

impl LabId {
    /// The name of the network namespace of a role (`h1`, `h1v100t1`, `sw`).
    #[must_use]
    pub fn namespace(&self, role: &str) -> String {
        format!("{PREFIX}-{}-{}-{role}", self.owner, self.name)
    }

    /// The lab and the role of a network namespace; `None` for one that no lab made.
    #[must_use]
    pub fn of_namespace(namespace: &str) -> Option<(Self, String)> {
        let mut parts = namespace.split('-');
        let (prefix, owner, name, role) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let ours = prefix == PREFIX && parts.next().is_none() && is_name(name) && is_role(role);
        ours.then_some(())?;
        Some((Self { owner: Owner::parse(owner)?, name: name.to_owned() }, role.to_owned()))
    }

    /// What its folder is called, and how commands name it: `NAME`, or `PID.COUNT-NAME`.
    #[must_use]
    pub fn label(&self) -> String {
        match self.owner {
            Owner::Kept => self.name.clone(),
            Owner::Process { .. } => format!("{}-{}", self.owner, self.name),
        }
    }

    /// Reads a [`LabId::label`].
    #[must_use]
    pub fn of_label(label: &str) -> Option<Self> {
        let (owner, name) = match label.split_once('-') {
            // `up-x` is no label, although `up` is an owner: a kept lab's label is its bare name.
            Some((owner, name)) => (Owner::parse(owner).filter(|owner| *owner != Owner::Kept)?, name),
            None => (Owner::Kept, label),
        };
        is_name(name).then(|| Self { owner, name: name.to_owned() })
    }

    /// Whether the process that would remove this lab is gone. A kept lab waits for nobody.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        match self.owner {
            Owner::Process { pid, .. } => !is_running(pid),
            Owner::Kept => false,
        }
    }
}

/// Whether this can be a lab's name.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= NAME_MAX && text.starts_with(|c: char| c.is_ascii_lowercase()) && is_role(text) && text != KEPT
}

fn is_role(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Digits only, and no leading zero: one spelling per name.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text)
}

/// Whether a process exists and has not ended (one that ended and was not waited for holds nothing any more).
pub(crate) fn is_running(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")) else { return false };
    // proc(5): "pid (comm) state ..."; the command may itself hold parentheses, so the last one counts.
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_whose_they_are() {
        let mine = LabId { owner: Owner::Process { pid: 7, count: 2 }, name: "demo".into() };
        assert_eq!(mine.namespace("h1v100t1"), "ovlab-7.2-demo-h1v100t1");
        assert_eq!(LabId::of_namespace("ovlab-7.2-demo-h1v100t1"), Some((mine.clone(), "h1v100t1".into())));
        assert_eq!(LabId::of_label("7.2-demo"), Some(mine));
        let kept = LabId { owner: Owner::Kept, name: "demo".into() };
        assert_eq!(LabId::of_namespace(&kept.namespace("sw")), Some((kept.clone(), "sw".into())));
        assert_eq!(LabId::of_label("demo"), Some(kept));
    }

    #[test]
    fn what_no_lab_made_is_nobodys() {
        for other in [
            "",
            "h1",
            "ovlab",
            "ovlab-",
            "ovlab-up-demo",
            "ovlab-up-demo-h1-x",
            "ovlab-7-demo-h1",
            "ovlab-07.2-demo-h1",
            "ovlab-7.2-Demo-h1",
            "ovlab-7.2-demo-",
            "ovlab-7.2--h1",
            "ovlab2-7.2-demo-h1",
            "ovlab-7.-demo-h1",
            "ovlab-+7.2-demo-h1",
            "ovc7-a",
            "ovlab-7.2-demo-../h1",
        ] {
            assert_eq!(LabId::of_namespace(other), None, "{other}");
        }
        for other in ["", "up", "up-demo", "7.2", "Demo", "a-b", "..", "a/b", "abcdefghijklmnopqrstu"] {
            assert_eq!(LabId::of_label(other), None, "{other}");
        }
    }

    #[test]
    fn an_ended_process_is_gone_before_it_is_waited_for() {
        assert!(is_running(std::process::id()));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        crate::wait_until("its end", std::time::Duration::from_secs(20), || !is_running(pid)).unwrap();
        child.wait().unwrap();
        assert!(!is_running(pid));
        assert!(LabId { owner: Owner::Process { pid, count: 1 }, name: "x".into() }.is_stale());
    }

    #[test]
    fn two_labs_of_one_process_differ() {
        assert_ne!(Owner::this_process(), Owner::this_process());
    }
}
