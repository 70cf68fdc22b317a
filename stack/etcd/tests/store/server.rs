//! A real etcd for one test: on ports of its own, in a folder of its own, ended with the test.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Folders of this process until now.
static FOLDERS: AtomicU32 = AtomicU32::new(0);

/// Whether there is an etcd to start. If not, the test is counted as skipped, never silently passed.
pub(crate) fn is_there(test: &str) -> bool {
    let found = Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|code| code.success());
    if !found {
        let _ = writeln!(io::stderr(), "SKIPPED: {test}: needs etcd (Debian's etcd-server)");
        if let Some(path) = std::env::var_os("OVERLAY_SKIP_FILE") {
            let mut file = File::options().create(true).append(true).open(path).unwrap();
            writeln!(file, "{test}: needs etcd (Debian's etcd-server)").unwrap();
        }
    }
    found
}

/// An etcd of one member.
pub(crate) struct Server {
    folder: PathBuf,
    port: u16,
    peer: u16,
    more: Vec<String>,
    child: Option<Child>,
}

/// A port that nobody has at the moment.
fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Started, with these options more.
    pub(crate) fn start(more: &[&str]) -> Self {
        let mut server = Self::prepare();
        server.more = more.iter().map(|&word| word.to_owned()).collect();
        server.run();
        server
    }

    /// With a folder and ports, and not started.
    pub(crate) fn prepare() -> Self {
        let number = FOLDERS.fetch_add(1, Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("etcd-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { folder, port: free_port(), peer: free_port(), more: Vec::new(), child: None }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn scheme(&self) -> &str {
        if self.more.iter().any(|word| word == "--cert-file") { "https" } else { "http" }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("{}://127.0.0.1:{}", self.scheme(), self.port)
    }

    /// With these options more.
    pub(crate) fn run_with(&mut self, more: Vec<String>) {
        self.more = more;
        self.run();
    }

    /// Starts it on what it has on disk.
    pub(crate) fn run(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let (client, peer) = (self.endpoint(), format!("http://127.0.0.1:{}", self.peer));
        let child = Command::new("etcd")
            .args(["--name", "one", "--data-dir"])
            .arg(self.folder.join("data"))
            .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
            .args(["--initial-cluster", &format!("one={peer}")])
            .args(&self.more)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Sends the process a signal: `STOP`, `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // SIGKILL ends a stopped process, too.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let _ = writeln!(io::stderr(), "what etcd said: {log}");
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
