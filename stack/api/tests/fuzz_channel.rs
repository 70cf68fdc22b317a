//! Can any packet make the readers of the lookup channel panic, loop, or take something that is then written otherwise?
//! `OVERLAY_FUZZ_SECONDS` sets how long each target runs; without it each takes two seconds.

use overlay_api::channel::{ChannelError, DESTINATIONS_MAX, FRAME_MAX, FromOverlayd, FromVarpd, HEADER, Packets, answers, questions};
use overlay_api::{Answer, DeviceId, RequestId};
use overlay_decoder::Mac;
use std::time::Duration;

fn fuzz(look: impl Fn(&[u8]) + std::panic::RefUnwindSafe) {
    let seconds = std::env::var("OVERLAY_FUZZ_SECONDS").ok().and_then(|value| value.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(2));
    bolero::check!().with_iterations(usize::MAX).with_test_time(time).with_max_len(4096).for_each(|input: &[u8]| look(input));
}

/// Nothing follows an error, and it says where.
fn parts<T>(packet: &[u8], all: Vec<Result<T, ChannelError>>) -> Vec<T> {
    assert!(all.len() <= packet.len() / HEADER + 1, "{} messages in {} bytes", all.len(), packet.len());
    let good = all.iter().take_while(|message| message.is_ok()).count();
    assert!(good + 1 >= all.len());
    for message in &all {
        if let Err(error) = message {
            assert!(error.to_string().starts_with("at byte "), "{error}");
        }
    }
    all.into_iter().flatten().collect()
}

/// What was read is written and read again.
fn look(packet: &[u8]) {
    let mut packets = Packets::new();
    for message in parts(packet, answers(packet).collect()) {
        let fits = match &message {
            FromVarpd::Answer(_, Answer::Inject(frame) | Answer::Resend(frame)) => frame.len() <= FRAME_MAX,
            FromVarpd::Answer(_, Answer::Reach { to, .. }) | FromVarpd::TargetSet { to, .. } => to.len() <= DESTINATIONS_MAX,
            _ => true,
        };
        assert!(fits && packets.say(&message), "{message:?}");
        let written = packets.pop().unwrap_or_default();
        let again: Vec<_> = answers(&written).collect();
        // Milliseconds beyond what nanoseconds can count are the most that they can.
        if !saturated(&message) {
            assert_eq!(again, [Ok(message)]);
        }
    }
    for message in parts(packet, questions(packet).collect()) {
        assert!(packets.ask(&message), "{message:?}");
        let written = packets.pop().unwrap_or_default();
        assert_eq!(questions(&written).collect::<Vec<_>>(), [Ok::<FromOverlayd, _>(message)]);
    }
}

fn saturated(message: &FromVarpd) -> bool {
    match message {
        FromVarpd::Answer(_, Answer::Reach { ttl_ns, .. } | Answer::Drop { ttl_ns }) | FromVarpd::TargetSet { ttl_ns, .. } => {
            *ttl_ns == Some(u64::MAX)
        }
        _ => false,
    }
}

#[test]
fn any_packet() {
    fuzz(look);
}

#[test]
fn bodies_of_every_type() {
    fuzz(|input| {
        let Some((kind, body)) = input.split_first() else { return };
        // Twice, so that what follows is found where the first one says.
        let kind = u16::from(kind % 16) + if kind & 0x80 == 0 { 0 } else { 128 };
        let one = [&((HEADER + body.len()) as u32).to_le_bytes()[..], &kind.to_le_bytes(), &[0, 0], body].concat();
        look(&[one.clone(), one].concat());
    });
}

#[test]
fn damaged_messages() {
    let mut packets = Packets::new();
    let to: Vec<_> = ["10.0.0.2:4789", "[fd00::2]:4789"].iter().filter_map(|text| text.parse().ok()).collect();
    let (device, mac) = (DeviceId(1), Mac([2; 6]));
    for message in [
        FromVarpd::Answer(RequestId(7), Answer::Reach { to: to.clone(), ttl_ns: None }),
        FromVarpd::Answer(RequestId(8), Answer::Inject(vec![1; 60])),
        FromVarpd::State { device, degraded: Some("no".to_owned()) },
        FromVarpd::TargetSet { device, mac, to, ttl_ns: Some(1_000_000) },
        FromVarpd::Resend { device, frame: vec![2; 60] },
        FromVarpd::Pong(3),
    ] {
        assert!(packets.say(&message));
    }
    let sound = packets.pop().unwrap_or_default();
    assert_eq!(answers(&sound).flatten().count(), 6);
    fuzz(|input| {
        let mut packet = sound.clone();
        for change in input.chunks_exact(3).take(6) {
            let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % packet.len();
            packet[place] = change[2];
        }
        look(&packet);
        look(&packet[..input.len() % packet.len()]);
    });
}
