//! Who answers the lookups, when, and what? The mapping of the overlay, unless a script says otherwise.
//!
//! ```json
//! { "version": 1,
//!   "lookups": [ { "destination": "02:08:20:0a:00:01", "times": 1, "lose": true },
//!                { "overlay": "ov7", "delay_ns": 50000000 },
//!                { "destination": "02:08:20:0a:00:09", "answer": { "reach": ["10.0.0.9:4789"] } } ],
//!   "answerer": [ { "at_ns": 1000000000, "away": "varpd restarts" }, { "at_ns": 2000000000 } ] }
//! ```
//!
//! Of `lookups` the first that fits is used; what it does not say stays as it is without it.

use overlay_api::{Answer, LinkName, Lookup, Mapping};
use overlay_decoder::{Mac, Ul3};
use overlay_engine::Time;
use overlay_varpd::knowledge;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// The only version there is.
const VERSION: u64 = 1;

/// What a script says.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    version: u64,
    #[serde(default)]
    lookups: Vec<Rule>,
    #[serde(default)]
    answerer: Vec<Change>,
}

/// What becomes of some lookups.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// Of this overlay only.
    overlay: Option<LinkName>,
    /// For this inner destination (VL2) only.
    destination: Option<Mac>,
    /// The first so many only.
    times: Option<u64>,
    /// Nobody answers.
    #[serde(default)]
    lose: bool,
    /// The answer takes so long.
    #[serde(default)]
    delay_ns: u64,
    /// The answer, in place of the mapping's.
    answer: Option<Say>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Say {
    Drop,
    Reach(Vec<Ul3>),
}

/// When the answerer goes and comes.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// Nanoseconds after the first packet.
    at_ns: u64,
    /// Why it is gone; it is back without.
    away: Option<String>,
}

impl Script {
    /// Reads a script; `name` is its file's.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, String> {
        let script: Self = serde_json::from_str(text).map_err(|error| format!("{name}: {error}"))?;
        if script.version != VERSION {
            return Err(format!("{name}: version {}; {VERSION} is known", script.version));
        }
        if !script.answerer.is_sorted_by_key(|change| change.at_ns) {
            return Err(format!("{name}: answerer: at_ns goes back; later changes stand behind earlier ones"));
        }
        for (index, rule) in script.lookups.iter().enumerate() {
            if matches!(&rule.answer, Some(Say::Reach(to)) if to.is_empty()) {
                return Err(format!("{name}: lookups[{index}]: reach: no destination; one at least is expected"));
            }
        }
        Ok(script)
    }

    /// The overlays that it speaks of.
    pub(crate) fn overlays(&self) -> impl Iterator<Item = &LinkName> {
        self.lookups.iter().filter_map(|rule| rule.overlay.as_ref())
    }
}

/// What happens at a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Happening {
    /// An answer comes.
    Answer(Lookup, Answer),
    /// Nobody answers any more.
    Away(String),
    /// Somebody does again.
    Back,
}

/// Answers lookups, in their time.
pub(crate) struct Answers {
    mappings: HashMap<LinkName, Mapping>,
    script: Script,
    used: Vec<u64>,
    /// By time, then by the order in which they were planned.
    plan: BTreeMap<(Time, u64), Happening>,
    planned: u64,
    /// Answers among them.
    open: usize,
}

/// What becomes of a lookup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// This is answered, so many nanoseconds later.
    Answer(Answer, u64),
    /// Nobody answers.
    Lost,
}

impl Answers {
    /// With a mapping for each overlay that has one; `start` is the time of the first packet.
    pub(crate) fn new(mappings: HashMap<LinkName, Mapping>, script: Script, start: Time) -> Self {
        let mut answers =
            Self { mappings, used: vec![0; script.lookups.len()], script: Script::default(), plan: BTreeMap::new(), planned: 0, open: 0 };
        for change in &script.answerer {
            let happening = change.away.clone().map_or(Happening::Back, Happening::Away);
            answers.put(start + change.at_ns, happening);
        }
        answers.script = script;
        answers
    }

    fn put(&mut self, at: Time, happening: Happening) {
        self.open += usize::from(matches!(happening, Happening::Answer(..)));
        self.plan.insert((at, self.planned), happening);
        self.planned += 1;
    }

    /// A lookup is asked. What becomes of it.
    pub(crate) fn ask(&mut self, overlay: &LinkName, lookup: Lookup, now: Time) -> Fate {
        let destination = lookup.question.destination;
        let fits = |rule: &Rule, used: u64| {
            rule.overlay.as_ref().is_none_or(|wanted| wanted == overlay)
                && rule.destination.is_none_or(|wanted| wanted == destination)
                && rule.times.is_none_or(|times| used < times)
        };
        let found = self.script.lookups.iter().zip(&mut self.used).find(|(rule, used)| fits(rule, **used));
        let (mut delay, mut said) = (0, None);
        if let Some((rule, used)) = found {
            *used += 1;
            if rule.lose {
                return Fate::Lost;
            }
            delay = rule.delay_ns;
            said = rule.answer.as_ref().map(|say| match say {
                Say::Drop => Answer::Drop { ttl_ns: None },
                Say::Reach(to) => Answer::Reach { to: to.clone(), ttl_ns: None },
            });
        }
        let Some(answer) = said.or_else(|| self.mappings.get(overlay).map(|mapping| knowledge::answer(mapping, &lookup))) else {
            return Fate::Lost;
        };
        self.put(now + delay, Happening::Answer(lookup, answer.clone()));
        Fate::Answer(answer, delay)
    }

