//! Which labs are there, and how are they removed? The namespaces' names are the truth; a folder per lab adds what names cannot hold.

use crate::names::is_running;
use crate::namespace::NETNS;
use crate::process;
use crate::{LabError, LabId, Namespace, Owner};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The drawing of the lab.
const TOPOLOGY: &str = "topology";
/// While a kept lab is being built: the process that builds it.
const BUILDING: &str = "building";

/// The folder that holds a folder per lab: `OVERLAY_LAB_DIR`, or `/run/overlay-lab`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StateFolder(pub PathBuf);

impl Default for StateFolder {
    fn default() -> Self {
        Self(std::env::var_os("OVERLAY_LAB_DIR").map_or_else(|| "/run/overlay-lab".into(), PathBuf::from))
    }
}

impl StateFolder {
    /// The folder of one lab.
    #[must_use]
    pub fn of(&self, lab: &LabId) -> PathBuf {
        self.0.join(lab.label())
    }

    /// Claims the lab's name. From here on `clean` finds it if this process dies.
    pub(crate) fn claim(&self, lab: &LabId, drawing: &str) -> Result<PathBuf, LabError> {
        let folder = self.of(lab);
        std::fs::create_dir_all(&self.0).map_err(LabError::io(format!("make {}", self.0.display())))?;
        match std::fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(LabError::Taken(lab.label())),
            made => made.map_err(LabError::io(format!("make {}", folder.display())))?,
        }
        // The drawing first: it is what makes the folder a lab's.
        write(&folder.join(TOPOLOGY), drawing)?;
        write(&folder.join(BUILDING), &std::process::id().to_string())?;
        Ok(folder)
    }

    /// The lab is complete.
    pub(crate) fn built(&self, lab: &LabId) -> Result<(), LabError> {
        let file = self.of(lab).join(BUILDING);
        std::fs::remove_file(&file).map_err(LabError::io(format!("remove {}", file.display())))
    }
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    std::fs::write(path, text).map_err(LabError::io(format!("write {}", path.display())))
}

/// A lab that is on this machine, whoever built it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Which.
    pub id: LabId,
    /// Its namespaces that exist.
    pub namespaces: Vec<Namespace>,
    folder: PathBuf,
}

impl Stored {
    fn new(state: &StateFolder, id: LabId) -> Self {
        Self { folder: state.of(&id), namespaces: Vec::new(), id }
    }

    /// Its drawing, as far as it is known in this state folder.
    #[must_use]
    pub fn topology(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.join(TOPOLOGY)).ok()
    }

    /// The namespace of a role.
    ///
    /// # Errors
    ///
    /// When it has no such role.
    pub fn namespace(&self, role: &str) -> Result<&Namespace, LabError> {
        let found = self.namespaces.iter().find(|namespace| namespace.role() == role);
        found.ok_or_else(|| LabError::Missing(format!("{role} in lab {}", self.id.label())))
    }

    /// Whether nobody will remove it: its process is gone, or the one that was to complete it.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        let building = std::fs::read_to_string(self.folder.join(BUILDING)).ok().and_then(|pid| pid.trim().parse().ok());
        self.id.is_stale() || (self.id.owner == Owner::Kept && building.is_some_and(|pid| !is_running(pid)))
    }

    /// Kills the processes in its namespaces, deletes these and its folder.
    ///
    /// # Errors
    ///
    /// The first thing that could not be removed; the rest is removed all the same.
    pub fn remove(self) -> Result<(), LabError> {
        let paths: Vec<PathBuf> = self.namespaces.iter().map(Namespace::path).collect();
        let killed = process::kill_inside(&paths);
        // One call each, because a batch stops at the first that fails.
        let delete =
            |namespace: &Namespace| process::run(std::process::Command::new("ip").args(["netns", "delete", namespace.name()])).map(drop);
        let lines: Vec<String> = self.namespaces.iter().map(|namespace| format!("netns delete {}", namespace.name())).collect();
        let deleted = process::batch("ip", None, &lines).or_else(|_| {
            let left = self.namespaces.iter().filter(|namespace| namespace.path().exists());
            left.map(delete).fold(Ok(()), Result::and)
        });
        let emptied = match std::fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(LabError::Io { doing: format!("remove {}", self.folder.display()), source: error })
            }
            _ => Ok(()),
        };
        killed.and(deleted).and(emptied)
    }
}

