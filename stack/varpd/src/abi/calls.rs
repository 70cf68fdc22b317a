//! What does a plugin say? `struct varpd_host`: arguments of C are made into values here, or refused.

use super::raw::{
    VARPD_CLOSED, VARPD_DEBUG, VARPD_DESTINATIONS_MAX, VARPD_ERROR, VARPD_INVALID, VARPD_OK, VARPD_PLUGIN_VERSION, VARPD_TTL_DEFAULT,
    VARPD_UNKNOWN, VARPD_WARN, varpd_host, varpd_instance, varpd_query, varpd_ul3,
};
use overlay_api::Answer;
use overlay_api::channel::FRAME_MAX;
use overlay_decoder::{Mac, Ul3};
use std::ffi::{c_char, c_int};
use std::net::Ipv6Addr;
use std::sync::OnceLock;

/// Smallest frame: an Ethernet header (IEEE 802.3 3.1.1).
const FRAME_MIN: usize = 14;
/// Bytes of a text for the log or for an operator; what is longer is cut.
const TEXT_MAX: usize = 1024;

/// Who hears what a plugin says. Called from any thread of the plugin's; none of it waits.
pub trait Calls: Send + Sync {
    /// The answer to a query.
    fn answer(&self, query: u64, answer: Answer) -> Outcome;
    /// What an instance says unasked.
    fn say(&self, instance: u64, said: Said) -> Outcome;
    /// A line for the log; instance 0 is none.
    fn log(&self, instance: u64, level: Level, text: &str);
    /// The virtual network of an instance.
    fn vnetid(&self, instance: u64) -> Option<u32>;
}

/// What became of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It was done.
    Done,
    /// The query is not open.
    Closed,
    /// There is no such instance.
    Unknown,
}

/// What an instance can say unasked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// A frame for a VNIC.
    Inject(Vec<u8>),
    /// A frame to be sent.
    Resend(Vec<u8>),
    /// A destination is there; none is drop.
    Target {
        /// The inner destination.
        mac: Mac,
        /// Where.
        to: Vec<Ul3>,
        /// Nanoseconds for which this holds; none is without limit.
        ttl_ns: Option<u64>,
    },
    /// What was answered about a destination no longer holds.
    Invalidate(Mac),
    /// The same for all destinations.
    Flush,
    /// It does not do what it should, for this reason; or it does again.
    State(Option<String>),
}

/// How serious a line of the log is: the numbers of syslog (RFC 5424 6.2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// What does not work.
    Error = 3,
    /// What may not.
    Warn = 4,
    /// What happens now and then.
    Info = 6,
    /// What happens often.
    Debug = 7,
}

/// The one plugin of this process speaks to it.
static CALLS: OnceLock<&'static dyn Calls> = OnceLock::new();

static HOST: varpd_host = varpd_host {
    size: size_of::<varpd_host>() as u32,
    version: VARPD_PLUGIN_VERSION,
    reply_reach,
    reply_drop,
    reply_inject,
    reply_resend,
    inject,
    resend,
    set_target,
    invalidate,
    flush,
    degrade,
    restore,
    log,
    vnetid,
};

