//! Ethernet frames as they are, VLAN tags and all: sent and received on an interface of the current network namespace.

use crate::{LabError, Namespace};
use pcap::{Active, Capture};
use std::time::{Duration, Instant};

/// More than any frame on a lab's links, super-frames of 64 KiB and their headers included.
const SNAPLEN_BYTES: i32 = 1 << 18;
/// Between two looks at an idle interface.
const POLL: Duration = Duration::from_millis(2);

/// Sends a frame (from the destination MAC on, without checksum) `count` times on an interface of the current namespace.
///
/// # Errors
///
/// When there is no such interface, it is down, or the frame is too long for it.
pub fn send_frame(interface: &str, frame: &[u8], count: u32) -> Result<(), LabError> {
    let mut capture = open(interface)?;
    (0..count).try_for_each(|_| capture.sendpacket(frame)).map_err(failed(interface))
}

/// The frames that pass an interface, from when this was made on.
pub struct Frames {
    capture: Capture<Active>,
    interface: String,
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Frames").field("interface", &self.interface).finish_non_exhaustive()
    }
}

impl Frames {
    /// Starts to listen on an interface of the current namespace, to what passes `filter` (pcap-filter(7); empty: everything).
    ///
    /// # Errors
    ///
    /// When there is no such interface, or the filter is not understood.
    pub fn listen(interface: &str, filter: &str) -> Result<Self, LabError> {
        let mut capture = open(interface)?.setnonblock().map_err(failed(interface))?;
        capture.filter(filter, true).map_err(failed(interface))?;
        Ok(Self { capture, interface: interface.to_owned() })
    }

    /// The next frame; `None` when none came within `ceiling`.
    ///
    /// # Errors
    ///
    /// When the interface is gone.
    pub fn next(&mut self, ceiling: Duration) -> Result<Option<Vec<u8>>, LabError> {
        let deadline = Instant::now() + ceiling;
        loop {
            let last = Instant::now() >= deadline;
            match self.capture.next_packet() {
                Ok(packet) => return Ok(Some(packet.data.to_vec())),
                Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) if last => return Ok(None),
                Err(pcap::Error::TimeoutExpired | pcap::Error::NoMorePackets) => std::thread::sleep(POLL),
                Err(error) => return Err(failed(&self.interface)(error)),
            }
        }
    }
}

fn open(interface: &str) -> Result<Capture<Active>, LabError> {
    let device = Capture::from_device(interface).map_err(failed(interface))?;
    device.promisc(true).immediate_mode(true).snaplen(SNAPLEN_BYTES).open().map_err(failed(interface))
}

fn failed(interface: &str) -> impl FnOnce(pcap::Error) -> LabError {
    let interface = interface.to_owned();
    move |source| LabError::Frames { interface, source }
}

impl Namespace {
    /// [`send_frame`] here.
    ///
    /// # Errors
    ///
    /// As [`send_frame`].
    pub fn send_frame(&self, interface: &str, frame: &[u8], count: u32) -> Result<(), LabError> {
        self.enter(|| send_frame(interface, frame, count))?
    }

    /// [`Frames::listen`] here.
    ///
    /// # Errors
    ///
    /// As [`Frames::listen`].
    pub fn frames(&self, interface: &str, filter: &str) -> Result<Frames, LabError> {
        self.enter(|| Frames::listen(interface, filter))?
    }
}
