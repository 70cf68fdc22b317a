//! What passes the interfaces of this host right now? Capture handles of libpcap, several at once, in any namespace.
//!
//! One thread serves all handles. Each has a ring in memory that the kernel fills (TPACKET_V3) and hands over block by block, when
//! one is full or after [`BLOCK_MILLISECONDS`]; reading is one call per block, and waiting is poll(2) over all of them and over
//! whatever else the caller must hear of, such as signals. Nothing sleeps inside libpcap, so that nothing has to be broken out of.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use overlay_decoder::{LinkType, Mac, Timestamp, Vni};
use pcap::{Active, Capture, Linktype, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::chunk::{Chunk, WINDOW_BYTES};
use crate::host::{HostError, Kernel, Namespace};
use crate::interface::Interface;
use crate::record::Direction;

mod counts;

pub use counts::Counts;
use counts::Tally;

/// How long the kernel may keep packets of a block that is not full: the delay that a quiet interface adds.
pub const BLOCK_MILLISECONDS: i32 = 50;
/// Packets that are taken from a handle at once. Super-frames have 64 KiB and more, so that a chunk grows by some megabytes at most
/// before its size is looked at.
const TURN_PACKETS: usize = 64;
/// How often counts are asked for, whether anybody wants them or not: they have 32 bits, which no link fills within this time.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// How often an interface that seems to be fine, and is refused, is tried.
const TRIES: u32 = 3;
/// The interface of libpcap that stands for all of a namespace.
const ANY: &str = "any";
/// `DLT_RAW` of Linux, which files know as `LINKTYPE_RAW`.
const DLT_RAW: i32 = 12;

/// How interfaces are opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Most bytes captured of one packet.
    pub snaplen: u32,
    /// Whether packets for other stations are taken, too.
    pub promiscuous: bool,
    /// Memory of the ring of each handle.
    pub buffer_bytes: u32,
    /// Packets of one direction only.
    pub direction: Option<Direction>,
}

/// An interface to be opened.
#[derive(Clone, Debug)]
pub struct Place {
    /// The namespace that it is in.
    pub namespace: Namespace,
    /// Its name there, or `any`.
    pub interface: String,
    /// What output calls it: the name, with the namespace in front where there are several.
    pub label: String,
    /// Its own address, if it has one.
    pub mac: Option<Mac>,
    /// Its virtual network, if it is a tunnel device.
    pub vni: Option<Vni>,
}

/// What becomes of a place that is gone, or down, when it is to be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// Nothing is opened: it was asked for.
    Refuse,
    /// The others are opened, and [`Live::take_ended`] tells of it: it was found, and things come and go.
    LeaveOut,
}

/// Why an interface cannot be captured on, or no longer.
#[derive(Clone, Debug)]
pub struct LiveError {
    /// What output calls the interface.
    pub label: String,
    /// Whether a right is missing.
    pub is_permission: bool,
    /// Whether the interface or its namespace is there no more, or the interface is down.
    pub is_away: bool,
    /// What is wrong, in libpcap's words or ours.
    pub reason: String,
}

impl LiveError {
    fn new(label: &str, error: &pcap::Error) -> Self {
        let reason = match error {
            pcap::Error::PcapError(text) => text.clone(),
            other => other.to_string(),
        };
        let lower = reason.to_lowercase();
        let is_permission = lower.contains("permission") || lower.contains("not permitted");
        Self { label: label.into(), is_permission, is_away: false, reason }
    }

    /// What a place that could not be opened says: where it is gone or down, that, whatever libpcap made of it.
    fn of_opening(place: &Place, error: Self) -> Self {
        let away = |reason: String| Self { label: place.label.clone(), is_away: true, is_permission: false, reason };
        match Kernel::open(&place.namespace).and_then(|mut kernel| kernel.link_named(&place.interface)) {
            Ok(None) if place.interface != ANY => away("was removed meanwhile".into()),
            Ok(Some(link)) if !link.up => away("the interface is down".into()),
            Err(gone) if gone.is_gone() => away(gone.to_string()),
            _ => error,
        }
    }
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // libpcap starts some of its sentences with the device's name.
        let reason = self.reason.strip_prefix(&self.label).map_or(self.reason.as_str(), |rest| rest.trim_start_matches([':', ' ']));
        write!(f, "{}: {reason}", self.label)
    }
}

