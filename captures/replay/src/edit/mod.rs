//! What shall the packets be instead? A capture is read, each packet goes through the steps, and what comes out is written.
//!
//! ```text
//!   decap ─► encap ─► vni-map ─► set, map ─► anonymise ─► mtu
//!                 each: done │ nothing to do │ refused: the packet stays as it was, and it is told why
//! ```
//!
//! A packet that was changed leaves with right lengths and checksums, all that can be known. One that cannot be made right is not changed
//! at all: half-edited packets are worse than none. Made anonymous, it is left out instead, for it would tell who it was.

mod anonymise;
mod cut;
mod frame;
pub(crate) mod place;
mod repair;
mod rewrite;
mod siphash;
#[cfg(test)]
mod tests;
pub(crate) mod tunnel;

use crate::output::{Output, OutputError, Progress};
use anonymise::Anonymiser;
use frame::{Frame, Refusal};
use overlay_captures::{Chunk, Direction, Format, Interface, Reader, Record};
use overlay_decoder::{LinkType, Vni, Walker};
use place::{Map, Set};
use rewrite::Reach;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::Path;
use tunnel::Tunnel;

/// What is done to every packet, in the order of the fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recipe {
    /// Take this many tunnels off, the outermost first.
    pub(crate) decap: usize,
    /// Then put it into this one.
    pub(crate) encap: Option<Tunnel>,
    /// Other numbers for virtual networks.
    pub(crate) vni_map: Vec<(Vni, Vni)>,
    /// Other addresses, ports or tags at a place.
    pub(crate) sets: Vec<Set>,
    /// Others for others.
    pub(crate) maps: Vec<Map>,
    /// The key to make it anonymous with.
    pub(crate) anonymise: Option<[u8; 16]>,
    /// The longest outer IP packet.
    pub(crate) mtu: Option<u32>,
    /// What becomes of packets that cannot be edited.
    pub(crate) refused: OnRefusal,
}

/// What becomes of a packet that cannot be edited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub(crate) enum OnRefusal {
    /// It is written as it was.
    #[default]
    Keep,
    /// It is left out.
    Drop,
    /// Nothing is written at all.
    Fail,
}

/// One step.
struct Step {
    name: String,
    what: What,
    /// How often it found what it speaks of, whatever came of it.
    found: u64,
}

enum What {
    Decap,
    Encap(Tunnel),
    Vni(HashMap<Vni, Vni>),
    Set(Set),
    Maps(Vec<Map>),
    Anonymise(Box<Anonymiser>),
    Cut(u32),
}

/// Edits packets one by one.
pub(crate) struct Editor {
    steps: Vec<Step>,
    walker: Walker,
    refused: OnRefusal,
    anonymous: bool,
    report: Report,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Report {
    /// Packets that were read.
    pub(crate) read: u64,
    /// Packets that are another now.
    pub(crate) changed: u64,
    /// Packets that could not be edited: why, how many, and the first one's number.
    pub(crate) refused: BTreeMap<String, (u64, u64)>,
    /// Packets that are left out of the output.
    pub(crate) left_out: u64,
    /// Steps that found nothing to do in any packet.
    pub(crate) idle: Vec<String>,
}

impl Report {
    /// Whether everything that was asked for was done.
    pub(crate) fn is_complete(&self) -> bool {
        self.refused.is_empty() && self.idle.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        writeln!(f, "{} packet{} read, {} changed, {} left out", self.read, plural(self.read), self.changed, self.left_out)?;
        for (why, (count, first)) in &self.refused {
            writeln!(f, "{count} packet{} not edited, the first is number {first}: {why}", plural(*count))?;
        }
        for step in &self.idle {
            writeln!(f, "{step}: no packet has what it speaks of")?;
        }
        Ok(())
    }
}

/// What one packet became.
pub(crate) enum Edited {
    /// This.
    Frame(Frame),
    /// It is left out.
    LeftOut,
    /// It cannot be edited, and the user wants nothing then.
    Failed(String),
}

impl Editor {
    /// An editor for a recipe.
    pub(crate) fn new(recipe: &Recipe) -> Self {
        let step = |name: String, what: What| Step { name, what, found: 0 };
        let mut steps: Vec<Step> = (0..recipe.decap).map(|_| step("--decap".to_owned(), What::Decap)).collect();
        steps.extend(recipe.encap.map(|tunnel| step("--encap".to_owned(), What::Encap(tunnel))));
        if !recipe.vni_map.is_empty() {
            steps.push(step("--vni-map".to_owned(), What::Vni(recipe.vni_map.iter().copied().collect())));
        }
        steps.extend(recipe.sets.iter().map(|set| step(format!("--set {set}"), What::Set(*set))));
        if let Some(first) = recipe.maps.first() {
            // All at once, so that two addresses can be exchanged.
            steps.push(step(format!("--map {first}"), What::Maps(recipe.maps.clone())));
        }
        steps.extend(recipe.anonymise.map(|key| step("--anonymise".to_owned(), What::Anonymise(Box::new(Anonymiser::new(key))))));
        steps.extend(recipe.mtu.map(|mtu| step("--mtu".to_owned(), What::Cut(mtu))));
        let anonymous = recipe.anonymise.is_some();
        Self { steps, walker: Walker::default(), refused: recipe.refused, anonymous, report: Report::default() }
    }

