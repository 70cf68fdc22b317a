//! An etcd of a test's own: its own folder, ports that were free, ended with the test.

use overlay_tests::{Ended, Run, program, skip};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program, where there is one; the test that needs it is skipped otherwise.
pub(crate) fn etcd(test: &str) -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join("etcd")).find(|path| path.is_file());
    if found.is_none() {
        skip(test, "etcd is not installed");
    }
    found
}

/// A running etcd.
pub(crate) struct Etcd {
    child: Child,
    pub(crate) endpoint: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Etcd {
    /// Starts one and waits until it answers; none where it is not installed.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let program = etcd(test)?;
        // Both are held until both are known, or the second could be the first.
        let free: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let urls: Vec<String> = free.iter().map(|port| format!("http://{}", port.local_addr().expect("an address"))).collect();
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let child = Command::new(program)
            .args(["--data-dir", &folder.path().join("data").display().to_string(), "--name", "test"])
            .args(["--listen-client-urls", &urls[0], "--advertise-client-urls", &urls[0]])
            .args(["--listen-peer-urls", &urls[1], "--initial-advertise-peer-urls", &urls[1]])
            .args(["--initial-cluster", &format!("test={}", urls[1]), "--unsafe-no-fsync", "--logger", "zap", "--log-level", "error"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd can be started");
        let etcd = Self { child, endpoint: urls[0].clone(), folder };
        let begun = Instant::now();
        while etcd.map("list -v 1").code != 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "etcd does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(etcd)
    }

    /// A run of `overlayadm map` with these words, which asks this etcd.
    pub(crate) fn run(&self, words: &str) -> Run {
        let words = ["map"].into_iter().chain(words.split_ascii_whitespace());
        Run::new(program("overlayadm")).args(words).env("OVERLAY_ETCD_ENDPOINTS", &self.endpoint).folder(self.folder.path())
    }

    /// The same, to its end.
    pub(crate) fn map(&self, words: &str) -> Ended {
        self.run(words).end()
    }

    /// The same; it succeeds, and this is what it printed.
    pub(crate) fn good(&self, words: &str) -> String {
        self.map(words).good()
    }

    /// The same; it fails, and this is what it said.
    pub(crate) fn refused(&self, words: &str) -> String {
        let ended = self.map(words);
        assert_eq!(ended.code, 1, "{words}: {}", ended.stderr);
        ended.stderr
    }

    /// Writes a file into the folder in which commands run.
    pub(crate) fn file(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("a file");
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