/// The host's calls, which end at `calls`; none if somebody has them already.
pub(super) fn host(calls: &'static dyn Calls) -> Option<&'static varpd_host> {
    CALLS.set(calls).ok().map(|()| &HOST)
}

fn answer(query: varpd_query, answer: Option<Answer>) -> c_int {
    match (CALLS.get(), answer) {
        (Some(calls), Some(answer)) => code(calls.answer(query, answer)),
        _ => VARPD_INVALID,
    }
}

fn say(instance: varpd_instance, said: Option<Said>) -> c_int {
    match (CALLS.get(), said) {
        (Some(calls), Some(said)) => code(calls.say(instance, said)),
        _ => VARPD_INVALID,
    }
}

const fn code(outcome: Outcome) -> c_int {
    match outcome {
        Outcome::Done => VARPD_OK,
        Outcome::Closed => VARPD_CLOSED,
        Outcome::Unknown => VARPD_UNKNOWN,
    }
}

/// Nanoseconds; none is the default.
const fn ttl_ns(ms: u64) -> Option<u64> {
    if ms == VARPD_TTL_DEFAULT { None } else { Some(ms.saturating_mul(1_000_000)) }
}

fn frame_of(frame: *const u8, length: usize) -> Option<Vec<u8>> {
    if frame.is_null() || !(FRAME_MIN..=FRAME_MAX).contains(&length) {
        return None;
    }
    // SAFETY: not null, and the caller promises `length` bytes until the call returns.
    Some(unsafe { std::slice::from_raw_parts(frame, length) }.to_vec())
}

fn mac_of(mac: *const u8) -> Option<Mac> {
    // SAFETY: the caller promises six bytes; a null pointer is not read.
    (!mac.is_null()).then(|| Mac(unsafe { mac.cast::<[u8; 6]>().read() }))
}

fn destinations(to: *const varpd_ul3, count: usize) -> Option<Vec<Ul3>> {
    if count == 0 {
        return Some(Vec::new());
    }
    if to.is_null() || count > VARPD_DESTINATIONS_MAX {
        return None;
    }
    let one = |index| {
        // SAFETY: not null, and the caller promises `count` of them until the call returns.
        let varpd_ul3 { ip, port, .. } = unsafe { to.add(index).read_unaligned() };
        Ul3 { ip: Ipv6Addr::from(ip).to_canonical(), port: (port != 0).then_some(port) }
    };
    Some((0..count).map(one).collect())
}

/// The bytes of a text before its NUL; none if there is no NUL behind the first `most`.
pub(super) fn bytes_of(text: *const c_char, most: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    loop {
        // SAFETY: the caller has a text that ends with NUL, and no byte behind a NUL is read.
        match unsafe { text.add(bytes.len()).cast::<u8>().read() } {
            0 => return Some(bytes),
            _ if bytes.len() == most => return None,
            byte => bytes.push(byte),
        }
    }
}

/// What a person reads: one line, cut, without what terminals take for orders.
fn line_of(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    let mut bytes = Vec::new();
    while bytes.len() < TEXT_MAX {
        // SAFETY: as above.
        match unsafe { text.add(bytes.len()).cast::<u8>().read() } {
            0 => break,
            byte => bytes.push(byte),
        }
    }
    Some(super::object::shown(&bytes))
}

unsafe extern "C" fn reply_reach(query: varpd_query, to: *const varpd_ul3, count: usize, ttl_ms: u64) -> c_int {
    let to = destinations(to, count).filter(|to| !to.is_empty());
    answer(query, to.map(|to| Answer::Reach { to, ttl_ns: ttl_ns(ttl_ms) }))
}

unsafe extern "C" fn reply_drop(query: varpd_query, ttl_ms: u64) -> c_int {
    answer(query, Some(Answer::Drop { ttl_ns: ttl_ns(ttl_ms) }))
}

unsafe extern "C" fn reply_inject(query: varpd_query, frame: *const u8, length: usize) -> c_int {
    answer(query, frame_of(frame, length).map(Answer::Inject))
}

unsafe extern "C" fn reply_resend(query: varpd_query, frame: *const u8, length: usize) -> c_int {
    answer(query, frame_of(frame, length).map(Answer::Resend))
}

unsafe extern "C" fn inject(instance: varpd_instance, frame: *const u8, length: usize) -> c_int {
    say(instance, frame_of(frame, length).map(Said::Inject))
}

unsafe extern "C" fn resend(instance: varpd_instance, frame: *const u8, length: usize) -> c_int {
    say(instance, frame_of(frame, length).map(Said::Resend))
}

unsafe extern "C" fn set_target(instance: varpd_instance, mac: *const u8, to: *const varpd_ul3, count: usize, ttl_ms: u64) -> c_int {
    let said = mac_of(mac).zip(destinations(to, count)).map(|(mac, to)| Said::Target { mac, to, ttl_ns: ttl_ns(ttl_ms) });
    say(instance, said)
}

unsafe extern "C" fn invalidate(instance: varpd_instance, mac: *const u8) -> c_int {
    say(instance, mac_of(mac).map(Said::Invalidate))
}

unsafe extern "C" fn flush(instance: varpd_instance) -> c_int {
    say(instance, Some(Said::Flush))
}

unsafe extern "C" fn degrade(instance: varpd_instance, reason: *const c_char) -> c_int {
    say(instance, line_of(reason).filter(|reason| !reason.is_empty()).map(|reason| Said::State(Some(reason))))
}

unsafe extern "C" fn restore(instance: varpd_instance) -> c_int {
    say(instance, Some(Said::State(None)))
}

unsafe extern "C" fn log(instance: varpd_instance, level: c_int, text: *const c_char) {
    let level = match level {
        ..=VARPD_ERROR => Level::Error,
        VARPD_WARN => Level::Warn,
        VARPD_DEBUG.. => Level::Debug,
        _ => Level::Info,
    };
    if let (Some(calls), Some(text)) = (CALLS.get(), line_of(text)) {
        calls.log(instance, level, &text);
    }
}

unsafe extern "C" fn vnetid(instance: varpd_instance, to: *mut u32) -> c_int {
    if to.is_null() {
        return VARPD_INVALID;
    }
    let Some(vnetid) = CALLS.get().and_then(|calls| calls.vnetid(instance)) else { return VARPD_UNKNOWN };
    // SAFETY: not null, and the caller promises room for the number.
    unsafe { to.write(vnetid) };
    VARPD_OK
}
