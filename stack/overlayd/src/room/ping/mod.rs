//! How is another end pinged? The owner's part: what is to be sent is checked, sent at once, and answers go to who waits for them.
//!
//! ```text
//!  call ──► run: one after the other, waits ──► begin, send, end ──► Room: engine, sockets
//!            ▲                    ▲
//!            └── answers, ICMP ───┘            findings: what follows from it, in sentences
//! ```
//!
//! Times are the engine's clock on both ends: from the call that sends to the thread that received the answer. Who waits in between, and how
//! long the caller's own process takes, does not count.

mod findings;
mod run;

pub(crate) use run::run;

use super::Room;
use crate::data::{reason_of, try_send};
use crate::sys::{Loss, Refusals};
use overlay_api::control::{
    FrameWords, OverlayState, PING_COUNT_MAX, PING_INTERVAL_MIN_MS, PING_WAIT_MAX_MS, PingRequest, PingTarget, Problem, TraceFrame,
    TraceRequest,
};
use overlay_api::{DeviceId, DropReason, LinkName, Verdict};
use overlay_decoder::{Mac, Ul3};
use overlay_engine::Time;
use overlay_engine::ping::{ADDRESS, ETHERTYPE, PingSpec, Pong, SIZE_MAX, SIZE_MIN};
use std::io::Read;
use std::net::IpAddr;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Answers that wait for the task; one is waited for at a time.
const PONGS: usize = 64;

/// A ping that is under way.
#[derive(Debug)]
pub(crate) struct Pinging {
    device: DeviceId,
    /// Who is pinged, and alone may answer.
    to: IpAddr,
    pongs: Sender<Pong>,
}

/// A ping that has begun.
#[derive(Debug)]
pub(crate) struct Begun {
    id: u64,
    overlay: LinkName,
    to: Ul3,
    steps: Vec<String>,
    /// Bytes of the IP packet in the underlay that are not the inner packet.
    around: u32,
    mtu: u32,
    /// Bytes of the largest IP packet of the underlay's own link.
    link_mtu: u32,
    /// Whether frames of tenants are fragmented where they are too big.
    fragments: bool,
    state: OverlayState,
    reason: Option<String>,
    pongs: Receiver<Pong>,
    /// Who says why pings do not arrive; or why that cannot be heard.
    refusals: Result<Refusals, String>,
}

/// Why a ping was not sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Unsent {
    /// The kernel knows that it is longer than the way there takes: IP packets of so many bytes, if it says.
    TooBig(Option<u32>),
    /// The socket's buffer is full just now.
    Full,
    /// Something else, in a sentence.
    Failed(String),
}

/// Where a MAC is.
pub(crate) enum Found {
    /// There.
    At(Ul3, Vec<String>),
    /// Somebody is being asked.
    Asking(String),
}

impl Room {
    /// Where pings to a MAC go: what a frame's way is, asked for as a frame asks if `ask` says so.
    pub(crate) fn find_for_ping(&mut self, name: &LinkName, mac: Mac, ask: bool) -> Result<Found, Problem> {
        if mac.is_group() {
            return Err(Problem::wrong(format_args!("to: {mac} is a group address; that of one host is allowed")));
        }
        let words = FrameWords { dst: mac, src: Some(ADDRESS), ethertype: Some(ETHERTYPE), vlan: None, size: Some(SIZE_MIN) };
        let frame = TraceFrame::Words(words);
        let trace = self.trace(name, &TraceRequest { frame: frame.clone(), vnic: None })?;
        let last = trace.steps.last().cloned().unwrap_or_default();
        match trace.verdict {
            Verdict::Transmit { to, .. } => match to.first() {
                Some(ul3) => Ok(Found::At(*ul3, trace.steps)),
                None => Err(Problem::clash(format_args!("overlay {name}: frames to {mac} go nowhere: {last}"))),
            },
            Verdict::Pending { .. } => {
                if ask {
                    let device = self.named(name)?.1.id;
                    let bytes = frame.bytes(ADDRESS)?;
                    self.control.resend(device, &bytes, self.clock.now()).map_err(Problem::clash)?;
                }
                Ok(Found::Asking(trace.steps.join("; ")))
            }
            Verdict::Deliver { ports, .. } => {
                let ports = ports.join(", ");
                Err(Problem::clash(format_args!(
                    "overlay {name}: {mac} is VNIC {ports} of this host; nothing to ping goes over the underlay"
                )))
            }
            Verdict::Drop { reason, .. } => {
                Err(Problem::clash(format_args!("overlay {name}: frames to {mac} are dropped ({reason}): {last}")))
            }
            Verdict::Answered { .. } => Err(Problem::failed(format_args!("overlay {name}: frames to {mac} are answered here"))),
        }
    }