    /// When the next thing happens.
    pub(crate) fn next(&self) -> Option<Time> {
        self.plan.first_key_value().map(|((at, _), _)| *at)
    }

    /// Whether answers are under way.
    pub(crate) fn is_waiting(&self) -> bool {
        self.open > 0
    }

    /// What happens by now, one after the other.
    pub(crate) fn due(&mut self, now: Time) -> Option<Happening> {
        let entry = self.plan.first_entry().filter(|entry| entry.key().0 <= now)?;
        let happening = entry.remove();
        self.open -= usize::from(matches!(happening, Happening::Answer(..)));
        Some(happening)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_api::{DeviceId, Question, RequestId};
    use overlay_decoder::Vni;

    fn lookup(destination: &str) -> Lookup {
        let source = "2:0:0:0:0:1".parse().unwrap();
        let question = Question { source, destination: destination.parse().unwrap(), ethertype: 0x0800, vlan: None, len: 60 };
        Lookup { request: RequestId(1), device: DeviceId(1), vni: Vni::MAX, question, frame: Vec::new() }
    }

    fn answers(script: &str) -> Answers {
        let mapping = Mapping::parse("m", r#"{"2:0:0:0:0:2": {"ip": "10.0.0.2", "port": 4789}}"#).unwrap();
        Answers::new([("ov7".parse().unwrap(), mapping)].into(), Script::parse("s", script).unwrap(), Time(5))
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_is_used_up() {
        let mut answers = answers(
            r#"{"version": 1, "lookups": [
                {"destination": "2:0:0:0:0:2", "times": 1, "lose": true}, {"destination": "2:0:0:0:0:2", "delay_ns": 7},
                {"overlay": "ov8", "answer": {"reach": ["10.0.0.8:4789"]}}, {"destination": "2:0:0:0:0:9", "answer": "drop"}]}"#,
        );
        let (ov7, ov8) = ("ov7".parse().unwrap(), "ov8".parse().unwrap());
        let reach = |to: &str| Answer::Reach { to: vec![to.parse().unwrap()], ttl_ns: None };
        assert_eq!(answers.ask(&ov7, lookup("2:0:0:0:0:2"), Time(10)), Fate::Lost);
        assert_eq!(answers.ask(&ov7, lookup("2:0:0:0:0:2"), Time(11)), Fate::Answer(reach("10.0.0.2:4789"), 7));
        assert_eq!(answers.ask(&ov8, lookup("2:0:0:0:0:3"), Time(12)), Fate::Answer(reach("10.0.0.8:4789"), 0));
        assert_eq!(answers.ask(&ov7, lookup("2:0:0:0:0:9"), Time(13)), Fate::Answer(Answer::Drop { ttl_ns: None }, 0));
        assert_eq!(answers.ask(&"ov9".parse().unwrap(), lookup("2:0:0:0:0:3"), Time(14)), Fate::Lost, "nobody knows that overlay");
        // In the order of their time.
        assert_eq!(answers.next(), Some(Time(12)));
        let mut order = Vec::new();
        while let Some(Happening::Answer(lookup, _)) = answers.due(Time(100)) {
            order.push(lookup.question.destination.to_string());
        }
        assert_eq!(order, ["02:00:00:00:00:03", "02:00:00:00:00:09", "02:00:00:00:00:02"]);
        assert!(!answers.is_waiting());
    }

    #[test]
    fn an_answerer_goes_and_comes() {
        let mut answers = answers(r#"{"version": 1, "answerer": [{"at_ns": 10, "away": "restart"}, {"at_ns": 20}]}"#);
        assert_eq!((answers.next(), answers.due(Time(14))), (Some(Time(15)), None));
        assert_eq!(answers.due(Time(15)), Some(Happening::Away("restart".to_owned())));
        assert_eq!((answers.due(Time(25)), answers.next()), (Some(Happening::Back), None));
    }

    #[test]
    fn a_script_that_cannot_be_says_why() {
        for (text, said) in [
            ("{}", "s: missing field `version`"),
            (r#"{"version": 2}"#, "s: version 2; 1 is known"),
            (r#"{"version": 1, "lookups": [{"loose": true}]}"#, "s: unknown field `loose`"),
            (r#"{"version": 1, "lookups": [{"answer": {"reach": []}}]}"#, "s: lookups[0]: reach: no destination"),
            (r#"{"version": 1, "answerer": [{"at_ns": 2}, {"at_ns": 1}]}"#, "s: answerer: at_ns goes back"),
        ] {
            let error = Script::parse("s", text).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
