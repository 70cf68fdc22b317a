//! What would a plugin answer? `varpd --query` asks once, without overlayd and without rights.

mod frames;

use crate::flags::{Asked, Flags, Query};
use crate::remote::Settings;
use crate::{Plugins, plugins};
use overlay_api::channel::{FromOverlayd, FromVarpd, Instance};
use overlay_api::{Answer, DeviceId, Lookup, Question, RequestId};
use overlay_decoder::Mac;
use overlay_varpd::instances::Instances;
use overlay_varpd::plugin::Outlet;
use serde_json::json;
use std::fmt::Write as _;
use std::io::Write;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long overlayd waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Takes the answer, as overlayd would.
struct Ear(Mutex<Sender<(Instant, FromVarpd)>>);

impl Outlet for Ear {
    fn say(&self, message: FromVarpd) {
        // Whoever asked has its answer.
        let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).send((Instant::now(), message));
    }
}

/// Asks, and prints what comes.
///
/// # Errors
/// A sentence: there is no such plugin, it does not start, it does not answer.
pub(crate) fn run(flags: &Flags, query: Query) -> Result<(), String> {
    let found = plugins(flags, &Settings::of_question(flags))?;
    // Only what is asked about: the others' problems are no answer.
    let own =
        |problem: &&String| found.all.iter().all(|plugin| plugin.info().name != query.search) || problem.contains("no plugin is loaded");
    for problem in found.problems.iter().filter(own) {
        let _ = writeln!(std::io::stderr(), "varpd: {problem}");
    }
    let asked = ask(flags, query, &found);
    found.end();
    asked
}

fn ask(flags: &Flags, query: Query, found: &Plugins) -> Result<(), String> {
    let (sender, said) = channel();
    let mut instances = Instances::new(found.all.clone(), Arc::new(()));
    instances.connected(Arc::new(Ear(Mutex::new(sender))));
    let device = DeviceId(1);
    let (vni, instance) = (query.vnetid, instance(&query, device)?);
    instances.checked(&instance)?.verify(&instance)?;
    instances.hear(FromOverlayd::Instance(instance));
    instances.run_tasks();
    let (question, frame) = question(query.asked)?;
    let request = RequestId(1);
    let begun = Instant::now();
    instances.hear(FromOverlayd::Lookup(Lookup { request, device, vni, question, frame }));
    let mut degraded = None;
    let (at, answer) = loop {
        match said.recv_timeout(TIMEOUT.saturating_sub(begun.elapsed())) {
            Ok((at, FromVarpd::Answer(_, answer))) => break (at, answer),
            Ok((_, FromVarpd::State { degraded: reason, .. })) => degraded = reason,
            Ok(_) => {}
            Err(_) => {
                let why = degraded.map(|reason| format!(": {reason}")).unwrap_or_default();
                return Err(format!("there is no answer within {} s{why}", TIMEOUT.as_secs()));
            }
        }
    };
    let text = if flags.json { as_json(&answer, at - begun) } else { as_text(&answer, at - begun) };
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| format!("standard output: {error}"))
}

fn instance(query: &Query, device: DeviceId) -> Result<Instance, String> {
    let parsed = |text: &str| text.parse().map_err(|error| format!("{text}: {error}"));
    Ok(Instance {
        device,
        name: "query".parse().map_err(|error| format!("{error}"))?,
        search: query.search.clone(),
        encapsulation: parsed(query.encapsulation.name())?,
        with_port: query.encapsulation.name() != "nvgre",
        vnetid: query.vnetid,
        mtu: 1500,
        ul3: None,
        properties: query.props.iter().map(|prop| (prop.name.clone(), prop.value.clone())).collect(),
        vnics: Vec::new(),
    })
}

/// What overlayd would ask about such a frame.
fn question(asked: Asked) -> Result<(Question, Vec<u8>), String> {
    let frame = match asked {
        Asked::Header { source, destination, ethertype } => frames::header(source, destination, ethertype),
        Asked::Arp { source, target } => frames::arp_request(source, target),
        Asked::Ndp { source, target } => frames::solicitation(source, target),
        Asked::Frame(frame) => frame,
    };
    let (Some((destination, rest)), len) = (frame.split_first_chunk::<6>(), frame.len()) else { return Err(too_short(&frame)) };
    let Some((source, mut rest)) = rest.split_first_chunk::<6>() else { return Err(too_short(&frame)) };
    let mut vlan = None;
    loop {
        let Some((ethertype, behind)) = rest.split_first_chunk::<2>() else { return Err(too_short(&frame)) };
        let ethertype = u16::from_be_bytes(*ethertype);
        // IEEE 802.1Q and 802.1ad tags: the identifier is in the lower twelve bits.
        if let (0x8100 | 0x88a8, Some((tag, behind))) = (ethertype, behind.split_first_chunk::<2>()) {
            vlan = vlan.or(Some(u16::from_be_bytes(*tag) & 0x0fff));
            rest = behind;
            continue;
        }
        let question = Question { source: Mac(*source), destination: Mac(*destination), ethertype, vlan, len: len as u32 };
        return Ok((question, frame));
    }
}

