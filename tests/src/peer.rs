//! What does another tool say of the same capture? tcpdump, tshark and their like, where they are installed.

use crate::{Run, skip};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A tool of other people.
#[derive(Clone, Debug)]
pub struct Peer {
    program: PathBuf,
}

impl Peer {
    /// The tool, if it is on `PATH` or in a system folder; else `test` is counted as skipped.
    #[must_use]
    pub fn find(test: &str, name: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/bin", "/sbin"].map(PathBuf::from));
        let found = folders.map(|folder| folder.join(name)).find(|file| file.is_file());
        if found.is_none() {
            skip(test, &format!("{name} is not installed"));
        }
        found.map(|program| Self { program })
    }

    /// What it prints, whatever its exit status and messages: standard output, then standard error.
    #[must_use]
    pub fn says<S: AsRef<OsStr>>(&self, folder: &Path, arguments: impl IntoIterator<Item = S>) -> String {
        let ended = self.run(folder, arguments).end();
        ended.stdout + &ended.stderr
    }

    /// It, to be run in a folder.
    #[must_use]
    pub fn run<S: AsRef<OsStr>>(&self, folder: &Path, arguments: impl IntoIterator<Item = S>) -> Run {
        Run::new(&self.program).args(arguments).folder(folder).env("TZ", "UTC").env("LC_ALL", "C.UTF-8")
    }
}
