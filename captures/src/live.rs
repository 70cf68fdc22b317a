//! What passes the interfaces of this host right now? Capture handles of libpcap, several at once, in any namespace.
//!
//! One thread serves all handles. Each has a ring in memory that the kernel fills (TPACKET_V3) and hands over block by block, when
//! one is full or after [`BLOCK_MILLISECONDS`]; reading is one call per block, and waiting is poll(2) over all of them and over
//! whatever else the caller must hear of, such as signals. Nothing sleeps inside libpcap, so that nothing has to be broken out of.

use std::fmt;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use overlay_decoder::{LinkType, Mac, Timestamp, Vni};
use pcap::{Active, Capture, Linktype, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::chunk::{Chunk, WINDOW_BYTES};
use crate::host::{HostError, Namespace};
use crate::interface::Interface;
use crate::record::Direction;

/// How long the kernel may keep packets of a block that is not full: the delay that a quiet interface adds.
pub const BLOCK_MILLISECONDS: i32 = 50;
/// Packets that are taken from a handle at once. Super-frames have 64 KiB and more, so that a chunk grows by some megabytes at most
/// before its size is looked at.
const TURN_PACKETS: usize = 64;
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

/// What a handle saw.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Packets that the kernel half of the filter let through.
    pub received: u64,
    /// Packets that found no room in the ring.
    pub dropped: u64,
    /// Packets that the interface itself dropped.
    pub interface_dropped: u64,
}

/// Why an interface cannot be captured on, or no longer.
#[derive(Clone, Debug)]
pub struct LiveError {
    /// What output calls the interface.
    pub label: String,
    /// Whether a right is missing.
    pub is_permission: bool,
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
        Self { label: label.into(), is_permission, reason }
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
    /// The last counts that libpcap gave, kept for when the interface is gone.
    counts: Counts,
    ended: bool,
}

impl Tap {
    fn open(place: &Place, options: Options) -> Result<Self, LiveError> {
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
        let inside = |reason: HostError| LiveError { label: place.label.clone(), is_permission: false, reason: reason.to_string() };
        let capture = place.namespace.run(open).map_err(inside)?.map_err(error)?;
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
        Ok(Self { capture, interface: Arc::new(interface), counts: Counts::default(), ended: false })
    }

    fn label(&self) -> &str {
        self.interface.name.as_deref().unwrap_or("?")
    }

    /// Appends what the kernel has handed over.
    fn read(&mut self, chunk: &mut Chunk) -> Result<(), LiveError> {
        let Self { capture, interface, .. } = self;
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
                Ok(_) => {}
                Err(error) => return Err(LiveError::new(self.label(), &error)),
            }
        }
        Ok(())
    }

    fn counts(&mut self) -> Counts {
        if let Ok(stat) = self.capture.stats() {
            let [received, dropped, interface_dropped] = [stat.received, stat.dropped, stat.if_dropped].map(u64::from);
            // libpcap subtracts what sysfs said at the start, and sysfs may be out of reach by now: below zero there is nothing to tell.
            let interface_dropped = if interface_dropped > u64::from(u32::MAX / 2) { 0 } else { interface_dropped };
            self.counts = Counts { received, dropped, interface_dropped };
        }
        self.counts
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
}

impl Live {
    /// Opens interfaces, all or none.
    ///
    /// # Errors
    ///
    /// That of the first one that cannot be opened.
    pub fn open(places: &[Place], options: Options) -> Result<Self, LiveError> {
        let taps = places.iter().map(|place| Tap::open(place, options)).collect::<Result<_, _>>()?;
        Ok(Self { taps, records: 0, ended: Vec::new() })
    }

    /// The open interfaces.
    pub fn interfaces(&self) -> impl Iterator<Item = &Arc<Interface>> {
        self.taps.iter().map(|tap| &tap.interface)
    }

    /// Sets the kernel half of a filter: `text` gives it for a link type, `None` for everything.
    ///
    /// A frame whose VLAN tag the network card took off looks untagged to the kernel's filter, while the decoder sees the tag put
    /// back: on Ethernet, every tagged frame is let through, unless `exact`. What passes a tunnel device is in its network without a
    /// tunnel header that the kernel's filter could look for: with `by_decoding`, a tunnel device gets no filter.
    ///
    /// # Errors
    ///
    /// When libpcap refuses the expression.
    pub fn set_filter(&mut self, exact: bool, by_decoding: bool, text: impl Fn(LinkType) -> Option<String>) -> Result<(), LiveError> {
        for tap in self.taps.iter_mut().filter(|tap| !(by_decoding && tap.interface.vni.is_some())) {
            let Some(text) = text(tap.interface.link) else { continue };
            let tolerant = format!("({text}) or vlan");
            let is_ethernet = tap.interface.link == LinkType::ETHERNET;
            let set = if is_ethernet && !exact { tap.capture.filter(&tolerant, true) } else { tap.capture.filter(&text, true) };
            set.map_err(|error| LiveError::new(tap.interface.name.as_deref().unwrap_or("?"), &error))?;
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
    }

    /// Interfaces that ended since the last call, and why.
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
        self.taps.iter_mut().map(|tap| (Arc::clone(&tap.interface), tap.counts())).collect()
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.taps.iter().map(Tap::label)).finish()
    }
}
