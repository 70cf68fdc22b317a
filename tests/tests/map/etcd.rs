//! An etcd of a test's own: its own folder, ports that were free, ended with the test.

use overlay_tests::{Ended, Peer, Run, Running, program};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

/// A running etcd.
pub(crate) struct Etcd {
    /// Dropping it ends it.
    _running: Running,
    pub(crate) endpoint: String,
    pub(crate) folder: tempfile::TempDir,
}

impl Etcd {
    /// Starts one and waits until it answers; none where it is not installed.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let program = Peer::find(test, "etcd")?;
        // Both are held until both are known, or the second could be the first.
        let free: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let urls: Vec<String> = free.iter().map(|port| format!("http://{}", port.local_addr().expect("an address"))).collect();
        drop(free);
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data").display().to_string();
        let cluster = format!("test={}", urls[1]);
        let arguments = [
            ["--data-dir", &data, "--name", "test", "--listen-client-urls", &urls[0], "--advertise-client-urls", &urls[0]],
            ["--listen-peer-urls", &urls[1], "--initial-advertise-peer-urls", &urls[1], "--initial-cluster", &cluster, "--logger", "zap"],
        ];
        let arguments = arguments.concat().into_iter().chain(["--log-level", "error", "--unsafe-no-fsync"]);
        let running = program.run(folder.path(), arguments).start();
        let etcd = Self { _running: running, endpoint: urls[0].clone(), folder };
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