impl std::error::Error for LiveError {}

/// One open handle.
struct Tap {
    capture: Capture<Active>,
    interface: Arc<Interface>,
    /// Kept for when the interface is gone.
    tally: Tally,
    ended: bool,
}

impl Tap {
    fn open(place: &Place, options: Options) -> Result<Self, LiveError> {
        let mut tries = 1;
        loop {
            match Self::try_open(place, options) {
                // There and up, and still refused: it may have come up between the refusal and the look.
                Err(error) if tries < TRIES && !error.is_away && !error.is_permission => tries += 1,
                result => return result,
            }
        }
    }

    fn try_open(place: &Place, options: Options) -> Result<Self, LiveError> {
        let error = |error: pcap::Error| LiveError::new(&place.label, &error);
        let open = || {
            let buffer = i32::try_from(options.buffer_bytes).unwrap_or(i32::MAX);
            let snaplen = i32::try_from(options.snaplen).unwrap_or(i32::MAX);
            let mut capture = Capture::from_device(place.interface.as_str())?
                .promisc(options.promiscuous)
                .snaplen(snaplen)
                .buffer_size(buffer)
                .timeout(BLOCK_MILLISECONDS)
                .precision(Precision::Nano)
                .open()?;
            if capture.get_datalink() == Linktype(i32::from(LinkType::LINUX_SLL.0)) {
                // The second version names the interface of each packet. Older kernels and libpcaps have only the first.
                let _ = capture.set_datalink(Linktype(i32::from(LinkType::LINUX_SLL2.0)));
            }
            if let Some(direction) = options.direction {
                capture.direction(match direction {
                    Direction::Inbound => pcap::Direction::In,
                    Direction::Outbound => pcap::Direction::Out,
                })?;
            }
            capture.setnonblock()
        };
        let inside = |reason: HostError| LiveError {
            label: place.label.clone(),
            is_permission: false,
            is_away: reason.is_gone(),
            reason: reason.to_string(),
        };
        let capture = place.namespace.run(open).map_err(inside)?.map_err(|refusal| LiveError::of_opening(place, error(refusal)))?;
        let link = match capture.get_datalink() {
            Linktype(DLT_RAW) => LinkType::RAW,
            Linktype(number) => LinkType(u16::try_from(number).unwrap_or(u16::MAX)),
        };
        let interface = Interface {
            snaplen: options.snaplen,
            description: (!place.namespace.is_current()).then(|| format!("{} in namespace {}", place.interface, place.namespace)),
            mac: place.mac,
            vni: place.vni,
            ..Interface::named(place.label.clone(), link)
        };
        Ok(Self { capture, interface: Arc::new(interface), tally: Tally::start(place), ended: false })
    }

    fn label(&self) -> &str {
        self.interface.name.as_deref().unwrap_or("?")
    }

    /// Appends what the kernel has handed over.
    fn read(&mut self, chunk: &mut Chunk) -> Result<(), LiveError> {
        let Self { capture, interface, tally, .. } = self;
        let link = interface.link;
        while chunk.filled_bytes() < WINDOW_BYTES {
            let read = capture.dispatch(Some(TURN_PACKETS), |packet| {
                let header = packet.header;
                // With nanosecond precision, libpcap puts nanoseconds where the name says microseconds.
                let nanoseconds = u32::try_from(header.ts.tv_usec).unwrap_or(0);
                chunk.push(link, Timestamp::new(header.ts.tv_sec, nanoseconds), header.len, packet.data, Some(interface));
            });
            match read {
                Ok(0) | Err(pcap::Error::TimeoutExpired) => break,
                Ok(packets) => tally.add_captured(packets as u64),
                Err(error) => return Err(LiveError::new(self.label(), &error)),
            }
        }
        Ok(())
    }

    fn counts(&mut self) -> Counts {
        let stat = self.capture.stats().ok();
        self.tally.update(stat)
    }
}

