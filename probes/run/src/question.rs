//! Which questions can be asked? Scripts with a header that says what they answer: the one source of list, man page and README.

use crate::Refusal;
use overlay_api::nearest;
use std::borrow::Cow;
use std::path::Path;

/// A script of the suite: its name, for bpftrace (and the part that is appended where varpd runs), for DTrace.
struct Built {
    name: &'static str,
    bpftrace: &'static str,
    joined: Option<&'static str>,
    dtrace: Option<&'static str>,
}

macro_rules! built {
    ($($name:literal),+; joined: $($joined:literal),+; kernel: $($kernel:literal),+) => {
        &[
            $(Built {
                name: $name,
                bpftrace: include_str!(concat!("../../bpftrace/", $name, ".bt")),
                joined: None,
                dtrace: Some(include_str!(concat!("../../dtrace/", $name, ".d"))),
            },)+
            $(Built {
                name: $joined,
                bpftrace: include_str!(concat!("../../bpftrace/", $joined, ".bt")),
                joined: Some(include_str!(concat!("../../bpftrace/joined/", $joined, ".bt"))),
                dtrace: Some(include_str!(concat!("../../dtrace/", $joined, ".d"))),
            },)+
            $(Built {
                name: concat!("kernel-", $kernel),
                bpftrace: include_str!(concat!("../../bpftrace/kernel/", $kernel, ".bt")),
                joined: None,
                dtrace: None,
            },)+
        ]
    };
}

/// In the order in which one asks.
const BUILT: &[Built] = built!(
    "talkers", "drops", "frames", "sizes", "batches", "workers", "floods", "misses", "pending", "churn", "mappings", "proxies", "plugins";
    joined: "path", "lookups", "states", "calls";
    kernel: "talkers", "drops", "sizes", "errors"
);

/// Sections of a header, in their order; a script for DTrace has no sample.
#[cfg(test)]
pub(crate) const SECTIONS: [&str; 5] = ["USAGE", "DESCRIPTION", "SAMPLE", "OVERHEAD", "CAVEATS"];

/// What a script is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Language {
    /// bpftrace.
    Bpftrace,
    /// D.
    Dtrace,
}

impl Language {
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Bpftrace => "bt",
            Self::Dtrace => "d",
        }
    }
}

/// A script and what its header says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Question {
    /// Its name.
    pub(crate) name: String,
    /// One sentence that ends with a question mark.
    pub(crate) asks: String,
    /// Sections of the header: name, and lines without the comment's stars.
    pub(crate) sections: Vec<(String, String)>,
    /// The whole script.
    pub(crate) script: String,
    /// Where the part begins that is appended where varpd runs; the end, if there is none.
    pub(crate) joined: usize,
    /// What it is for.
    pub(crate) language: Language,
}

impl Question {
    /// Reads a script; `name` is that of its file.
    pub(crate) fn read(name: &str, script: &str, language: Language) -> Result<Self, String> {
        let file = format!("{name}.{}", language.extension());
        let (header, _) = script
            .split_once("/*")
            .and_then(|(_, rest)| rest.split_once("*/"))
            .ok_or_else(|| format!("{file}: no header (a comment that begins with `NAME: QUESTION?`)"))?;
        let mut lines = header.lines().map(|line| {
            let line = line.trim_start();
            line.strip_prefix("* ").or(line.strip_prefix('*')).unwrap_or(line).trim_end()
        });
        let title = lines.find(|line| !line.is_empty()).unwrap_or_default();
        let (_, asks) = title
            .split_once(": ")
            .filter(|(_, asks)| asks.ends_with('?'))
            .ok_or_else(|| format!("{file}: the header begins with `{title}`, not with `NAME: QUESTION?`"))?;
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in lines {
            let heading = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_uppercase());
            match sections.last_mut() {
                _ if heading => sections.push((line.to_owned(), String::new())),
                Some((_, text)) => {
                    text.push_str(line.strip_prefix("  ").unwrap_or(line));
                    text.push('\n');
                }
                None if line.is_empty() => {}
                None => return Err(format!("{file}: `{line}` stands before the first section of the header")),
            }
        }
        sections.iter_mut().for_each(|(_, text)| *text = text.trim_matches('\n').to_owned());
        Ok(Self { name: name.to_owned(), asks: asks.to_owned(), sections, script: script.to_owned(), joined: script.len(), language })
    }

    /// The text of a section; empty where there is none.
    pub(crate) fn section(&self, name: &str) -> &str {
        self.sections.iter().find(|(heading, _)| heading == name).map_or("", |(_, text)| text)
    }

    /// Whether it can be asked of one network, or of one MAC: `--vni`, `--mac` in its usage.
    pub(crate) fn takes(&self, option: &str) -> bool {
        self.section("USAGE").contains(option)
    }

    /// The script without the part for which varpd has to be there: what it joins, only the probes of both can fill.
    pub(crate) fn without_varpd(&self) -> &str {
        self.script.get(..self.joined).unwrap_or(&self.script)
    }

    /// Whether it watches probes of this provider.
    pub(crate) fn watches(&self, provider: &str) -> bool {
        let bpftrace = self.script.contains(&format!("usdt:*:{provider}:"));
        bpftrace || ["$target:::", "$1:::", "$2:::"].iter().any(|end| self.script.contains(&format!("{provider}{end}")))
    }

    /// Bytes of a text that it needs, where these are more than bpftrace gives: `BPFTRACE_STRLEN=N` in its usage.
    pub(crate) fn text_bytes(&self) -> Option<&str> {
        let (_, rest) = self.section("USAGE").split_once("BPFTRACE_STRLEN=")?;
        rest.split_whitespace().next()
    }

    /// Keys of a map that it needs, where these are more than bpftrace keeps: `BPFTRACE_MAP_KEYS_MAX=N` in its caveats.
    pub(crate) fn map_keys(&self) -> Option<&str> {
        let (_, rest) = self.section("CAVEATS").split_once("BPFTRACE_MAP_KEYS_MAX=")?;
        rest.split(|letter: char| !letter.is_ascii_digit()).next().filter(|digits| !digits.is_empty())
    }
}