    /// A ping begins.
    pub(crate) fn begin_ping(
        &mut self,
        name: &LinkName,
        request: &PingRequest,
        found: Option<(Ul3, Vec<String>)>,
    ) -> Result<Begun, Problem> {
        check(request)?;
        let overlay = self.overlay(name)?;
        let (config, info) = self.named(name)?;
        let (encapsulation, device, underlay) = (config.encapsulation.clone(), info.id, info.underlay);
        let (to, steps) = match (&request.to, found) {
            (_, Some(found)) => found,
            (Some(PingTarget::Ul3(to)), None) => (*to, Vec::new()),
            (Some(PingTarget::Mac(mac)), None) => return Err(Problem::failed(format_args!("{mac}: was not looked for"))),
            (None, None) => match self.control.property(device, "direct/dest_ip").ok().flatten().and_then(|ip| ip.parse().ok()) {
                Some(ip) => (Ul3 { ip, port: None }, Vec::new()),
                None => {
                    let problem = format!("to: is needed, as overlay {name} has many destinations: an underlay address or a MAC");
                    return Err(Problem::wrong(problem));
                }
            },
        };
        if overlay.state == OverlayState::Down {
            let reason = overlay.reason.unwrap_or_default();
            return Err(Problem::clash(format_args!("overlay {name}: is down, so nothing can be sent: {reason}")));
        }
        let udp = overlay.listen.port.is_some();
        let to = if udp { self.control.ping_target(device, to).unwrap_or(to) } else { to };
        let around = self.control.ping_packet(device, to.ip, 0).unwrap_or(0);
        let mut id = [0; 8];
        let random = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut id));
        random.map_err(|error| Problem::failed(format_args!("no random number: {error}")))?;
        let id = u64::from_ne_bytes(id).max(1);
        // What cannot be sent at all is said at once.
        let spec = PingSpec { id, sequence: 0, size: request.size, to, whole: false };
        self.control.check_ping(device, &spec).map_err(Problem::wrong)?;
        let io = self.threads.shared().io.load();
        let sockets = io.underlays.get(&underlay).map(|open| open.sockets.clone());
        let refusals = match sockets {
            Some(sockets) => sockets.refusals(to).map_err(|error| error.to_string()),
            None => Err("the underlay is not open".to_owned()),
        };
        let df = self.control.property(device, "outer/df").ok().flatten();
        self.sweep_pings();
        self.control.open_ping(device, id).map_err(Problem::clash)?;
        let (send, pongs) = channel(PONGS);
        self.pings.insert(id, Pinging { device, to: to.ip.to_canonical(), pongs: send });
        tracing::debug!("overlay {name} ({encapsulation}): ping {id:#x} to {to} begins");
        Ok(Begun {
            id,
            overlay: name.clone(),
            to,
            steps,
            around,
            mtu: overlay.mtu,
            link_mtu: self.underlays.get(&underlay).map_or(u32::MAX, |wanted| wanted.mtu),
            fragments: to.ip.is_ipv4() && df.as_deref() == Some("clear"),
            state: overlay.state,
            reason: overlay.reason,
            pongs,
            refusals,
        })
    }

    /// Ends those whose caller went before he was told that they had begun: nobody else does.
    fn sweep_pings(&mut self) {
        let gone: Vec<_> = self.pings.iter().filter(|(_, ping)| ping.pongs.is_closed()).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.end_ping(id));
    }

    /// Sends one. Says when.
    pub(crate) fn send_ping(&mut self, id: u64, spec: &PingSpec) -> Result<Time, Unsent> {
        let gone = || Unsent::Failed("the overlay has been deleted".to_owned());
        let device = self.pings.get(&id).ok_or_else(gone)?.device;
        let sending = self.control.ping(device, spec).map_err(|refusal| Unsent::Failed(refusal.to_string()))?;
        let io = self.threads.shared().io.load_full();
        let now = self.clock.now();
        let Err(loss) = try_send(&io, &sending, self.queues) else { return Ok(now) };
        self.control.lost(&sending, loss.map_or(DropReason::SendFailed, reason_of));
        match loss {
            Some(Loss::TooBig { mtu }) => {
                let link = self.underlays.get(&sending.underlay).map_or(0, |wanted| wanted.mtu);
                if let Some(mtu) = mtu.filter(|mtu| *mtu < link) {
                    // Tenants are told from now on, as if one of their frames had found it out.
                    self.note_small_path(sending.underlay, spec.to.ip, mtu);
                }
                Err(Unsent::TooBig(mtu))
            }
            Some(Loss::Full) => Err(Unsent::Full),
            Some(Loss::Failed(errno)) => Err(Unsent::Failed(format!("this host cannot send there: {}", errno.desc()))),
            None => Err(Unsent::Failed("the underlay is not open".to_owned())),
        }
    }

    /// A ping is over.
    pub(crate) fn end_ping(&mut self, id: u64) {
        if let Some(ping) = self.pings.remove(&id) {
            self.control.close_ping(ping.device, id);
        }
    }

    /// An answer has come.
    pub(crate) fn handle_pong(&mut self, pong: &Pong) {
        let Some(ping) = self.pings.get(&pong.ping.id) else { return };
        let from = pong.from.ip.to_canonical();
        if from != ping.to {
            tracing::debug!("ping {:#x} to {}: an answer from {from} does not count", pong.ping.id, ping.to);
            return;
        }
        // Who waited may have gone. More than he can have asked for is nothing that he waits for.
        if let Err(TrySendError::Full(_)) = ping.pongs.try_send(*pong) {
            tracing::debug!("ping {:#x} to {from}: too many answers", pong.ping.id);
        }
    }
}

fn check(request: &PingRequest) -> Result<(), Problem> {
    let PingRequest { size, count, interval_ms, timeout_ms, .. } = *request;
    for (name, value, min, max) in [
        ("size", size, SIZE_MIN, SIZE_MAX),
        ("count", count, 1, PING_COUNT_MAX),
        ("interval_ms", interval_ms, PING_INTERVAL_MIN_MS, PING_WAIT_MAX_MS),
        ("timeout_ms", timeout_ms, 1, PING_WAIT_MAX_MS),
    ] {
        if !(min..=max).contains(&value) {
            return Err(Problem::wrong(format_args!("{name}: {value} is not allowed; {min}-{max} is")));
        }
    }
    Ok(())
}
