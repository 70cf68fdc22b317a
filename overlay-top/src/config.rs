//! How does the user want it? A file in TOML with columns, orders and keys; what it does not say stays as it is.

use crate::column::Screen;
use crate::keys::{self, Keys};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most bytes of a file: far more than all that it may say.
const FILE_MAX_BYTES: u64 = 64 << 10;
/// What a file may have.
const PARTS: [&str; 3] = ["columns", "keys", "sort"];

/// What the file says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Config {
    pub(crate) keys: Keys,
    /// The columns of a screen, by their places in its table; screens that are not there have all.
    pub(crate) columns: BTreeMap<Screen, Vec<usize>>,
    /// By which column a screen is sorted, and whether the largest comes first.
    pub(crate) orders: Vec<(Screen, String, bool)>,
}

/// Something in a file that cannot be: the place in bytes, and what is wrong.
type Wrong = (usize, String);

impl Config {
    /// What the file says that was asked for, or else the user's own if there is one.
    ///
    /// # Errors
    /// A sentence with file, line and key: what was found and what is allowed.
    pub(crate) fn chosen(asked: Option<&Path>) -> Result<Self, String> {
        let own = || {
            let folder = std::env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
            // The specification of these folders: a relative one is none.
            let folder = folder.filter(|folder| folder.is_absolute());
            let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
            Some(folder.join("overlay/top.toml")).filter(|path| path.exists())
        };
        match asked.map(Path::to_owned).or_else(own) {
            Some(path) => Self::read(&path),
            None => Ok(Self::default()),
        }
    }

    fn read(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let failed = |error: std::io::Error| format!("{shown}: {error}");
        // A pipe that nobody writes to would be waited for.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(format!("{shown}: is no file"));
        }
        let mut text = String::new();
        std::fs::File::open(path).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text)).map_err(failed)?;
        if text.len() as u64 > FILE_MAX_BYTES {
            return Err(format!("{shown}: more than {FILE_MAX_BYTES} bytes; no configuration is that long"));
        }
        Self::parse(&text).map_err(|(line, problem)| format!("{shown}:{line}: {problem}"))
    }

    /// What a text says.
    ///
    /// # Errors
    /// The line, counted from 1, and a sentence.
    pub(crate) fn parse(text: &str) -> Result<Self, (usize, String)> {
        let line = |(place, problem): Wrong| {
            let before = text.as_bytes().get(..place).unwrap_or(text.as_bytes());
            (before.iter().filter(|byte| **byte == b'\n').count() + 1, problem)
        };
        let table = DeTable::parse(text).map_err(|error| {
            let place = error.span().map_or(0, |span| span.start);
            line((place, error.message().replace('\n', ", ")))
        })?;
        Self::of(table.get_ref()).map_err(line)
    }

    fn of(table: &DeTable<'_>) -> Result<Self, Wrong> {
        let mut config = Self::default();
        for (part, value) in table {
            let (place, part) = (part.span().start, part.get_ref().as_ref());
            let entries = match (PARTS.contains(&part), value.get_ref()) {
                (true, DeValue::Table(entries)) => entries,
                (true, other) => return Err((place, format!("{part}: a table is expected, [{part}]; found {}", other.type_str()))),
                (false, _) => return Err((place, format!("{part}: is not known; there are {}", PARTS.join(", ")))),
            };
            for (name, value) in entries {
                let (place, name) = (name.span().start, name.get_ref().as_ref());
                match part {
                    "keys" => config.take_keys(place, name, value)?,
                    _ => config.take_screen(part, place, name, value)?,
                }
            }
        }
        match config.keys.twice() {
            // It is in no one place: both actions have it.
            Some((key, first, second)) => {
                let place = place_of(table, "keys", [second, first]);
                Err((place, format!("keys.{second}: `{key}` is a key of {first}, too; give {first} other keys")))
            }
            None => Ok(config),
        }
    }

    fn take_keys(&mut self, place: usize, name: &str, value: &Spanned<DeValue<'_>>) -> Result<(), Wrong> {
        let Some((_, action)) = keys::NAMES.iter().find(|(known, _)| *known == name) else {
            let names: Vec<&str> = keys::NAMES.iter().map(|(name, _)| *name).collect();
            return Err((place, format!("keys.{name}: is no action; there are {}", names.join(", "))));
        };
        let mut codes = Vec::new();
        for (place, key) in words(&format!("keys.{name}"), value)? {
            codes.push(keys::key(&key).map_err(|problem| (place, format!("keys.{name}: {problem}")))?);
        }
        self.keys.set(*action, codes);
        Ok(())
    }

    fn take_screen(&mut self, part: &str, place: usize, name: &str, value: &Spanned<DeValue<'_>>) -> Result<(), Wrong> {
        let Some(screen) = Screen::ALL.into_iter().find(|screen| screen.name() == name) else {
            let names = Screen::ALL.map(Screen::name).join(", ");
            return Err((place, format!("{part}.{name}: is no screen; there are {names}")));
        };
        let heads = screen.heads();
        let column = |place: usize, column: &str| {
            let names = || heads.iter().map(|head| head.name).collect::<Vec<_>>().join(", ");
            let found = heads.iter().position(|head| head.name == column);
            found.ok_or_else(|| (place, format!("{part}.{name}: `{column}` is no column of {name}; there are {}", names())))
        };
        if part == "sort" {
            let text = value.get_ref().as_str();
            let found = || format!("sort.{name}: a column is expected, as in \"{}\"; found {}", heads[0].name, value.get_ref().type_str());
            let text = text.ok_or_else(|| (value.span().start, found()))?;
            let (reversed, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
            let head = heads[column(value.span().start, text)?];
            self.orders.push((screen, head.name.to_owned(), head.largest_first() != reversed));
            return Ok(());
        }
        let mut chosen = Vec::new();
        for (place, word) in words(&format!("columns.{name}"), value)? {
            let column = column(place, &word)?;
            if chosen.contains(&column) {
                return Err((place, format!("columns.{name}: `{word}` is there twice")));
            }
            chosen.push(column);
        }
        if chosen.is_empty() {
            return Err((place, format!("columns.{name}: has no column; at least one is needed")));
        }
        self.columns.insert(screen, chosen);
        Ok(())
    }
}