/// The scripts of the suite, or those of a folder.
pub(crate) struct Questions<'a> {
    folder: Option<&'a Path>,
}

impl<'a> Questions<'a> {
    pub(crate) const fn of(folder: Option<&'a Path>) -> Self {
        Self { folder }
    }

    /// Their names.
    pub(crate) fn names(&self) -> Result<Vec<Cow<'static, str>>, Refusal> {
        let Some(folder) = self.folder else { return Ok(BUILT.iter().map(|built| built.name.into()).collect()) };
        let failed = |error| Refusal::Failed(format!("{}: {error}", folder.display()));
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let script = [Language::Bpftrace, Language::Dtrace].iter().any(|it| path.extension().is_some_and(|end| end == it.extension()));
            if let Some(stem) = path.file_stem().filter(|_| script && path.is_file()) {
                names.push(Cow::Owned(stem.to_string_lossy().into_owned()));
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// All of them, in bpftrace where there is that.
    pub(crate) fn all(&self) -> Result<Vec<Question>, Refusal> {
        let read = |name: Cow<'static, str>| self.find(&name, Language::Bpftrace).or_else(|_| self.find(&name, Language::Dtrace));
        self.names()?.into_iter().map(read).collect()
    }

    /// One of them.
    pub(crate) fn find(&self, name: &str, language: Language) -> Result<Question, Refusal> {
        let mut joined_at = None;
        let script: Cow<'_, str> = match self.folder {
            None => {
                let Some(built) = BUILT.iter().find(|built| built.name == name) else { return Err(self.unknown(name)) };
                let script = match (language, built.joined) {
                    (Language::Bpftrace, None) => Some(Cow::Borrowed(built.bpftrace)),
                    (Language::Bpftrace, Some(joined)) => {
                        joined_at = Some(built.bpftrace.len());
                        Some(Cow::Owned(format!("{}\n{joined}", built.bpftrace)))
                    }
                    (Language::Dtrace, _) => built.dtrace.map(Cow::Borrowed),
                };
                script.ok_or_else(|| Refusal::Failed(format!("{name} is for bpftrace only: DTrace has no such tracepoints")))?
            }
            Some(folder) => {
                // A name, not a path: what is run as root comes from the folder that was named.
                if !self.names()?.iter().any(|known| known == name) {
                    return Err(self.unknown(name));
                }
                let path = folder.join(format!("{name}.{}", language.extension()));
                let mut script = std::fs::read_to_string(&path).map_err(|error| Refusal::Failed(format!("{}: {error}", path.display())))?;
                let joined = folder.join("joined").join(format!("{name}.bt"));
                if language == Language::Bpftrace && joined.is_file() {
                    joined_at = Some(script.len());
                    let part = std::fs::read_to_string(&joined);
                    script.push_str(&part.map_err(|error| Refusal::Failed(format!("{}: {error}", joined.display())))?);
                }
                script.into()
            }
        };
        let question = Question::read(name, &script, language).map_err(Refusal::Failed)?;
        Ok(Question { joined: joined_at.unwrap_or(question.joined), ..question })
    }

