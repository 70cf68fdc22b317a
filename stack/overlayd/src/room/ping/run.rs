//! One ping after the other, and then the largest that passes.

use super::findings::{Limit, Seen, findings};
use super::{Begun, Found, Unsent};
use crate::room::Door;
use crate::sys::{Listening, Told, Why};
use overlay_api::LinkName;
use overlay_api::control::{PingEnd, PingEvent, PingRequest, PingTarget, Problem, ProblemKind};
use overlay_decoder::Ul3;
use overlay_engine::Time;
use overlay_engine::ping::{Kind, PingSpec, SIZE_MIN};
use std::collections::BTreeSet;
use std::future::pending;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep, sleep_until};

/// Lines that wait for the reader.
const LINES: usize = 64;
/// How long a lookup is waited for.
const LOOKUP: Duration = Duration::from_secs(5);
/// Between two looks at whether it was answered.
const LOOK: Duration = Duration::from_millis(50);
/// Least time that a ping is waited for while the largest is looked for, and how often one is sent again.
const SEARCH_WAIT: Duration = Duration::from_millis(250);
const TRIES: u32 = 2;
/// How often, and after how long, one is sent again that the socket had no room for.
const FULL_TRIES: u32 = 20;
const FULL_WAIT: Duration = Duration::from_millis(10);
/// ICMP messages that are told of; a flood of them says nothing new.
const TOLD_MAX: usize = 16;

/// Begins, and comes back with what happens as it happens.
///
/// # Errors
/// What cannot be pinged, and why.
pub(crate) async fn run(door: Door, overlay: LinkName, request: PingRequest) -> Result<Receiver<PingEvent>, Problem> {
    let found = match request.to {
        Some(PingTarget::Mac(mac)) => Some(find(&door, &overlay, mac).await?),
        _ => None,
    };
    let asked = request.clone();
    let begun = door.ask(move |room| room.begin_ping(&overlay, &asked, found)).await.map_err(ending)??;
    let (send, lines) = channel(LINES);
    let over = Over { door: door.clone(), id: begun.id };
    tokio::spawn(async move {
        Run::new(door, begun, request, send).run().await;
        drop(over);
    });
    Ok(lines)
}

fn ending(closed: crate::room::Closed) -> Problem {
    Problem::new(ProblemKind::Away, closed.to_string())
}

/// Where a MAC is; whoever answers lookups is asked if need be.
async fn find(door: &Door, overlay: &LinkName, mac: overlay_decoder::Mac) -> Result<(Ul3, Vec<String>), Problem> {
    let end = Instant::now() + LOOKUP;
    let mut ask = true;
    loop {
        let name = overlay.clone();
        let found = door.ask(move |room| room.find_for_ping(&name, mac, ask)).await.map_err(ending)??;
        ask = false;
        match found {
            Found::At(to, steps) => return Ok((to, steps)),
            Found::Asking(steps) if Instant::now() >= end => {
                let problem = format!("overlay {overlay}: nobody has said within {} s where {mac} is: {steps}", LOOKUP.as_secs());
                return Err(Problem::new(ProblemKind::Away, problem));
            }
            Found::Asking(_) => sleep(LOOK).await,
        }
    }
}

/// Ends the ping, whatever ends the task.
struct Over {
    door: Door,
    id: u64,
}

impl Drop for Over {
    fn drop(&mut self) {
        let id = self.id;
        // It fails when the daemon is ending, and all pings with it.
        let _ = self.door.call(move |room| room.end_ping(id));
    }
}

/// What became of one ping.
enum Fate {
    Answered,
    TooBig(Limit),
    Unsent(String),
    Silent,
}

/// The reader of the lines has gone.
struct Gone;

struct Run {
    door: Door,
    begun: Begun,
    icmp: Option<Listening>,
    request: PingRequest,
    lines: Sender<PingEvent>,
    sequence: u32,
    seen: Seen,
    told: BTreeSet<(IpAddr, Why)>,
    end: PingEnd,
    times: (u64, u64, u64),
}

impl Run {
    fn new(door: Door, mut begun: Begun, request: PingRequest, lines: Sender<PingEvent>) -> Self {
        let refusals = std::mem::replace(&mut begun.refusals, Err(String::new()));
        let icmp = refusals.and_then(|socket| socket.listen().map_err(|error| error.to_string()));
        let deaf = icmp.as_ref().err().cloned();
        let seen = Seen { deaf, ..Seen::default() };
        let (sequence, told, end, times) = (0, BTreeSet::new(), PingEnd::default(), (u64::MAX, 0, 0));
        Self { door, begun, icmp: icmp.ok(), request, lines, sequence, seen, told, end, times }
    }

