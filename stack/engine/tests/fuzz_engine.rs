//! Can any frame, datagram, answer or command make the engine panic, lose count of something, or grow over a cap? One target per kind
//! of input. `OVERLAY_FUZZ_SECONDS` sets how long each runs; without it each takes two seconds.
//!
//! After every step the equations of `counters.rs` are checked, and that every frame has one fate; at the end that nothing waits for
//! ever and that every device can go.

mod fuzz;

use fuzz::{Choices, Host, own};
use overlay_api::{PortId, RequestId, Source, UnderlayId};
use overlay_engine::{Arrival, Offload, SetTarget, Time};
use std::time::Duration;

/// Operations of one input at most.
const STEPS: usize = 200;

fn seconds() -> Duration {
    let seconds = std::env::var("OVERLAY_FUZZ_SECONDS").ok().and_then(|value| value.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

fn fuzz(run: impl Fn(Choices<'_>) + std::panic::RefUnwindSafe) {
    let inputs = bolero::produce::<Vec<u8>>().with().len(200_usize..=1500);
    let check = bolero::check!().with_iterations(usize::MAX).with_test_time(seconds()).with_generator(inputs);
    check.for_each(|input: &Vec<u8>| run(Choices(input)));
}

#[test]
fn any_bytes_as_frames() {
    fuzz(|mut choices| {
        let mut host = Host::new();
        know(&mut host);
        while !choices.0.is_empty() {
            let port = host.ports[usize::from(choices.byte()) % host.ports.len()];
            let frame = if choices.often(2) { choices.frame() } else { choices.bytes(60).to_vec() };
            let batch = [(frame, choices.offload()), (choices.bytes(40).to_vec(), Offload::default())];
            host.send(0, port, &batch);
            host.misses();
            host.check();
        }
        host.end();
    });
}

#[test]
fn any_bytes_as_datagrams() {
    fuzz(|mut choices| {
        let mut host = Host::new();
        if choices.often(4) {
            for name in ["vxlan/reserved_bits", "geneve/reserved_bits", "nvgre/reserved_bits"] {
                for device in host.devices.clone() {
                    let _ = host.control.set_property(device, name, "strict", host.now);
                }
            }
            host.drain();
        }
        while !choices.0.is_empty() {
            datagram(&mut host, &mut choices);
            host.check();
        }
        host.end();
    });
}

#[test]
fn any_program_of_operations() {
    fuzz(|mut choices| {
        let mut host = Host::new();
        for _ in 0..STEPS {
            if choices.0.is_empty() {
                break;
            }
            operation(&mut host, &mut choices);
            host.drain();
            host.check();
        }
        host.end();
    });
}

/// Makes some destinations known, one unknown, one dropped, and a replication list.
fn know(host: &mut Host) {
    let reach = |texts: &[&str]| SetTarget::Reach(texts.iter().map(|text| text.parse().unwrap()).collect());
    let list = reach(&["10.88.0.2:4789", "10.88.0.3:4789"]);
    for device in host.devices.clone() {
        for (n, target) in [(4, reach(&["10.88.0.2:4789"])), (5, reach(&["10.88.0.3:4789"])), (6, SetTarget::Drop)] {
            let mac = overlay_decoder::Mac([2, 0, 0, 0, 1, n]);
            let _ = host.control.set_target(device, mac, &target, Source::Static, None, host.now);
        }
        let _ = host.control.set_target(device, overlay_decoder::Mac::BROADCAST, &list, Source::Plugin, Some(50), host.now);
    }
    host.drain();
}

/// A datagram for an underlay: bytes as they are, or behind a header that is sound but for a bit.
fn datagram(host: &mut Host, choices: &mut Choices<'_>) {
    let which = usize::from(choices.byte()) % (host.underlays.len() + 1);
    let underlay = host.underlays.get(which).copied().unwrap_or(UnderlayId(999));
    let vni = 5000_u32.to_be_bytes();
    // The first three underlays are those of VXLAN, Geneve and NVGRE; often the header is that of the underlay.
    let kind = if choices.often(6) { which as u8 + 1 } else { choices.below(5) };
    let mut bytes = match kind {
        0 => Vec::new(),
        1 => vec![8, 0, 0, 0, vni[1], vni[2], vni[3], 0],
        2 if choices.often(4) => vec![0, 0, 0x65, 0x58, vni[1], vni[2], vni[3], 0],
        2 => vec![2, 0x40, 0x65, 0x58, vni[1], vni[2], vni[3], 0, 1, 2, choices.byte(), choices.below(4), 0, 0, 0, 0],
        _ => vec![0x20, 0, 0x65, 0x58, vni[1], vni[2], vni[3], choices.byte()],
    };
    if choices.often(1)
        && let Some(byte) = bytes.get_mut(usize::from(choices.below(8)))
    {
        *byte ^= 1 << choices.below(8);
    }
    bytes.extend(if choices.often(2) { choices.bytes(60).to_vec() } else { choices.frame() });
    let arrival = Arrival { from: choices.ul3(), tos: choices.byte(), offload: choices.offload() };
    host.receive(usize::from(choices.below(2)), underlay, &[(bytes, arrival)]);
}

/// One of everything that a driver, an answerer or an operator can do. What is refused is no defect; what follows from it is checked.
fn operation(host: &mut Host, choices: &mut Choices<'_>) {
    let device = host.devices[usize::from(choices.byte()) % host.devices.len()];
    let port = match host.ports.len() {
        0 => PortId(999),
        len => host.ports[usize::from(choices.byte()) % len],
    };
    match choices.below(32) {
        0..10 => {
            let frames: Vec<_> = (0..=choices.below(3)).map(|_| (choices.frame(), choices.offload())).collect();
            host.send(usize::from(choices.below(2)), port, &frames);
            if choices.often(4) {
                host.misses();
            }
        }
        10..12 => datagram(host, choices),
        12..15 => host.misses(),
        15..20 => answer(host, choices),
        20 => {
            let target =
                if choices.often(2) { SetTarget::Drop } else { SetTarget::Reach((0..choices.below(4)).map(|_| choices.ul3()).collect()) };
            let source = [Source::Static, Source::Plugin, Source::Lookup][usize::from(choices.below(3))];
            let ttl_ns = choices.often(3).then(|| u64::from(choices.half()));
            let _ = host.control.set_target(device, choices.mac(), &target, source, ttl_ns, host.now);
        }
        21 => drop(host.control.remove_target(device, choices.mac(), host.now)),
        22 => drop(host.control.flush(device, choices.often(4), host.now)),
        23 | 24 => {
            host.now = host.now + u64::from(choices.half()) / 16;
            host.control.handle_timeout(host.now);
        }
        25 => host.control.answerer_lost("it went", host.now),
        26 => host.control.answerer_attached(host.now),
        27 => {
            let underlay = host.underlays[usize::from(choices.byte()) % host.underlays.len()];
            let state = if choices.often(2) { Err("no such address".to_owned()) } else { Ok(u32::from(choices.half())) };
            host.control.handle_underlay(underlay, state, host.now);
        }
        28 => {
            let mtu = choices.often(6).then(|| u32::from(choices.half()));
            let underlay = host.underlays[usize::from(choices.byte()) % host.underlays.len()];
            host.control.handle_path_mtu(underlay, choices.ul3().ip, mtu);
        }
        29 => property(host, choices),
        30 => {
            let frame = choices.frame();
            match choices.below(4) {
                0 => drop(host.control.inject(device, &frame)),
                1 => drop(host.control.resend(device, &frame, host.now)),
                _ => host.control.degrade(device, choices.often(4).then(|| "says the plugin".to_owned()), host.now),
            }
        }
        _ => ports_and_devices(host, choices),
    }
}

/// An answer to an open question, to one that was answered before, or to one that nobody asked.
fn answer(host: &mut Host, choices: &mut Choices<'_>) {
    let request = match choices.below(8) {
        0 => RequestId(u64::from(choices.half())),
        1 if !host.asked.is_empty() => host.asked[usize::from(choices.byte()) % host.asked.len()],
        _ => host.open.first().copied().unwrap_or(RequestId(0)),
    };
    let was_open = host.open.remove(&request);
    let answer = choices.answer();
    let result = host.control.handle_answer(request, answer, host.now);
    assert!(was_open || result.is_err(), "an answer counts once, and only if it was asked for: {request}");
}

fn property(host: &mut Host, choices: &mut Choices<'_>) {
    const NAMES: [&str; 12] = [
        "mtu",
        "vnetid",
        "target/max",
        "target/ttl",
        "target/negative_ttl",
        "direct/dest_ip",
        "direct/dest_port",
        "vxlan/listen_ip",
        "vxlan/listen_port",
        "vxlan/allowed_sources",
        "outer/dscp",
        "outer/srcport_min",
    ];
    const TEXTS: [&str; 12] =
        ["576", "1400", "65000", "0", "1", "5000", "5001", "10.88.0.1", "10.88.0.2", "fd00::1", "10.88.0.0/24,fd00::/8", "inherit"];
    let device = host.devices[usize::from(choices.byte()) % host.devices.len()];
    let name = NAMES[usize::from(choices.below(12))];
    let text = TEXTS[usize::from(choices.below(12))];
    let before = host.control.device(device);
    let result = match choices.often(1) {
        true => host.control.reset_property(device, name, host.now),
        false => host.control.set_property(device, name, text, host.now),
    };
    assert!(result.is_ok() || host.control.device(device) == before, "{name}={text} was refused, and something changed: {before:?}");
}

fn ports_and_devices(host: &mut Host, choices: &mut Choices<'_>) {
    let index = usize::from(choices.byte());
    match choices.below(8) {
        0 | 1 => {
            let mac = choices.mac();
            host.make_port(index % host.devices.len(), mac);
        }
        2 if !host.ports.is_empty() => {
            let port = host.ports.swap_remove(index % host.ports.len());
            host.control.remove_port(port).expect("it was there");
        }
        3 if !host.ports.is_empty() => {
            let port = host.ports[index % host.ports.len()];
            let _ = host.control.change_port(port, choices.mac(), u32::from(choices.half()));
        }
        4 => {
            // All ports of a device, and the device; another one of its kind in its place.
            let which = index % host.devices.len();
            let Some(info) = host.control.device(host.devices[which]) else { return };
            assert_eq!(host.control.delete_device(info.id, host.now).is_ok(), info.ports.is_empty());
            for port in &info.ports {
                host.ports.retain(|other| *other != port.id);
                host.control.remove_port(port.id).expect("the device says it has it");
            }
            if !info.ports.is_empty() {
                host.control.delete_device(info.id, host.now).expect("a device without ports goes");
            }
            host.devices.remove(which);
            host.drain();
            (0..3).for_each(|kind| host.make_device(kind));
            host.make_port(host.devices.len() - 1, own(index as u8 % 4));
        }
        _ => host.now = host.now.max(Time(host.now.0 + 1)),
    }
}