    fn unknown(&self, name: &str) -> Refusal {
        let names = self.names().unwrap_or_default();
        let close = nearest(name, names.iter().map(Cow::as_ref)).map(|close| format!("; did you mean {close}?"));
        let close = close.unwrap_or_else(|| ";".to_owned());
        Refusal::Usage(format!("no question is called {name:?}{close} --list names them"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_varpd_nothing_is_left_that_only_it_could_fill() {
        for name in ["path", "lookups", "states", "calls"] {
            let question = Questions::of(None).find(name, Language::Bpftrace).unwrap_or_else(|refusal| panic!("{refusal:?}"));
            assert!(question.watches("varpd") && question.without_varpd().len() < question.script.len());
            assert!(!question.without_varpd().contains("usdt:*:varpd:"), "{name}");
        }
        let drops = Questions::of(None).find("drops", Language::Bpftrace).unwrap_or_else(|refusal| panic!("{refusal:?}"));
        assert_eq!(drops.without_varpd(), drops.script);
    }

    #[test]
    fn every_header_is_complete_and_narrow() {
        for Question { name, asks, sections, .. } in Questions::of(None).all().unwrap_or_else(|refusal| panic!("{refusal:?}")) {
            let headings: Vec<&str> = sections.iter().map(|(heading, _)| &**heading).collect();
            assert_eq!(headings, SECTIONS, "{name}");
            assert!(asks.len() <= 70, "{name}: {asks}");
            for (heading, text) in &sections {
                assert!(!text.is_empty(), "{name}: {heading} is empty");
                let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 79).collect();
                assert!(long.is_empty(), "{name}: longer than 79 columns: {long:#?}");
            }
        }
    }

    #[test]
    fn a_question_is_the_same_in_both_languages() {
        for built in BUILT.iter().filter(|built| built.dtrace.is_some()) {
            let questions = Questions::of(None);
            let [bt, d] = [Language::Bpftrace, Language::Dtrace].map(|language| questions.find(built.name, language).unwrap());
            assert_eq!(bt.asks, d.asks, "{}", built.name);
            for provider in ["overlay", "varpd"] {
                assert_eq!(bt.watches(provider), d.watches(provider), "{}: {provider}", built.name);
            }
            for section in ["USAGE", "OVERHEAD", "CAVEATS"] {
                assert!(!d.section(section).is_empty(), "{}.d: {section} is empty", built.name);
            }
        }
    }

    #[test]
    fn a_file_in_the_folders_is_a_question_here() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for (sub, prefix, end) in [("bpftrace", "", "bt"), ("bpftrace/kernel", "kernel-", "bt"), ("dtrace", "", "d")] {
            let mut files: Vec<String> = std::fs::read_dir(folder.join(sub))
                .unwrap()
                .map(|entry| entry.unwrap().path())
                .filter(|path| path.extension().is_some_and(|found| found == end))
                .map(|path| format!("{prefix}{}", path.file_stem().unwrap().to_str().unwrap()))
                .collect();
            files.sort();
            let wanted = |built: &&Built| built.name.starts_with("kernel-") == (prefix == "kernel-");
            let mut names: Vec<&str> = BUILT.iter().filter(wanted).map(|built| built.name).collect();
            names.sort_unstable();
            assert_eq!(files, names, "{sub}");
        }
    }

    #[test]
    fn a_wrong_name_is_refused_with_the_nearest() {
        for (wrong, near) in [("drop", "drops"), ("talker", "talkers"), ("kernel-drop", "kernel-drops")] {
            let refusal = Questions::of(None).find(wrong, Language::Bpftrace).unwrap_err();
            assert!(matches!(&refusal, Refusal::Usage(text) if text.contains(&format!("did you mean {near}?"))), "{refusal:?}");
        }
        let refusal = Questions::of(Some(Path::new("/etc"))).find("../etc/passwd", Language::Bpftrace).unwrap_err();
        assert!(matches!(refusal, Refusal::Usage(_)), "{refusal:?}");
    }

    #[test]
    fn a_header_that_says_nothing_is_refused() {
        for (script, why) in [("BEGIN {}", "no header"), ("/* drops */", "begins with"), ("/*\n * a: b?\n * text\n */", "before the first")]
        {
            let error = Question::read("x", script, Language::Bpftrace).unwrap_err();
            assert!(error.starts_with("x.bt: ") && error.contains(why), "{error}");
        }
    }
}
