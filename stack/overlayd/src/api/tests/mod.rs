//! What does the API do, whoever is at the other end? A fake of the daemon behind a real socket.

mod calls;
pub(super) mod fake;
mod hostile;
mod rights;

use super::routes::router;
use fake::Fake;
use overlay_client::Client;
use overlay_serve::{ApiThread, ControlSocket, Patience, start_with};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

/// A daemon of which only the API is real.
struct Lab {
    rooms: Arc<Fake>,
    client: Client,
    socket: PathBuf,
    api: Option<ApiThread>,
    _directory: tempfile::TempDir,
}

impl Lab {
    fn start() -> Self {
        Self::start_with(Patience::default(), None)
    }

    fn start_with(patience: Patience, gid: Option<u32>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Strangers have to get as far as the socket.
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let socket = directory.path().join("run/overlay/overlayd.sock");
        let rooms = Arc::new(Fake::new());
        let opened = ControlSocket::open(&socket, gid).unwrap();
        let api = Some(start_with(opened, Arc::clone(&rooms), router, |_| {}, patience).unwrap());
        Self { rooms, client: Client::new("overlayd", &socket), socket, api, _directory: directory }
    }

    fn stop(&mut self) {
        self.api.take().unwrap().stop();
    }

    /// What curl gets: the status and the body. None if there is no curl, or if it cannot connect.
    fn curl(&self, path: &str, more: &[&str]) -> Option<(u16, String)> {
        self.curl_as(&[], path, more)
    }

    /// The same, started by another command (setpriv).
    fn curl_as(&self, by: &[&str], path: &str, more: &[&str]) -> Option<(u16, String)> {
        let socket = self.socket.to_str().unwrap();
        let url = format!("http://localhost{path}");
        let mut words = by.to_vec();
        words.extend(["curl", "--silent", "--max-time", "60", "--write-out", "\n%{http_code}", "--unix-socket", socket, &url]);
        words.extend(more);
        let output = Command::new(words[0]).args(&words[1..]).output().ok()?;
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n')?;
        let status = status.parse().unwrap();
        output.status.success().then(|| (status, body.to_owned()))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(api) = self.api.take() {
            api.stop();
        }
    }
}

/// Whether this test can run; if not it is counted, never silently passed.
fn can(test: &str, needs: &str, has: bool) -> bool {
    use std::io::Write;
    if !has {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: needs {needs}");
        if let Some(path) = std::env::var_os("OVERLAY_SKIP_FILE") {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(file, "{test}: needs {needs}").unwrap();
        }
    }
    has
}

fn has_program(name: &str) -> bool {
    Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
}