/// Opens places one by one; those that are away may be left out, as long as one is left.
fn open_each<T>(
    places: &[Place],
    missing: Missing,
    mut open: impl FnMut(&Place) -> Result<T, LiveError>,
) -> Result<(Vec<T>, Vec<LiveError>), LiveError> {
    let (mut opened, mut away) = (Vec::new(), Vec::new());
    for place in places {
        match open(place) {
            Ok(one) => opened.push(one),
            Err(error) if error.is_away && missing == Missing::LeaveOut => away.push(error),
            Err(error) => return Err(error),
        }
    }
    match away.pop() {
        Some(last) if opened.is_empty() => Err(last),
        last => {
            away.extend(last);
            Ok((opened, away))
        }
    }
}

/// What ended a wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Woken {
    /// Packets, or the end of an interface: [`Live::fill`] tells.
    Packets,
    /// The wake-up of this index is readable.
    Wake(usize),
    /// The time is over, or the wait was interrupted.
    Nothing,
}

/// Open interfaces.
pub struct Live {
    taps: Vec<Tap>,
    records: u64,
    ended: Vec<LiveError>,
    missing: Missing,
    /// When all counts were asked for.
    counted: Instant,
}

impl Live {
    /// Opens interfaces: all or none, but for those that `missing` allows to be left out.
    ///
    /// # Errors
    ///
    /// That of the first one that cannot be opened; where all are away, that of the last.
    pub fn open(places: &[Place], options: Options, missing: Missing) -> Result<Self, LiveError> {
        let (taps, ended) = open_each(places, missing, |place| Tap::open(place, options))?;
        Ok(Self { taps, records: 0, ended, missing, counted: Instant::now() })
    }

    /// The open interfaces.
    pub fn interfaces(&self) -> impl Iterator<Item = &Arc<Interface>> {
        self.taps.iter().map(|tap| &tap.interface)
    }

    /// Sets the kernel half of a filter: `text` gives it for a link type, `None` for everything
    /// ([`Filter::live_prefilter`](crate::filter::Filter::live_prefilter)).
    ///
    /// What passes a tunnel device is in its network without a tunnel header that the kernel's filter could look for: with
    /// `by_decoding`, a tunnel device gets no filter.
    ///
    /// # Errors
    ///
    /// When libpcap refuses the expression. An interface that is away is one that ended, where that is allowed.
    pub fn set_filter(&mut self, by_decoding: bool, text: impl Fn(LinkType) -> Option<String>) -> Result<(), LiveError> {
        let Self { taps, ended, missing, .. } = self;
        for tap in taps.iter_mut().filter(|tap| !(by_decoding && tap.interface.vni.is_some())) {
            let Some(text) = text(tap.interface.link) else { continue };
            // libpcap empties the socket first, where word waits of an interface that went down, and possibly up again.
            if let Err(error) = tap.capture.filter(&text, true) {
                if *missing == Missing::LeaveOut && tap.tally.is_interface_away() {
                    tap.ended = true;
                    ended.push(LiveError { is_away: true, ..LiveError::new(tap.label(), &error) });
                    continue;
                }
                tap.capture.filter(&text, true).map_err(|error| LiveError::new(tap.label(), &error))?;
            }
            if let Ok(stat) = tap.capture.stats() {
                tap.tally.start_over(&stat);
            }
        }
        Ok(())
    }

    /// Fills a chunk with what is there, without waiting. An interface that cannot be read any more is closed;
    /// [`take_ended`](Self::take_ended) tells.
    pub fn fill(&mut self, chunk: &mut Chunk) {
        chunk.clear(self.records + 1);
        for tap in self.taps.iter_mut().filter(|tap| !tap.ended) {
            if chunk.filled_bytes() >= WINDOW_BYTES {
                break;
            }
            if let Err(error) = tap.read(chunk) {
                tap.counts();
                tap.ended = true;
                self.ended.push(error);
            }
        }
        // Whoever was not asked this time is first the next time.
        if !self.taps.is_empty() {
            self.taps.rotate_left(1);
        }
        self.records += chunk.len() as u64;
        if self.counted.elapsed() >= COUNT_EVERY {
            self.counts();
        }
    }

