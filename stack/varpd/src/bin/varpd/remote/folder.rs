//! Which shared objects are loaded? Those of one folder, if nobody but root and varpd's own user can have put them there.

use super::{Remote, Settings};
use overlay_api::channel::PluginInfo;
use overlay_varpd::abi::DECLARED_MAX;
use overlay_varpd::plugin::Plugin;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Write permission of the group and of others.
const FOREIGN_WRITE: u32 = 0o022;
/// Only the owner of a file can rename or remove it (inode(7)).
const STICKY: u32 = 0o1000;
/// Shared objects that a folder has at most: each is a process.
const OBJECTS_MAX: usize = 64;
/// The modules that are no shared objects: varpd's own, and overlayd's.
const BUILT_IN: [&str; 3] = ["files", "etcd", "direct"];

/// Loads what is in the folder. What cannot be loaded is left out, with a sentence in `problems`; a folder that others can write to is, whole.
/// One that is not there has nothing in it, unless it was `wanted`.
pub(crate) fn load_all(folder: &Path, wanted: bool, settings: &Settings, problems: &mut Vec<String>) -> Vec<Arc<Remote>> {
    let files = match files(folder, wanted) {
        Ok(files) => files,
        Err(problem) => {
            problems.push(problem);
            return Vec::new();
        }
    };
    // All at once: a plugin that takes its time takes only its own.
    let started: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            files.iter().map(|file| (file, scope.spawn(move || check_file(file).and_then(|()| Remote::start(file, settings))))).collect();
        threads.into_iter().map(|(file, thread)| (file, thread.join().unwrap_or_else(|_| Err("its thread panicked".to_owned())))).collect()
    });
    let mut names: Vec<String> = Vec::new();
    let (mut loaded, mut bytes) = (Vec::new(), 0);
    for (file, result) in started {
        let remote = result.and_then(|remote: Arc<Remote>| {
            let info = remote.info();
            let length = serde_json::to_vec(&info).map_or(DECLARED_MAX, |text| text.len());
            let problem = if names.iter().any(|name| *name == info.name.as_str()) {
                is_taken(&info)
            } else if let Err(problem) = check_name(&info) {
                problem
            } else if bytes + length > DECLARED_MAX {
                format!("its declaration has {length} bytes, and all together at most {DECLARED_MAX} are allowed")
            } else {
                names.push(info.name.to_string());
                bytes += length;
                return Ok(remote);
            };
            remote.end();
            Err(problem)
        });
        match remote {
            Ok(remote) => loaded.push(remote),
            Err(problem) => problems.push(format!("{}: {problem}; it is left out", file.display())),
        }
    }
    loaded
}

/// The shared objects of a folder, by name.
fn files(folder: &Path, wanted: bool) -> Result<Vec<PathBuf>, String> {
    let failed = |error: &std::io::Error| format!("{}: {error}; no plugin is loaded", folder.display());
    let whole = match folder.canonicalize() {
        Ok(whole) => whole,
        Err(error) if error.kind() == ErrorKind::NotFound && !wanted => return Ok(Vec::new()),
        Err(error) => return Err(failed(&error)),
    };
    check_folder(&whole).map_err(|why| format!("{why}; no plugin is loaded from {}", folder.display()))?;
    let entries = whole.read_dir().map_err(|error| failed(&error))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(&error))?.path();
        if path.extension().is_some_and(|end| end == "so") {
            files.push(path);
        }
    }
    if files.len() > OBJECTS_MAX {
        return Err(format!(
            "{}: {} shared objects; at most {OBJECTS_MAX} are allowed; no plugin is loaded",
            folder.display(),
            files.len()
        ));
    }
    files.sort();
    Ok(files)
}

/// Whether nobody else can have written a file.
///
/// # Errors
/// A sentence with what was found and what is allowed.
pub(crate) fn check_file(file: &Path) -> Result<(), String> {
    let meta = file.symlink_metadata().map_err(|error| error.to_string())?;
    if !meta.is_file() {
        return Err("it is no regular file".to_owned());
    }
    trust(&meta, false)
}

/// Whether nobody else can put files into a folder, or another folder in its place. It is said whole, without symbolic links.
///
/// # Errors
/// A sentence with the folder, what was found and what is allowed.
pub(crate) fn check_folder(whole: &Path) -> Result<(), String> {
    for above in whole.ancestors() {
        let named = |why: &dyn std::fmt::Display| format!("{}: {why}", above.display());
        let meta = above.metadata().map_err(|error| named(&error))?;
        let sticky = above != whole && meta.mode() & STICKY != 0;
        trust(&meta, sticky).map_err(|why| named(&why))?;
    }
    Ok(())
}

/// Whether a plugin is not called as something that is built in.
///
/// # Errors
/// A sentence.
pub(crate) fn check_name(info: &PluginInfo) -> Result<(), String> {
    if BUILT_IN.contains(&info.name.as_str()) { Err(is_taken(info)) } else { Ok(()) }
}

fn is_taken(info: &PluginInfo) -> String {
    format!("there is a plugin {} already", info.name)
}

fn trust(meta: &Metadata, sticky: bool) -> Result<(), String> {
    let own = rustix::process::geteuid().as_raw();
    if meta.uid() != 0 && meta.uid() != own {
        return Err(format!("it belongs to user {}; root and user {own}, which varpd runs as, are allowed", meta.uid()));
    }
    if meta.mode() & FOREIGN_WRITE != 0 && !sticky {
        return Err(format!("others can write to it (mode {:04o}); a mode without group and other write is allowed", meta.mode() & 0o7777));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_folder_that_others_can_write_to_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.so");
        write(&file, "").unwrap();
        write(folder.path().join("README"), "").unwrap();
        assert_eq!(files(folder.path(), true).unwrap(), [file.canonicalize().unwrap()]);
        for mode in [0o777, 0o775, 0o1777, 0o757] {
            set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let refused = files(folder.path(), true).unwrap_err();
            assert!(refused.contains(&format!("others can write to it (mode {mode:04o})")), "{refused}");
        }
        // Nor one in a folder that others can write to.
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(files(&inner, true).unwrap_err().contains("no plugin is loaded from"));
        set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
        assert!(files(&inner, true).unwrap().is_empty(), "the sticky bit keeps others from moving it");
    }

    #[test]
    fn a_file_that_others_can_write_to_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.so");
        write(&file, "").unwrap();
        set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(check_file(&file), Ok(()));
        set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        assert!(check_file(&file).unwrap_err().contains("(mode 0666)"));
        let link = folder.path().join("b.so");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(check_file(&link).unwrap_err(), "it is no regular file");
    }

    #[test]
    fn a_folder_with_too_many_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=OBJECTS_MAX {
            write(folder.path().join(format!("{number}.so")), "").unwrap();
        }
        assert!(files(folder.path(), true).unwrap_err().contains("65 shared objects; at most 64 are allowed"));
        std::fs::remove_file(folder.path().join("0.so")).unwrap();
        assert_eq!(files(folder.path(), true).unwrap().len(), OBJECTS_MAX);
    }

    #[test]
    fn a_folder_that_is_not_there_is_no_problem_unless_it_was_asked_for() {
        let folder = tempfile::tempdir().unwrap().path().join("none");
        assert_eq!(files(&folder, false), Ok(Vec::new()));
        assert!(files(&folder, true).unwrap_err().ends_with("no plugin is loaded"));
    }
}
