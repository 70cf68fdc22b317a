//! What becomes of the first frame to an unknown destination, and of those behind it?

use overlay_api::{Answer, DropReason, EntryState, Verdict};
use overlay_decoder::{Mac, Ul3, Vni};
use overlay_engine::encap::Registry;
use overlay_engine::{Config, Control, DeviceSpec, Event, Frames, Offload, Outbox, Output, PortSpec, Search, Time, Worker};

const A: Mac = Mac([2, 0, 0, 0, 0, 1]);
const B: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// One host with a dynamic device and one port.
struct Host {
    control: Control,
    worker: Worker,
    device: overlay_api::DeviceId,
    port: overlay_api::PortId,
    frames: Frames,
    out: Outbox,
}

impl Host {
    fn new() -> Self {
        let config = Config { explain: true, ..Config::default() };
        let (mut control, mut workers) = Control::new(&config, Registry::default()).unwrap();
        let spec = DeviceSpec {
            name: "red".into(),
            encapsulation: "vxlan".into(),
            vni: Vni::new(77).unwrap(),
            search: Search::Dynamic,
            properties: vec![("vxlan/listen_ip".into(), "10.88.0.1".into())],
        };
        let device = control.create_device(spec, Time::ZERO).unwrap();
        let port = control.add_port(device, &PortSpec { name: "vnic0".into(), mac: A, mtu: 1400 }).unwrap();
        control.answerer_attached(Time::ZERO);
        let mut opened = Vec::new();
        while let Some(output) = control.poll_output(Time::ZERO) {
            if let Output::Event(Event::UnderlayOpen { underlay, .. }) = output {
                opened.push(underlay);
            }
        }
        assert_eq!(opened.len(), 1);
        control.handle_underlay(opened[0], Ok(1500), Time::ZERO);
        let worker = workers.remove(0);
        let mut host = Self { control, worker, device, port, frames: Frames::new(8, 2000), out: Outbox::explaining() };
        assert_eq!(host.outputs(Time::ZERO).len(), 0);
        host
    }

    /// A frame from A to B with one byte of content.
    fn send(&mut self, content: u8, now: Time) {
        let frame = [&B.0[..], &A.0, &[0x88, 0xb5, content]].concat();
        assert!(self.frames.push_copy(&frame, Offload::default()));
        self.worker.handle_frames(self.port, &mut self.frames, now, &mut self.out);
        self.frames.clear();
    }

    fn outputs(&mut self, now: Time) -> Vec<Output> {
        std::iter::from_fn(|| self.control.poll_output(now)).filter(|output| !matches!(output, Output::Event(_))).collect()
    }
}

#[test]
fn frame_to_unknown_mac_asks_once_and_the_order_is_kept() {
    let mut host = Host::new();
    host.send(1, Time(10));
    host.send(2, Time(11));
    assert_eq!((host.out.transmits.len(), host.out.misses), (0, 2));
    host.control.handle_misses(Time(12));
    let outputs = host.outputs(Time(12));
    let [Output::Lookup(lookup)] = &outputs[..] else { panic!("one question is asked: {outputs:?}") };
    assert_eq!((lookup.question.source, lookup.question.destination, lookup.frame.len()), (A, B, 15));
    let request = lookup.request;

    let row = host.control.targets(host.device).unwrap().get(B, Time(20)).unwrap();
    assert_eq!((row.state, row.pending_bytes, row.age_ns), (EntryState::Pending, 30, 8));

    let to: Ul3 = "10.88.0.2:4789".parse().unwrap();
    host.send(3, Time(21));
    host.control.handle_answer(request, Answer::Reach { to: vec![to], ttl_ns: None }, Time(22)).unwrap();
    // A frame that comes while the first ones are on their way out must not overtake the third, which is in the queue.
    host.send(4, Time(23));
    assert_eq!(host.out.transmits.len(), 0);
    let contents = |outputs: Vec<Output>| -> Vec<u8> {
        let sent = outputs.into_iter().filter_map(|output| if let Output::Transmit(sending) = output { Some(sending) } else { None });
        sent.map(|sending| {
            assert_eq!((sending.outer.to, sending.header_len), (to, 8));
            assert_eq!(sending.bytes[..8], [8, 0, 0, 0, 0, 0, 77, 0]);
            *sending.bytes.last().unwrap()
        })
        .collect()
    };
    assert_eq!(contents(host.outputs(Time(24))), [1, 2]);
    host.control.handle_misses(Time(25));
    assert_eq!(contents(host.outputs(Time(25))), [3, 4]);
    host.send(5, Time(26));
    assert_eq!(host.out.transmits.len(), 1, "the entry is open");

    let row = host.control.targets(host.device).unwrap().get(B, Time(30)).unwrap();
    assert_eq!((row.state, row.hits, row.bytes, row.pending_bytes, row.idle_ns), (EntryState::Valid, 5, 75, 0, 4));
    let totals = host.control.device_totals(host.device).unwrap();
    assert_eq!((totals.frames_in, totals.sent, totals.datagrams_out, totals.waiting()), (5, 5, 5, 0));
    assert_eq!((totals.lookups, totals.answers), (1, 1));
    assert!(matches!(host.out.verdicts[..], [(_, Verdict::Pending { .. }), (..), (..), (..), (_, Verdict::Transmit { .. })]));
}

#[test]
fn an_unanswered_lookup_ends_in_counted_drops() {
    let mut host = Host::new();
    host.send(1, Time(10));
    host.control.handle_misses(Time(10));
    assert_eq!(host.outputs(Time(10)).len(), 1);
    let deadline = host.control.poll_timeout().unwrap();
    host.control.handle_timeout(deadline);
    host.control.handle_timeout(Time(20_000_000_000));
    let totals = host.control.device_totals(host.device).unwrap();
    assert_eq!((totals.dropped(DropReason::LookupTimeout), totals.waiting()), (1, 0));
    assert!(host.control.targets(host.device).unwrap().is_empty());
}