    /// Interfaces that ended since the last call, or were away when they were to be opened, and why.
    pub fn take_ended(&mut self) -> Vec<LiveError> {
        std::mem::take(&mut self.ended)
    }

    /// Whether no interface is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.taps.iter().all(|tap| tap.ended)
    }

    /// Waits for packets, for one of `wakes` to be readable, or for the time to pass.
    ///
    /// # Errors
    ///
    /// Those of poll(2); an interrupted wait is none.
    pub fn wait(&self, wakes: &[BorrowedFd<'_>], timeout: Option<Duration>) -> std::io::Result<Woken> {
        let taps = self.taps.iter().filter(|tap| !tap.ended).map(|tap| PollFd::new(&tap.capture, PollFlags::IN));
        let mut fds: Vec<PollFd<'_>> = wakes.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).chain(taps).collect();
        let timeout =
            timeout.map(|time| Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(Woken::Nothing),
            Ok(_) => Ok(match fds.iter().position(|fd| !fd.revents().is_empty()) {
                Some(index) if index < wakes.len() => Woken::Wake(index),
                Some(_) => Woken::Packets,
                None => Woken::Nothing,
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// What each handle saw until now.
    pub fn counts(&mut self) -> Vec<(Arc<Interface>, Counts)> {
        self.counted = Instant::now();
        self.taps.iter_mut().map(|tap| (Arc::clone(&tap.interface), tap.counts())).collect()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.taps.iter().map(Tap::label)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(interface: &str) -> Place {
        let namespace = Namespace::current().unwrap();
        Place { namespace, interface: interface.into(), label: interface.into(), mac: None, vni: None }
    }

    fn error(place: &Place, is_away: bool) -> LiveError {
        LiveError { label: place.label.clone(), is_permission: false, is_away, reason: "no".into() }
    }

    /// `gone*` is gone, `bad*` cannot be opened, the rest is fine.
    fn open(places: &[&str], missing: Missing) -> Result<(Vec<String>, Vec<String>), String> {
        let places: Vec<Place> = places.iter().map(|name| place(name)).collect();
        let opened = open_each(&places, missing, |place| match place.interface.get(..3) {
            Some("gon") => Err(error(place, true)),
            Some("bad") => Err(error(place, false)),
            _ => Ok(place.interface.clone()),
        });
        let labels = |errors: Vec<LiveError>| errors.into_iter().map(|error| error.label).collect();
        opened.map(|(opened, gone)| (opened, labels(gone))).map_err(|error| error.label)
    }

    #[test]
    fn what_was_found_and_is_gone_is_left_out_and_told_and_the_others_are_opened() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(open(&["gone1", "ul0", "gone2", "lo"], Missing::LeaveOut), Ok((names(&["ul0", "lo"]), names(&["gone1", "gone2"]))));
        assert_eq!(open(&["ul0"], Missing::LeaveOut), Ok((names(&["ul0"]), names(&[]))));
        assert_eq!(open(&["gone1", "gone2"], Missing::LeaveOut), Err("gone2".into()), "nothing is left to capture on");
        assert_eq!(open(&["ul0", "bad", "gone1"], Missing::LeaveOut), Err("bad".into()), "another fault is one");
    }

    #[test]
    fn what_was_asked_for_and_is_gone_is_an_error() {
        assert_eq!(open(&["ul0", "gone1", "lo"], Missing::Refuse), Err("gone1".into()));
    }

    #[test]
    fn an_interface_that_is_not_there_is_said_to_be_gone_whatever_libpcap_says() {
        let missing = place("no-such-one");
        let told = LiveError::of_opening(&missing, error(&missing, false));
        assert_eq!((told.is_away, told.to_string().as_str()), (true, "no-such-one: was removed meanwhile"));
        for name in ["lo", ANY] {
            let there = place(name);
            assert_eq!(LiveError::of_opening(&there, error(&there, false)).to_string(), format!("{name}: no"));
        }
    }
}