fn too_short(frame: &[u8]) -> String {
    format!("the frame has {} bytes, which is less than its headers need", frame.len())
}

fn as_text(answer: &Answer, time: Duration) -> String {
    let mut text = answer.name().to_owned();
    let ttl = match answer {
        Answer::Reach { to, ttl_ns } => {
            to.iter().for_each(|ul3| write(&mut text, format_args!(" {ul3}")));
            *ttl_ns
        }
        Answer::Drop { ttl_ns } => *ttl_ns,
        Answer::Inject(frame) | Answer::Resend(frame) => {
            write(&mut text, format_args!(" {}", hex(frame)));
            None
        }
    };
    if let Some(ttl_ns) = ttl {
        write(&mut text, format_args!(" for {} ms", ttl_ns.div_ceil(1_000_000)));
    }
    write(&mut text, format_args!("\n{:.1} us\n", time.as_secs_f64() * 1e6));
    text
}

fn as_json(answer: &Answer, time: Duration) -> String {
    let ms = |ttl_ns: &Option<u64>| ttl_ns.map(|ns| ns.div_ceil(1_000_000));
    let mut object = match answer {
        Answer::Reach { to, ttl_ns } => json!({"answer": answer.name(), "to": to, "ttl_ms": ms(ttl_ns)}),
        Answer::Drop { ttl_ns } => json!({"answer": answer.name(), "ttl_ms": ms(ttl_ns)}),
        Answer::Inject(frame) | Answer::Resend(frame) => json!({"answer": answer.name(), "frame": hex(frame)}),
    };
    object["time_ns"] = json!(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    format!("{object}\n")
}

/// Writing into a String cannot fail.
fn write(text: &mut String, more: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(more);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write(&mut text, format_args!("{byte:02x}"));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_varpd::proxy;

    const SOURCE: Mac = Mac([2, 8, 32, 10, 0, 1]);

    #[test]
    fn what_is_asked_is_what_a_tenant_would_ask() {
        let (arp, frame) = question(Asked::Arp { source: SOURCE, target: [10, 0, 0, 2].into() }).unwrap();
        assert_eq!((arp.source, arp.destination, arp.ethertype, arp.len), (SOURCE, Mac::BROADCAST, 0x0806, 60));
        match proxy::asked(&frame) {
            Ok(Some(proxy::Asked::Arp(request))) => assert_eq!(request.target().octets(), [10, 0, 0, 2]),
            other => panic!("{other:?}"),
        }
        let target = "fd00::2:3".parse().unwrap();
        let (ndp, frame) = question(Asked::Ndp { source: SOURCE, target }).unwrap();
        assert_eq!((ndp.destination, ndp.ethertype), (Mac([0x33, 0x33, 0xff, 2, 0, 3]), 0x86dd));
        match proxy::asked(&frame) {
            Ok(Some(proxy::Asked::Ndp(request))) => assert_eq!(request.target(), target),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_frame_is_asked_about_behind_its_tags() {
        let tagged = [&[0xff; 6][..], &SOURCE.0, &[0x88, 0xa8, 0x20, 5, 0x81, 0, 0, 6, 8, 0], &[0; 46]].concat();
        let (asked, _) = question(Asked::Frame(tagged)).unwrap();
        assert_eq!((asked.vlan, asked.ethertype), (Some(5), 0x0800));
        assert!(question(Asked::Frame(vec![0; 13])).unwrap_err().contains("13 bytes"));
    }

    #[test]
    fn an_answer_is_shown_in_words_and_in_json() {
        let time = Duration::from_nanos(12_345);
        let reach = Answer::Reach { to: vec!["10.0.0.2:4789".parse().unwrap()], ttl_ns: Some(1_500_000_000) };
        assert_eq!(as_text(&reach, time), "reach 10.0.0.2:4789 for 1500 ms\n12.3 us\n");
        let expected = json!({"answer": "reach", "to": ["10.0.0.2:4789"], "ttl_ms": 1500, "time_ns": 12_345});
        assert_eq!(serde_json::from_str::<serde_json::Value>(&as_json(&reach, time)).unwrap(), expected);
        assert_eq!(as_text(&Answer::Drop { ttl_ns: None }, time), "drop\n12.3 us\n");
        assert_eq!(as_text(&Answer::Inject(vec![1, 0xab]), time), "inject 01ab\n12.3 us\n");
    }
}
