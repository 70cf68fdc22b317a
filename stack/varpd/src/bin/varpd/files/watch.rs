//! Has a file changed? One thread looks at all of them, a few times a second, by what stat(2) says of the path.
//!
//! Looking is all that works everywhere: a file that was written to, or replaced by a rename; a link that was changed anywhere on the
//! way (Kubernetes swaps a directory's); a mount that went; a network file system. It costs a system call for each file and look.

use super::read::{ReadProblem, Stamp, read, stamp};
use super::table::Table;
use overlay_api::Mapping;
use overlay_api::mapping::Note;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Builder;
use std::time::Duration;

/// Time between two looks. What does not parse is reported at the second look: it may be half written at the first.
const EVERY: Duration = Duration::from_millis(250);

type Files = Arc<Mutex<BTreeMap<PathBuf, Arc<Mutex<File>>>>>;

/// The thread that looks. It ends with the process.
pub(crate) struct Watcher {
    files: Files,
}

/// A file that instances name.
struct File {
    path: PathBuf,
    seen: Option<Stamp>,
    /// What came of reading it.
    read: Result<Arc<Mapping>, ReadProblem>,
    /// What was logged of the last mapping: so many notes more were left out of it.
    noted: (Vec<Note>, usize),
    /// It did not parse, and may have been half written: said only if it is so at the next look.
    doubtful: bool,
    tables: Vec<Weak<Table>>,
}

/// Keeps a file watched, for one instance.
pub(crate) struct Watch {
    file: Arc<Mutex<File>>,
}

impl Watch {
    /// Reads the file now, whether it looks changed or not.
    pub(crate) fn look_now(&self) {
        let mut file = lock(&self.file);
        file.doubtful = false;
        file.seen = stamp(&file.path);
        let read = file.again();
        file.settle(read);
    }
}

fn lock(file: &Mutex<File>) -> MutexGuard<'_, File> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watcher {
    /// Starts it.
    ///
    /// # Errors
    /// The system has no thread left.
    pub(crate) fn start() -> io::Result<Self> {
        let files = Files::default();
        let weak = Arc::downgrade(&files);
        Builder::new().name("files".to_owned()).spawn(move || {
            while let Some(files) = weak.upgrade() {
                look_at_all(&files);
                drop(files);
                std::thread::sleep(EVERY);
            }
        })?;
        Ok(Self { files })
    }

    /// Gives a table what the file says, now and whenever it changes, until the result is dropped.
    pub(crate) fn watch(&self, path: &Path, table: &Arc<Table>) -> Watch {
        let file = {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(files.entry(path.to_owned()).or_insert_with(|| Arc::new(Mutex::new(File::new(path)))))
        };
        let mut locked = lock(&file);
        let now = stamp(path);
        if locked.read.is_err() || now != locked.seen {
            locked.doubtful = false;
            locked.seen = now;
            let read = locked.again();
            locked.settle(read);
        }
        table.take(&locked.read);
        locked.tables.push(Arc::downgrade(table));
        drop(locked);
        Watch { file }
    }
}

fn look_at_all(files: &Files) {
    let all: Vec<Arc<Mutex<File>>> = {
        let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
        // Who watches a file holds it, too.
        files.retain(|_, file| Arc::strong_count(file) > 1);
        files.values().cloned().collect()
    };
    for file in all {
        lock(&file).look();
    }
}

impl File {
    fn new(path: &Path) -> Self {
        let read = Err(ReadProblem::lasting("has not been read yet".to_owned()));
        Self { path: path.to_owned(), seen: None, read, noted: (Vec::new(), 0), doubtful: false, tables: Vec::new() }
    }

    /// Reads it again if there is a reason to.
    fn look(&mut self) {
        let now = stamp(&self.path);
        let changed = now != self.seen;
        let was_passing = matches!(&self.read, Err(ReadProblem { passing: true, .. }));
        if !changed && !self.doubtful && !was_passing {
            return;
        }
        let was_doubtful = std::mem::replace(&mut self.doubtful, false) && !changed;
        let before = std::mem::replace(&mut self.seen, now);
        let was_fresh = now.zip(before).is_some_and(|(now, before)| now.is_of_the_same_file(before));
        let read = self.again();
        if read == self.read && (read.is_err() || was_fresh) {
            // Said already. A file that somebody wrote anew, be it with the same words, is told of.
            return;
        }
        if read.is_err() && !was_doubtful {
            self.doubtful = true;
            return;
        }
        self.settle(read);
    }

    fn again(&mut self) -> Result<Arc<Mapping>, ReadProblem> {
        let mapping = read(&self.path)?;
        let notes = (mapping.notes().to_vec(), mapping.notes_left_out());
        if notes == self.noted {
            // Files that are written often would fill the log with the same words.
            return Ok(Arc::new(mapping));
        }
        self.noted = notes;
        for note in mapping.notes() {
            tracing::warn!("{note}");
        }
        if mapping.notes_left_out() > 0 {
            tracing::warn!("{}: {} more keys without a meaning here", self.path.display(), mapping.notes_left_out());
        }
        Ok(Arc::new(mapping))
    }

    /// This is so: all who name the file are told.
    fn settle(&mut self, read: Result<Arc<Mapping>, ReadProblem>) {
        self.read = read;
        self.tables.retain(|table| table.strong_count() > 0);
        for table in self.tables.iter().filter_map(Weak::upgrade) {
            table.take(&self.read);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that does not change, was read with this result, and is looked at twice.
    fn looked_at(passing: bool) -> String {
        // No mapping, and older than any test: its stamp is the same each time.
        let mut file = File::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")));
        file.seen = stamp(&file.path);
        file.read = Err(ReadProblem { sentence: "no descriptor is left".to_owned(), passing });
        file.look();
        file.look();
        file.read.unwrap_err().sentence
    }

    #[test]
    fn a_file_that_was_just_written_is_read_again_and_told_of_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("map.json");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        let mut file = File::new(&path);
        let mut look = || {
            file.look();
            file.read.clone().unwrap()
        };
        write("{}");
        let first = look();
        std::thread::sleep(EVERY);
        assert!(Arc::ptr_eq(&first, &look()), "the same words of the same file");
        write("{}");
        let second = look();
        assert!(!Arc::ptr_eq(&first, &second) && first == second, "somebody wrote them again");
        write(r#"{"02:00:00:00:00:01": {"ip": "192.0.2.1", "port": 4789}}"#);
        assert_eq!(look().len(), 1);
    }

    #[test]
    fn what_the_system_refused_is_tried_again_and_a_mistake_is_not() {
        assert!(looked_at(true).contains("Cargo.toml:1:"), "{}", looked_at(true));
        assert_eq!(looked_at(false), "no descriptor is left");
        let below_a_file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml/map.json"));
        let passing = |path: &Path| read(path).unwrap_err().passing;
        assert_eq!((passing(below_a_file), passing(Path::new("/nowhere/map.json")), passing(Path::new("/"))), (true, false, false));
    }
}
