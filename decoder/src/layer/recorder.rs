//! What did a header name? The visitor of the tests: it writes down every field in one line, and holds every header to the
//! rules of the visitor: no key twice in an object, none that the JSON writer uses itself, every list and item closed, no list without end.

use super::{Header, View};
use crate::addr::Mac;
use crate::fields::{Fields, Key};
use crate::text::Text;
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Which fields a test is after.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Extent {
    /// Those of the short JSON.
    Short,
    /// Everything.
    Details,
}

/// Items of a list at most, the one that says `more` included.
const ITEMS_MAX: usize = 65;

struct Recorder {
    /// Everything in one line.
    out: String,
    /// `key=value` each, with the path of lists and items in front.
    lines: Vec<String>,
    extent: Extent,
    /// The keys of each open object, the header itself first.
    objects: Vec<Vec<&'static str>>,
    /// Open lists: name and items so far.
    lists: Vec<(&'static str, usize)>,
}

impl Recorder {
    fn put(&mut self, key: Key, value: impl std::fmt::Display) {
        assert_eq!(self.objects.len(), self.lists.len() + 1, "{} stands in a list, but in no item: {}", key.name, self.out);
        let keys = self.objects.last_mut().expect("the header itself is an object");
        assert!(!keys.contains(&key.name), "{} comes twice in one object: {}", key.name, self.out);
        keys.push(key.name);
        if !self.out.is_empty() && !self.out.ends_with(['{', '[']) {
            self.out.push(' ');
        }
        write!(self.out, "{}={value}", key.name).unwrap();
        let path: String = self.lists.iter().map(|(name, items)| format!("{name}[{}].", items - 1)).collect();
        self.lines.push(format!("{path}{}={value}", key.name));
    }
}

impl Fields for Recorder {
    fn num(&mut self, key: Key, value: u64) {
        self.put(key, value);
    }
    fn hex(&mut self, key: Key, value: u64, width: usize) {
        self.put(key, format_args!("0x{value:0width$x}"));
    }
    fn flag(&mut self, key: Key, value: bool) {
        self.put(key, value);
    }
    fn mac(&mut self, key: Key, value: Mac) {
        self.put(key, value);
    }
    fn ipv4(&mut self, key: Key, value: Ipv4Addr) {
        self.put(key, value);
    }
    fn ipv6(&mut self, key: Key, value: Ipv6Addr) {
        self.put(key, value);
    }
    fn text(&mut self, key: Key, value: &[u8]) {
        // Quoted in the line, where a value with spaces could not be told from two fields.
        self.put(key, format_args!("\"{}\"", value.escape_ascii()));
        let line = self.lines.pop().unwrap_or_default();
        let (name, _) = line.split_once('=').unwrap_or((&line, ""));
        self.lines.push(format!("{name}={}", String::from_utf8_lossy(value)));
    }
    fn bytes(&mut self, key: Key, value: &[u8]) {
        let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        self.put(key, digits);
    }
    fn open_list(&mut self, key: Key) {
        self.put(key, "[");
        self.lines.pop();
        self.lists.push((key.name, 0));
    }
    fn open_item(&mut self) {
        let (name, items) = self.lists.last_mut().expect("an item stands in a list");
        *items += 1;
        assert!(*items <= ITEMS_MAX, "{name} has more than {ITEMS_MAX} items");
        self.out.push('{');
        self.objects.push(Vec::new());
    }
    fn close_item(&mut self) {
        self.out.push('}');
        self.objects.pop();
    }
    fn close_list(&mut self) {
        self.out.push(']');
        self.lists.pop();
    }
    fn wants_details(&self) -> bool {
        self.extent == Extent::Details
    }
}

/// A view of a whole message: its first `fixed` bytes are the header, the rest belongs to it.
pub(crate) fn view(message: &[u8], fixed: usize) -> View<'_> {
    let (header, payload) = message.split_at(fixed);
    View { header, payload, claimed: payload.len() as u32 }
}

/// A view of a message that is all header.
pub(crate) fn whole(message: &[u8]) -> View<'_> {
    view(message, message.len())
}

/// The fields of a header as `name=value` separated by spaces, lists as `name=[{..}{..}]`.
pub(crate) fn fields(header: &impl Header, view: View<'_>, extent: Extent) -> String {
    record(header, view, extent).out
}

/// The fields of a header whose message is all its own, as `name=value` each, items as `list[0].name=value`.
pub(crate) fn lines(header: &impl Header, message: &[u8], extent: Extent) -> Vec<String> {
    record(header, whole(message), extent).lines
}

fn record(header: &impl Header, view: View<'_>, extent: Extent) -> Recorder {
    let own = vec!["layer", "offset", "length"];
    let mut recorder = Recorder { out: String::new(), lines: Vec::new(), extent, objects: vec![own], lists: Vec::new() };
    header.fields(view, &mut recorder);
    assert!(recorder.lists.is_empty() && recorder.objects.len() == 1, "a list or an item was left open: {}", recorder.out);
    recorder
}

/// The summary of a header.
pub(crate) fn summary(header: &impl Header, view: View<'_>) -> String {
    let mut text = Text::new();
    header.summary(view, &mut text);
    String::from_utf8(text.as_bytes().to_vec()).unwrap()
}

/// Renders a header in every way with every cut of a message: whatever the bytes are, nothing panics, and nothing is longer
/// than `most` bytes.
pub(crate) fn renders_every_cut(header: &impl Header, message: &[u8], fixed: usize, most: usize) {
    for end in fixed..=message.len() {
        let view = view(&message[..end], fixed);
        for extent in [Extent::Short, Extent::Details] {
            let written = fields(header, view, extent);
            assert!(written.len() <= most, "{} bytes of fields for {end} bytes: {written}", written.len());
        }
        let written = summary(header, view);
        assert!(written.len() <= most, "{} bytes of summary: {written}", written.len());
    }
}
