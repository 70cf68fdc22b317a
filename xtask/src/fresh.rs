//! Does it work for someone who has just cloned it?
//!
//! Clones HEAD into an empty folder with an empty target folder and runs the tests there. The captures of third
//! parties that tests read beside the checkout (`../shared`) are linked in when they are there.

use std::path::{Path, PathBuf};

use crate::run::{Outcome, Workspace, checked, output_of, step};
use crate::test::Tier;

const PREFIX: &str = "overlay-fresh-";

/// Clones, tests, removes.
pub(crate) fn run(workspace: &Workspace, tier: Tier) -> Outcome {
    let head = output_of(workspace.command("git").args(["rev-parse", "--short", "--verify", "HEAD"]))
        .map_err(|_| "there is no commit yet, and `fresh` tests what is committed".to_owned())?;
    let changed = output_of(workspace.command("git").args(["status", "--porcelain"]))?.lines().count();
    if changed > 0 {
        println!("note: {changed} files differ from HEAD ({}); `fresh` does not see their changes", head.trim());
    }
    let temporary = std::env::temp_dir();
    remove_leftovers(&temporary);
    let folder = Folder::create(temporary.join(format!("{PREFIX}{}", std::process::id())))?;
    let clone = folder.0.join("clone");
    step("clone", || {
        let from = workspace.root.as_os_str();
        checked(workspace.command("git").args(["clone", "--quiet", "--no-hardlinks"]).args([from, clone.as_os_str()]))?;
        link_shared(workspace, &folder.0)
    })?;
    step("test the clone", || {
        let mut command = workspace.cargo(&["xtask", "test"]);
        if tier == Tier::Quick {
            command.arg("--quick");
        }
        command.current_dir(&clone);
        // An empty target of its own is the point.
        command.env_remove("CARGO_TARGET_DIR").env_remove("CARGO_BUILD_TARGET_DIR");
        checked(&mut command)
    })
}

fn link_shared(workspace: &Workspace, folder: &Path) -> Outcome {
    let Some(shared) = workspace.root.parent().map(|parent| parent.join("shared")).filter(|shared| shared.is_dir()) else {
        return Ok(());
    };
    std::os::unix::fs::symlink(shared, folder.join("shared")).map_err(|error| format!("../shared cannot be linked: {error}"))
}

/// A folder that goes away with its value, also when the tests fail.
struct Folder(PathBuf);

impl Folder {
    fn create(path: PathBuf) -> Outcome<Self> {
        std::fs::create_dir(&path).map_err(|error| format!("{} cannot be created: {error}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} cannot be removed: {error}", self.0.display());
        }
    }
}

/// Removes the folders of runs that were killed: their process is gone, so nobody else will.
fn remove_leftovers(temporary: &Path) {
    for entry in std::fs::read_dir(temporary).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|pid| pid.parse::<u32>().ok()) else {
            continue;
        };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            drop(Folder(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_killed_runs_are_removed_and_those_of_living_ones_are_kept() {
        let temporary = std::env::temp_dir().join(format!("xtask-leftovers-{}", std::process::id()));
        let alive = temporary.join(format!("{PREFIX}{}", std::process::id()));
        // Above the largest pid that Linux can be configured to give (2^22).
        let dead = temporary.join(format!("{PREFIX}4194999"));
        let foreign = temporary.join(format!("{PREFIX}of-somebody"));
        for folder in [&alive, &dead, &foreign] {
            std::fs::create_dir_all(folder).unwrap();
        }
        remove_leftovers(&temporary);
        let left = [alive.exists(), dead.exists(), foreign.exists()];
        std::fs::remove_dir_all(&temporary).unwrap();
        assert_eq!(left, [true, false, true]);
    }
}