/// The strings of a list, each with its place.
fn words(name: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<(usize, String)>, Wrong> {
    let wrong = |value: &Spanned<DeValue<'_>>| {
        (value.span().start, format!("{name}: a list of strings is expected, as in [\"a\", \"b\"]; found {}", value.get_ref().type_str()))
    };
    let list = value.get_ref().as_array().ok_or_else(|| wrong(value))?;
    let word = |value: &Spanned<DeValue<'_>>| {
        value.get_ref().as_str().map(|text| (value.span().start, text.to_owned())).ok_or_else(|| wrong(value))
    };
    list.iter().map(word).collect()
}

/// Where one of these is in a table; the beginning of the file if none is.
fn place_of(table: &DeTable<'_>, part: &str, names: [&str; 2]) -> usize {
    let entries = table.iter().find(|(name, _)| name.get_ref() == part).and_then(|(_, value)| value.get_ref().as_table());
    let place = |wanted: &str| Some(entries?.iter().find(|(name, _)| name.get_ref() == wanted)?.0.span().start);
    names.into_iter().find_map(place).unwrap_or(0)
}

/// A file that says what is so without one.
pub(crate) fn default_file() -> String {
    let list = |words: &[String]| {
        let quoted: Vec<String> = words.iter().map(|word| format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))).collect();
        format!("[{}]", quoted.join(", "))
    };
    let mut text = String::from(
        "# Keys and columns of overlay-top, as they are without this file. Keep the lines that you change: what is not said\n\
         # stays as it is, and a screen without a line here chooses its columns by the width of the terminal.\n\n[columns]\n",
    );
    for screen in Screen::ALL {
        let names: Vec<String> = screen.heads().iter().map(|head| head.name.to_owned()).collect();
        let _ = writeln!(text, "{} = {}", screen.name(), list(&names));
    }
    text.push_str("\n# A column, or -column for the other way round.\n[sort]\n");
    let state = crate::state::State::new([], (80, 24), jiff::tz::TimeZone::UTC);
    for screen in Screen::ALL {
        let (head, descending) = state.order_of(screen);
        let sign = if head.largest_first() == descending { "" } else { "-" };
        let _ = writeln!(text, "{} = \"{sign}{}\"", screen.name(), head.name);
    }
    text.push_str("\n# A character, or Up, PageDown, Enter, Space, F1 and so on.\n[keys]\n");
    for (name, action) in keys::NAMES {
        let _ = writeln!(text, "{name} = {}", list(&Keys::default().of(*action)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Action;

    #[test]
    fn the_default_file_changes_nothing_that_is_seen_or_done() {
        let config = Config::parse(&default_file()).unwrap_or_else(|error| panic!("{error:?}\n{}", default_file()));
        for (name, action) in keys::NAMES {
            assert_eq!(config.keys.of(*action), Keys::default().of(*action), "{name}");
        }
        for screen in Screen::ALL {
            assert_eq!(config.columns[&screen], (0..screen.heads().len()).collect::<Vec<_>>());
        }
        let plain = crate::state::State::new([], (80, 24), jiff::tz::TimeZone::UTC);
        let orders = config.orders.clone();
        for (screen, column, descending) in &orders {
            let (head, plainly) = plain.order_of(*screen);
            assert_eq!((column.as_str(), *descending), (head.name, plainly), "{}", screen.name());
        }
        assert_eq!(Config::parse(""), Ok(Config::default()));
    }

    #[test]
    fn what_is_said_is_taken() {
        let text = "[columns]\ndrops = ['count', \"reason\"]\n[sort]\nevents = \"-time\"\n[keys]\nquit = [\"x\", \"F10\"]\npause = []\n";
        let config = Config::parse(text).unwrap();
        assert_eq!((config.keys.of(Action::Quit), config.keys.of(Action::Pause)), (vec!["x".to_owned(), "F10".to_owned()], vec![]));
        let names: Vec<&str> = config.columns[&Screen::Drops].iter().map(|index| Screen::Drops.heads()[*index].name).collect();
        assert_eq!((names, config.orders), (vec!["count", "reason"], vec![(Screen::Events, "time".to_owned(), false)]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_its_key_and_what_is_allowed() {
        let cases = [
            ("\n[colums]\n", 2, "colums: is not known; there are columns, keys, sort"),
            ("keys = 7\n", 1, "keys: a table is expected, [keys]; found integer"),
            ("[keys]\nquit = [\"qq\"]\n", 2, "keys.quit: `qq` is no key; one character is, or Up, Down, "),
            ("[keys]\n\nstop = [\"q\"]\n", 3, "keys.stop: is no action; there are overlays, targets, "),
            ("[keys]\nquit = \"q\"\n", 2, "keys.quit: a list of strings is expected, as in [\"a\", \"b\"]; found string"),
            ("[keys]\nquit = [\n \"x\",\n 7]\n", 4, "keys.quit: a list of strings is expected, as in [\"a\", \"b\"]; found integer"),
            ("[keys]\nhelp = [\"?\"]\nquit = [\"p\"]\n", 3, "keys.quit: `p` is a key of pause, too; give pause other keys"),
            (
                "[columns]\ntargets = [\"mac\", \"macs\"]\n",
                2,
                "columns.targets: `macs` is no column of targets; there are overlay, vni, mac, ",
            ),
            ("[columns]\ntargets = [\"mac\",\n\"mac\"]\n", 3, "columns.targets: `mac` is there twice"),
            ("[columns]\ntargets = []\n", 2, "columns.targets: has no column; at least one is needed"),
            ("[columns]\ntarget = []\n", 2, "columns.target: is no screen; there are overlays, targets, vnics, lookups, drops, events"),
            ("[sort]\ndrops = true\n", 2, "sort.drops: a column is expected, as in \"reason\"; found boolean"),
            ("[sort]\ndrops = \"-\"\n", 2, "sort.drops: `` is no column of drops; there are reason, "),
        ];
        for (text, line, problem) in cases {
            let found = Config::parse(text).unwrap_err();
            assert!(found.0 == line && found.1.starts_with(problem), "{text}: {found:?}");
        }
        assert_eq!(Config::parse("[keys]\nquit = [\"q\"\n[sort]\n").unwrap_err().0, 3);
    }

    #[test]
    fn a_file_that_is_none_or_too_long_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("top.toml");
        let refused = |path: &Path| Config::chosen(Some(path)).unwrap_err();
        assert!(refused(&path).ends_with("(os error 2)"), "{}", refused(&path));
        assert!(refused(folder.path()).ends_with(": is no file"));
        std::fs::write(&path, "#".repeat(70_000)).unwrap();
        assert!(refused(&path).contains("more than 65536 bytes"));
        std::fs::write(&path, "a\n").unwrap();
        assert!(refused(&path).starts_with(&format!("{}:1: ", path.display())), "{}", refused(&path));
    }
}
