//! Which probes are there? Their names, arguments and meaning as data: for the reference, and for the tests that hold programs to it.

/// Every probe of every provider, in the order of the reference.
pub const CATALOGUE: &[Probe] = &ALL;

const ALL: [Probe; crate::overlay::PROBES.len() + crate::varpd::PROBES.len()] = {
    let (overlay, varpd) = (crate::overlay::PROBES, crate::varpd::PROBES);
    let mut all = [overlay[0]; crate::overlay::PROBES.len() + crate::varpd::PROBES.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < overlay.len() { overlay[at] } else { varpd[at - overlay.len()] };
        at += 1;
    }
    all
};

/// One probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probe {
    /// The provider: the program's part that fires it.
    pub provider: &'static str,
    /// The name as tracers spell it, words joined by `-`.
    pub name: &'static str,
    /// What has happened when it fires: one sentence.
    pub fires: &'static str,
    /// At most six, integers first.
    pub arguments: &'static [Argument],
    /// A bpftrace program of one line that makes something of it.
    pub example: &'static str,
}

/// One argument of a probe; the first is `arg0`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Argument {
    /// Its name, of no meaning to tracers.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it says, with its unit.
    pub meaning: &'static str,
}

/// What a probe can carry.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// An unsigned integer of 8 bits.
    U8,
    /// An unsigned integer of 16 bits.
    U16,
    /// An unsigned integer of 32 bits.
    U32,
    /// An unsigned integer of 64 bits.
    U64,
    /// The address of a text that ends with a zero byte; `str()` of bpftrace and `copyinstr()` of DTrace read it.
    Text,
}

impl Kind {
    /// The name in the reference.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::U16 => "u16",
            Self::U32 => "u32",
            Self::U64 => "u64",
            Self::Text => "text",
        }
    }

    /// Bytes in the register that carries it.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::U32 => 4,
            Self::U64 => 8,
            Self::Text => size_of::<*const u8>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_lower_case_words_and_used_once() {
        let mut seen = BTreeSet::new();
        for probe in CATALOGUE {
            let words = probe.name.split('-').all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()));
            assert!(words, "{}", probe.name);
            assert!(seen.insert((probe.provider, probe.name)), "{} is there twice", probe.name);
        }
    }

    #[test]
    fn integers_stand_before_texts_and_all_fit_into_six_registers() {
        for Probe { name, arguments, .. } in CATALOGUE {
            assert!((1..=6).contains(&arguments.len()), "{name} has {} arguments", arguments.len());
            let first_text = arguments.iter().position(|argument| argument.kind == Kind::Text).unwrap_or(arguments.len());
            assert!(arguments[first_text..].iter().all(|argument| argument.kind == Kind::Text), "{name}: an integer behind a text");
        }
    }

    #[test]
    fn a_probe_is_explained_in_one_sentence_and_its_arguments_in_words() {
        for Probe { name, fires, arguments, .. } in CATALOGUE {
            assert!(fires.ends_with('.') && !fires.contains(". ") && fires == &fires.trim(), "{name}: {fires:?}");
            for Argument { name: argument, meaning, .. } in *arguments {
                assert!(!meaning.is_empty() && !meaning.ends_with('.'), "{name}, {argument}: {meaning:?}");
            }
        }
    }

    #[test]
    fn an_example_watches_its_own_probe_and_only_arguments_that_it_has() {
        for Probe { provider, name, arguments, example, .. } in CATALOGUE {
            assert!(example.starts_with(&format!("usdt:*:{provider}:{name} ")), "{name}: {example}");
            for part in example.split("arg").skip(1) {
                let Some(number) = part.chars().next().and_then(|c| c.to_digit(10)) else { continue };
                let argument = arguments.get(number as usize);
                assert!(argument.is_some(), "{name}: arg{number} in {example}");
                let read_as_text = example.contains(&format!("str(arg{number})"));
                assert_eq!(read_as_text, argument.is_some_and(|argument| argument.kind == Kind::Text), "{name}: arg{number} in {example}");
            }
        }
    }
}
