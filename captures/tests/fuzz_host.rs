//! Can any netlink message make the readers of `host` panic or run on? `OVERLAY_FUZZ_SECONDS` sets how long each target runs; without it
//! each takes two seconds.
//!
//! The kernel is trusted with more than this, but its messages differ between versions, and a recorded one may come from anywhere.

use std::time::Duration;

use overlay_captures::host::netlink::{Attributes, MessageBuilder, Messages, append_attribute};
use overlay_captures::host::{FdbEntry, Link, Tunnel, TunnelKind, VniFilterEntry};

fn seconds() -> Duration {
    let seconds = std::env::var("OVERLAY_FUZZ_SECONDS").ok().and_then(|value| value.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// Reads a body in each way and shows all that was found; returns how much that was.
fn read(body: &[u8]) -> usize {
    let mut entries = Vec::new();
    VniFilterEntry::read_message(body, &mut entries);
    assert!(entries.len() <= body.len() / 4, "an entry takes at least its own header");
    let link = Link::from_message(body);
    let text = link.as_ref().map(|link| format!("{link:?} {} {:?}", link.hardware, link.tunnel.as_ref().map(ToString::to_string)));
    let fdb = FdbEntry::from_message(body);
    let marks = fdb.map(|entry| format!("{entry:?} {} {}", entry.flags, entry.state));
    if let (Some(entry), Some(tunnel)) = (fdb, link.as_ref().and_then(|link| link.tunnel.as_ref())) {
        let _ = (entry.ul3(tunnel), entry.sent_vni(tunnel));
    }
    assert!(text.as_ref().is_none_or(|text| text.len() <= 2_000 + 10 * body.len()), "what is shown is bounded by what came");
    entries.len() + usize::from(text.is_some()) + usize::from(marks.is_some())
}

/// A device of each kind with every attribute from 0 to 60, of all sizes in turn.
fn devices() -> Vec<Vec<u8>> {
    let device = |kind: TunnelKind| {
        let (mut data, mut info) = (Vec::new(), Vec::new());
        for attribute in 0..60 {
            append_attribute(&mut data, attribute, &[1; 16][..[0, 1, 2, 4, 16][usize::from(attribute) % 5]]);
        }
        append_attribute(&mut info, 1, kind.name().as_bytes());
        append_attribute(&mut info, 2, &data);
        MessageBuilder::new(16, 0, 1, &[0; 16]).attribute(3, b"device\0").attribute(18, &info).attribute(23, &[1; 72]).bytes()
    };
    TunnelKind::ALL.into_iter().map(device).collect()
}

#[test]
fn datagrams() {
    let sound = devices();
    for message in &sound {
        assert_eq!(Messages::new(message).map(|message| read(message.body)).sum::<usize>(), 1);
    }
    bolero::check!().with_iterations(usize::MAX).with_test_time(seconds()).with_max_len(4096).for_each(|input: &[u8]| {
        let mut messages = Messages::new(input);
        let mut count = 0;
        for message in messages.by_ref() {
            read(message.body);
            count += 1;
        }
        assert!(count <= input.len() / 16 && messages.left() <= input.len());
        // As damage to a sound message: each three bytes are a place and what stands there now.
        for message in &sound {
            let mut bytes = message.clone();
            for change in input.chunks_exact(3).take(16) {
                let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
                bytes[place] = change[2];
            }
            for message in Messages::new(&bytes) {
                read(message.body);
            }
        }
    });
}

#[test]
fn bodies() {
    bolero::check!().with_iterations(usize::MAX).with_test_time(seconds()).with_max_len(4096).for_each(|input: &[u8]| {
        read(input);
        assert!(Attributes::new(input).count() <= input.len() / 4);
        // As the attributes behind a fixed header, and as the data of a device of each kind.
        read(&[&[0; 16][..], input].concat());
        for kind in TunnelKind::ALL {
            let tunnel = Tunnel::from_attributes(kind.name(), Attributes::new(input));
            assert_eq!(tunnel.is_none(), kind == TunnelKind::VxlanGpe, "a kind of ours, not a name of the kernel's");
        }
    });
}