    /// What becomes of a packet.
    pub(crate) fn edit(&mut self, record: &Record<'_>) -> Edited {
        self.report.read += 1;
        let original = Frame::of(record);
        let mut frame = original.clone();
        for step in &mut self.steps {
            match step.what.apply(&mut frame, &mut self.walker) {
                Ok(found) => step.found += u64::from(found),
                Err(Refusal(why)) => {
                    step.found += 1;
                    let why = format!("{}: {why}", step.name);
                    if self.refused == OnRefusal::Fail {
                        return Edited::Failed(format!("packet {}: {why}", record.number));
                    }
                    self.report.refused.entry(why).or_insert((0, record.number)).0 += 1;
                    if self.anonymous || self.refused == OnRefusal::Drop {
                        self.report.left_out += 1;
                        return Edited::LeftOut;
                    }
                    return Edited::Frame(original);
                }
            }
        }
        self.report.changed += u64::from(frame != original);
        Edited::Frame(frame)
    }

    /// What was done.
    pub(crate) fn report(mut self) -> Report {
        if self.report.read > 0 {
            // A capture in which nothing is too long is what the limit is for.
            let idle = self.steps.iter().filter(|step| step.found == 0 && !matches!(step.what, What::Cut(_)));
            self.report.idle = idle.map(|step| step.name.clone()).collect();
            self.report.idle.dedup();
        }
        self.report
    }
}

impl What {
    /// Does it. Whether there was something to do.
    fn apply(&mut self, frame: &mut Frame, walker: &mut Walker) -> Result<bool, Refusal> {
        match self {
            Self::Decap => tunnel::decapsulate(frame, walker),
            Self::Encap(tunnel) => tunnel.encapsulate(frame).map(|()| true),
            Self::Vni(map) => in_place(frame, walker, |frame, layers| Ok(rewrite::vnis(frame, layers, |vni| map.get(&vni).copied()))),
            Self::Set(set) => in_place(frame, walker, |frame, layers| {
                let packets = layers.packets();
                Ok(rewrite::visit(frame, layers, Reach::Headers, &mut |depth, found, _| {
                    set.place.means(depth, packets, found).then_some(set.value)
                }))
            }),
            Self::Maps(maps) => in_place(frame, walker, |frame, layers| {
                let packets = layers.packets();
                Ok(rewrite::visit(frame, layers, Reach::Messages, &mut |depth, found, value| {
                    maps.iter().filter(|map| map.place.means(depth, packets, found)).find_map(|map| map.of(value))
                }))
            }),
            Self::Anonymise(anonymiser) => in_place(frame, walker, |frame, layers| anonymiser.apply(frame, layers).map(|()| true)),
            Self::Cut(mtu) => cut::cut(frame, *mtu, walker),
        }
    }
}

/// Edits bytes where they are, and makes the checksums right if any was changed.
fn in_place(
    frame: &mut Frame,
    walker: &mut Walker,
    edit: impl FnOnce(&mut Frame, &frame::Layers) -> Result<bool, Refusal>,
) -> Result<bool, Refusal> {
    let old = frame.clone();
    let layers = frame.layers(walker);
    let hit = edit(frame, &layers)?;
    if *frame != old {
        repair::repair(&old, frame, &layers, walker)?;
    }
    Ok(hit)
}

/// What is said of an interface. Its name and description may say whose it is: made anonymous, it has its number.
fn described(interface: &Interface, link: LinkType, is_anonymous: bool) -> Interface {
    let same = Interface { link, ..interface.clone() };
    if !is_anonymous {
        return same;
    }
    let name = same.name.as_ref().map(|_| format!("if{}", same.index));
    Interface { name, description: None, mac: None, ..same }
}

/// Edits the capture `input` into `output`: there is all of it afterwards, or nothing new.
pub(crate) fn run(recipe: &Recipe, input: &Path, output: &Path, format: Option<Format>) -> Result<Report, OutputError> {
    let mut reader = Reader::open(input).map_err(|error| OutputError(error.to_string()))?;
    let format = format.or_else(|| Format::from_path(output)).unwrap_or_else(|| reader.format());
    // A nanosecond that was there stays.
    let format = match (format, reader.format()) {
        (Format::Pcap, Format::PcapNano | Format::Pcapng) => Format::PcapNano,
        (format, _) => format,
    };
    let mut editor = Editor::new(recipe);
    let mut progress = Progress::over(input, "edited");
    let mut interfaces: HashMap<(u32, u32, LinkType), Interface> = HashMap::new();
    Output::write(output, format, |writer| {
        let mut chunk = Chunk::new();
        while reader.next_chunk(&mut chunk).map_err(|error| OutputError(error.to_string()))? {
            for record in chunk.records() {
                let frame = match editor.edit(&record) {
                    Edited::Frame(frame) => frame,
                    Edited::LeftOut => continue,
                    Edited::Failed(why) => return Err(OutputError(format!("{}: {why}", input.display()))),
                };
                let interface = record.interface.map(|interface| {
                    &*interfaces
                        .entry((interface.section, interface.index, frame.link))
                        .or_insert_with(|| described(interface, frame.link, recipe.anonymise.is_some()))
                });
                let mut edited = Record::new(frame.link, record.timestamp.unwrap_or_default(), &frame.bytes).with_len(frame.len);
                edited.timestamp = record.timestamp;
                if let Some(interface) = interface {
                    edited = edited.with_interface(interface);
                }
                if let Some(direction @ (Direction::Inbound | Direction::Outbound)) =
                    record.direction().filter(|_| record.interface.is_some())
                {
                    edited = edited.with_direction(direction);
                }
                if let Some(dropped) = record.dropped() {
                    edited = edited.with_dropped(dropped);
                }
                // Comments may say who somebody is.
                let comments: Vec<_> =
                    if recipe.anonymise.is_none() && record.may_have_comments() { record.comments().collect() } else { Vec::new() };
                let comments: Vec<&str> = comments.iter().map(AsRef::as_ref).collect();
                writer.write(&edited.with_comments(&comments)).map_err(|error| OutputError(error.to_string()))?;
            }
            progress.at(reader.position());
        }
        Ok(())
    })?;
    progress.done();
    Ok(editor.report())
}