    /// Until it is over, or the reader has gone.
    async fn run(mut self) {
        // Who has gone needs no lines.
        let _ = self.go().await;
    }

    async fn go(&mut self) -> Result<(), Gone> {
        let start = PingEvent::Start {
            to: self.begun.to,
            steps: self.begun.steps.clone(),
            size: self.request.size,
            packet: self.request.size + self.begun.around,
            mtu: self.begun.mtu,
            state: self.begun.state,
            reason: self.begun.reason.clone(),
        };
        self.say(start).await?;
        let wait = Duration::from_millis(self.request.timeout_ms.into());
        let mut next = Instant::now();
        for _ in 0..self.request.count {
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.lines.closed() => return Err(Gone),
            }
            next += Duration::from_millis(self.request.interval_ms.into());
            self.end.sent += 1;
            let fate = self.ping(self.request.size, false, wait, true).await?;
            let (sequence, size) = (self.sequence, self.request.size);
            let reason = match fate {
                Fate::Answered => {
                    self.end.answered += 1;
                    continue;
                }
                Fate::TooBig(limit) => {
                    let said = limit.to_string();
                    self.seen.limit.get_or_insert(limit);
                    Some(said)
                }
                Fate::Unsent(reason) => {
                    self.seen.unsent = Some(reason.clone());
                    Some(reason)
                }
                Fate::Silent => None,
            };
            self.say(PingEvent::Lost { sequence, size, reason }).await?;
        }
        self.search(wait).await?;
        if self.end.answered > 0 {
            let (min, max, sum) = self.times;
            (self.end.min_ns, self.end.max_ns) = (Some(min), Some(max));
            self.end.avg_ns = Some(sum / u64::from(self.end.answered));
        }
        self.end.largest_packet = self.end.largest.map(|size| size + self.begun.around);
        self.end.findings = findings(&self.begun, &self.request, &self.end, &self.seen);
        self.say(PingEvent::End(self.end.clone())).await
    }

    async fn say(&self, event: PingEvent) -> Result<(), Gone> {
        self.lines.send(event).await.map_err(|_| Gone)
    }

    /// The largest that passes unfragmented: the overlay's MTU, what somebody says on the way, or else halves.
    async fn search(&mut self, wait: Duration) -> Result<(), Gone> {
        if !self.request.search || self.seen.unsent.is_some() {
            return Ok(());
        }
        let (_, slowest, _) = self.times;
        let wait = if self.end.answered > 0 { (Duration::from_nanos(slowest) * 8).max(SEARCH_WAIT).min(wait) } else { wait };
        let mut low = self.request.size;
        if self.end.answered == 0 || self.begun.fragments {
            // Perhaps small ones pass.
            if self.passes(SIZE_MIN, wait).await? != Some(true) {
                return Ok(());
            }
            self.seen.small_passes = true;
            low = SIZE_MIN;
        }
        let most = self.begun.mtu.max(self.request.size);
        // The first that is known not to pass.
        let mut high = most + 1;
        let mut size = most;
        let mut hinted = None;
        while low + 1 < high {
            match self.passes(size, wait).await? {
                Some(true) => {
                    low = size;
                    if hinted == Some(size) {
                        break;
                    }
                }
                Some(false) => high = size,
                None => return Ok(()),
            }
            let said = self.seen.limit.as_ref().and_then(Limit::packet).map(|packet| packet.saturating_sub(self.begun.around));
            size = match said.filter(|said| low < *said && *said < high && hinted != Some(*said)) {
                Some(said) => {
                    hinted = Some(said);
                    said
                }
                None => low + (high - low) / 2,
            };
        }
        self.end.largest = Some(low);
        Ok(())
    }

    /// Whether one of that size is answered; nothing if it could not be sent, which says nothing about the way, and ends the search.
    async fn passes(&mut self, size: u32, wait: Duration) -> Result<Option<bool>, Gone> {
        for _ in 0..TRIES {
            match self.ping(size, true, wait, false).await? {
                Fate::Answered => return Ok(Some(true)),
                Fate::TooBig(limit) => {
                    self.seen.limit = Some(limit);
                    return Ok(Some(false));
                }
                Fate::Unsent(reason) => {
                    self.seen.unsearched = Some(reason);
                    return Ok(None);
                }
                Fate::Silent => {}
            }
        }
        Ok(Some(false))
    }

    /// Sends one; where the socket has no room, again after a while.
    async fn send(&self, spec: PingSpec) -> Result<Result<Time, Unsent>, Gone> {
        let id = self.begun.id;
        for _ in 0..FULL_TRIES {
            match self.door.ask(move |room| room.send_ping(id, &spec)).await {
                Ok(Err(Unsent::Full)) => sleep(FULL_WAIT).await,
                Ok(sent) => return Ok(sent),
                Err(_) => return Err(Gone),
            }
        }
        Ok(Err(Unsent::Full))
    }

    /// Sends one and waits for its answer.
    async fn ping(&mut self, size: u32, whole: bool, wait: Duration, shown: bool) -> Result<Fate, Gone> {
        self.sequence += 1;
        let (id, sequence) = (self.begun.id, self.sequence);
        let spec = PingSpec { id, sequence, size, to: self.begun.to, whole };
        let sent = match self.send(spec).await? {
            Ok(sent) => sent,
            Err(Unsent::TooBig(mtu)) => {
                let own = mtu.is_none_or(|mtu| mtu >= self.begun.link_mtu);
                return Ok(Fate::TooBig(if own { Limit::Link(mtu) } else { Limit::Known(mtu.unwrap_or(0)) }));
            }
            Err(Unsent::Full) => return Ok(Fate::Unsent("the socket's buffer is full".to_owned())),
            Err(Unsent::Failed(reason)) => return Ok(Fate::Unsent(reason)),
        };
        let until = Instant::now() + wait;
        let mut limit = None;
        loop {
            let told = async {
                match &self.icmp {
                    Some(socket) => socket.next().await,
                    None => pending().await,
                }
            };
            let pongs = &mut self.begun.pongs;
            let next = tokio::select! {
                // What has come in time counts, even if nobody looked until now.
                biased;
                pong = pongs.recv() => pong.map(Ok),
                // A flood of ICMP shall not keep it from its end.
                () = self.lines.closed() => return Err(Gone),
                () = sleep_until(until) => return Ok(limit.map_or(Fate::Silent, Fate::TooBig)),
                told = told => Some(Err(told)),
            };
            match next {
                // The overlay has gone.
                None => return Ok(Fate::Unsent("the overlay has been deleted".to_owned())),
                Some(Ok(pong)) if pong.ping.sequence == sequence && pong.ping.kind == Kind::Answer => {
                    self.end.far_mtu = Some(pong.ping.mtu.into());
                    if shown {
                        let time_ns = pong.at.since(sent);
                        let (min, max, sum) = &mut self.times;
                        (*min, *max) = ((*min).min(time_ns), (*max).max(time_ns));
                        *sum += time_ns;
                        self.say(PingEvent::Answer { sequence, size: pong.size, time_ns, from: pong.from }).await?;
                    }
                    return Ok(Fate::Answered);
                }
                // Late: another one's time is over.
                Some(Ok(_)) => {}
                Some(Err(told)) => {
                    if !is_about(told.why, size.saturating_add(self.begun.around)) {
                        continue;
                    }
                    self.note(told).await?;
                    // An answer that comes all the same knows better.
                    if let Why::TooBig(mtu) = told.why {
                        limit = Some(Limit::Told(told.by, mtu));
                    }
                }
            }
        }
    }

    /// Each message is told of once.
    async fn note(&mut self, told: Told) -> Result<(), Gone> {
        if self.told.len() < TOLD_MAX && self.told.insert((told.by, told.why)) {
            self.seen.told.push(told);
            self.say(PingEvent::Told { by: told.by, what: super::findings::said(told.why, self.begun.to) }).await?;
        }
        Ok(())
    }
}

/// Whether a message can be about an IP packet of that size: one that fits what it tells is another one, or a liar's.
fn is_about(why: Why, packet: u32) -> bool {
    !matches!(why, Why::TooBig(mtu) if mtu != 0 && mtu >= packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_that_what_fits_is_too_big_is_not_heeded() {
        assert!(is_about(Why::TooBig(1300), 1301) && is_about(Why::TooBig(0), 1301) && is_about(Why::NobodyListens, 100));
        assert!(!is_about(Why::TooBig(1300), 1300) && !is_about(Why::TooBig(9000), 1300));
    }
}