/// All labs on this machine: those with namespaces, and those of which only the folder is left.
///
/// # Errors
///
/// When a folder cannot be listed.
pub fn stored(state: &StateFolder) -> Result<Vec<Stored>, LabError> {
    let mut labs = BTreeMap::new();
    for name in names_in(&state.0)? {
        // Whatever else is in a folder that somebody named for this, is not ours to list or to remove.
        if let Some(id) = LabId::of_label(&name).filter(|id| state.of(id).join(TOPOLOGY).is_file()) {
            labs.insert(id.clone(), Stored::new(state, id));
        }
    }
    for name in names_in(Path::new(NETNS))? {
        if let Some((id, role)) = LabId::of_namespace(&name) {
            let lab = labs.entry(id.clone()).or_insert_with(|| Stored::new(state, id.clone()));
            lab.namespaces.push(Namespace::new(&id, &role, &state.of(&id)));
        }
    }
    Ok(labs.into_values().collect())
}

/// Sorted, for a list that reads the same every time.
fn names_in(folder: &Path) -> Result<Vec<String>, LabError> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(LabError::io(format!("list {}", folder.display())))?,
    };
    let mut names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// Removes the labs whose owner is gone; those it removed. Labs of living processes and kept ones stay, and so does every
/// namespace that no lab made.
///
/// # Errors
///
/// The first lab that could not be removed; the others are removed all the same.
pub fn clean(state: &StateFolder) -> Result<Vec<LabId>, LabError> {
    let mut removed = Ok(Vec::new());
    for lab in stored(state)?.into_iter().filter(Stored::is_stale) {
        let id = lab.id.clone();
        match (lab.remove(), &mut removed) {
            (Ok(()), Ok(ids)) => ids.push(id),
            (Err(error), Ok(_)) => removed = Err(error),
            (_, Err(_)) => {}
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(name: &str) -> LabId {
        LabId { owner: Owner::Kept, name: name.into() }
    }

    #[test]
    fn a_name_is_claimed_once_and_the_drawing_kept() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder(folder.path().join("labs"));
        state.claim(&kept("one"), "a drawing\n").unwrap();
        assert_eq!(
            state.claim(&kept("one"), "").unwrap_err().to_string(),
            "lab one: there is one already; `overlay-lab down one` removes it"
        );
        let found = stored(&state).unwrap().into_iter().find(|lab| lab.id == kept("one")).unwrap();
        assert_eq!(found.topology().as_deref(), Some("a drawing\n"));
        assert!(!found.is_stale(), "this process, which builds it, is alive");
        let text = found.namespace("h1").unwrap_err().to_string();
        assert_eq!(text, "h1 in lab one: no such lab or namespace; `overlay-lab show` lists them");
    }

    #[test]
    fn a_lab_whose_building_was_cut_short_is_stale_and_a_complete_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder(folder.path().to_owned());
        state.claim(&kept("half"), "").unwrap();
        // Above the largest process id (proc(5): pid_max is at most 2^22).
        write(&state.of(&kept("half")).join(BUILDING), "4194305").unwrap();
        let half = || Stored::new(&state, kept("half"));
        assert!(half().is_stale());
        state.built(&kept("half")).unwrap();
        assert!(!half().is_stale());
        half().remove().unwrap();
        assert!(!state.of(&kept("half")).exists());
    }

    #[test]
    fn a_folder_of_somebody_else_is_no_lab() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder(folder.path().to_owned());
        for name in ["theirs", "4194305.1-theirs"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        clean(&state).unwrap();
        assert!(stored(&state).unwrap().iter().all(|lab| lab.id.name != "theirs"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
