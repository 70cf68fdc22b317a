//! Where does everything lie? The directories of the suite, all of which `--root DIR` or `OVERLAY_ROOT` moves below DIR.
//!
//! ```text
//! DIR/run/overlay        sockets: overlayd.sock, varpd.sock, lookup.sock
//! DIR/var/lib/overlay    what has to survive a restart
//! DIR/var/cache/overlay  what plugins keep over a restart
//! DIR/etc/overlay        what the operator writes
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The environment variable that `--root` comes before.
pub const ROOT_VARIABLE: &str = "OVERLAY_ROOT";

/// Where everything lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Paths {
    root: PathBuf,
}

impl Default for Paths {
    fn default() -> Self {
        Self::system()
    }
}

impl Paths {
    /// The host's own directories.
    #[must_use]
    pub fn system() -> Self {
        Self::under("/")
    }

    /// The same, below `root`.
    #[must_use]
    pub fn under(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// What `--root` says, or else [`ROOT_VARIABLE`]; without either (an empty one is none) the host's own.
    #[must_use]
    pub fn chosen(flag: Option<PathBuf>, variable: Option<OsString>) -> Self {
        let variable = variable.filter(|text| !text.is_empty()).map(PathBuf::from);
        flag.or(variable).map_or_else(Self::system, Self::under)
    }

    /// What all of them are below.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Sockets: gone after a reboot.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run/overlay")
    }

    /// What has to survive a restart.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("var/lib/overlay")
    }

    /// What the operator writes.
    #[must_use]
    pub fn etc(&self) -> PathBuf {
        self.root.join("etc/overlay")
    }

    /// Shared objects of third-party plugins.
    #[must_use]
    pub fn plugins(&self) -> PathBuf {
        self.root.join("usr/lib/overlay/plugins")
    }

    /// What third-party plugins keep over a restart: nothing is lost with it but time.
    #[must_use]
    pub fn caches(&self) -> PathBuf {
        self.root.join("var/cache/overlay")
    }

    /// The control socket of overlayd.
    #[must_use]
    pub fn overlayd_socket(&self) -> PathBuf {
        self.run().join("overlayd.sock")
    }

    /// The control socket of varpd.
    #[must_use]
    pub fn varpd_socket(&self) -> PathBuf {
        self.run().join("varpd.sock")
    }

    /// Where overlayd asks and varpd answers.
    #[must_use]
    pub fn lookup_socket(&self) -> PathBuf {
        self.run().join("lookup.sock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_moves_below_the_root() {
        assert_eq!(Paths::system().overlayd_socket(), Path::new("/run/overlay/overlayd.sock"));
        let paths = Paths::under("/tmp/a");
        let all = [
            paths.run(),
            paths.state(),
            paths.etc(),
            paths.plugins(),
            paths.caches(),
            paths.overlayd_socket(),
            paths.varpd_socket(),
            paths.lookup_socket(),
        ];
        for path in all {
            assert!(path.starts_with("/tmp/a"), "{}", path.display());
        }
    }

    #[test]
    fn the_flag_comes_before_the_variable_and_an_empty_variable_is_none() {
        let (flag, variable) = (|| Some(PathBuf::from("/f")), |text: &str| Some(OsString::from(text)));
        assert_eq!(Paths::chosen(flag(), variable("/v")).root(), Path::new("/f"));
        assert_eq!(Paths::chosen(None, variable("/v")).root(), Path::new("/v"));
        assert_eq!(Paths::chosen(None, variable("")), Paths::system());
        assert_eq!(Paths::chosen(None, None), Paths::system());
    }
}
