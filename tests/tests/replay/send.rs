//! Does what was captured leave again, when it should, and is it said what did not? Needs root, for the labs that it sends in.
//!
//! ```text
//!   h1: overlay-replay send ─► ul0 ══ ul0 ─► overlay-snoop -w :h2
//! ```

use crate::{replay, run};
use overlay_captures::{Chunk, Format, Reader, Record, Timestamp, Writer};
use overlay_decoder::LinkType;
use overlay_lab::{Lab, Namespace};
use overlay_tests::{Ended, Run, Running, is_root, ndjson, program, skip};
use serde_json::{Value, json};
use std::path::Path;

fn can_run(test: &str) -> bool {
    let root = is_root();
    if !root {
        skip(&format!("replay::{test}"), "not root");
    }
    root
}

/// A frame of a local experiment (IEEE 802 EtherType 0x88b5) with a number in it.
fn frame(number: u16, size: usize) -> Vec<u8> {
    let header = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x88, 0xb5];
    header.into_iter().chain(number.to_be_bytes()).chain(std::iter::repeat(7)).take(size).collect()
}

/// A capture: frames, and when each was captured, in milliseconds.
fn capture(path: &Path, frames: &[(u64, Vec<u8>)]) {
    let mut writer = Writer::create(path, Format::PcapNano).unwrap();
    for (at, frame) in frames {
        let at = Timestamp::new(1_700_000_000, (at * 1_000_000) as u32);
        writer.write(&Record::new(LinkType::ETHERNET, at, frame)).unwrap();
    }
    writer.finish().unwrap();
}

/// What a capture has: when, and the frame.
fn read(path: &Path) -> Vec<(Timestamp, Vec<u8>)> {
    let mut reader = Reader::open(path).unwrap();
    let (mut chunk, mut frames) = (Chunk::new(), Vec::new());
    while reader.next_chunk(&mut chunk).unwrap() {
        frames.extend(chunk.records().map(|record| (record.timestamp.unwrap(), record.bytes.to_vec())));
    }
    frames
}

/// The other end of the wire, listening.
fn listen(host: &Namespace, file: &Path) -> Running {
    let words = ["--netns", host.name(), "-i", "ul0", "-w", file.to_str().unwrap(), "ether proto 0x88b5"];
    let mut snoop = Run::new(program("overlay-snoop")).args(words).start();
    snoop.wait_for_message("it to listen", |said| said.contains("listening"));
    snoop
}

fn heard(snoop: Running, file: &Path) -> Vec<(Timestamp, Vec<u8>)> {
    snoop.signal("INT");
    let ended = snoop.end_with_open_input();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    read(file)
}

/// The one object of a report.
fn report(ended: &Ended) -> Value {
    let mut lines = ndjson(&ended.stdout);
    assert_eq!(lines.len(), 1, "{}{}", ended.stdout, ended.stderr);
    lines.remove(0)
}

#[test]
fn two_captures_of_one_talk_arrive_as_one_at_their_times() {
    if !can_run("two_captures_of_one_talk_arrive_as_one_at_their_times") {
        return;
    }
    let lab = Lab::builder("rpl_send").hosts(2).build().expect("a lab comes up");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Questions of one side, answers of the other, 10 ms apart; one has a clock that went back.
    let ask: Vec<_> = (0..20).map(|number| (u64::from(number) * 20, frame(number * 2, 60))).collect();
    let answer: Vec<_> = (0..20).map(|number| (u64::from(number) * 20 + 10, frame(number * 2 + 1, 1_000))).collect();
    capture(&path("ask.pcap"), &ask);
    capture(&path("answer.pcap"), &answer);
    let snoop = listen(lab.host(2), &path("heard.pcapng"));
    let line = format!("send --netns {} --json FOLDER/ask.pcap=ul0 FOLDER/answer.pcap=ul0", lab.host(1).name());
    let ended = run(&line, folder.path());
    // In a pipe nothing is said of how far it is.
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.stdout);
    let report = report(&ended);
    let figures = ["packets", "bytes", "passes", "ended"].map(|name| report[name].clone());
    assert_eq!(figures, [json!(40), json!(20 * 60 + 20 * 1_000), json!(1), json!("done")], "{report}");
    let each = |index: usize| (report["interfaces"][index]["packets"].clone(), report["interfaces"][index]["interface"].clone());
    assert_eq!((each(0), each(1)), ((json!(20), json!("ul0")), (json!(20), json!("ul0"))));
    assert!(report["pacing"]["p50_ns"].as_u64() <= report["pacing"]["max_ns"].as_u64(), "{report}");

    let arrived = heard(snoop, &path("heard.pcapng"));
    let expected: Vec<_> = (0..40).map(|number| frame(number, if number % 2 == 0 { 60 } else { 1_000 })).collect();
    assert!(arrived.iter().map(|(_, frame)| frame).eq(&expected), "{} of 40 frames in their order", arrived.len());
    // 390 ms from the first to the last; the first may have been late, none was early.
    let long = arrived[39].0.since(arrived[0].0);
    assert!(long > 300_000_000, "all within {long} ns");
}

#[test]
fn what_cannot_be_sent_is_named_and_the_rest_leaves() {
    if !can_run("what_cannot_be_sent_is_named_and_the_rest_leaves") {
        return;
    }
    let lab = Lab::builder("rpl_refused").hosts(2).mtu(1_500).build().expect("a lab comes up");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let frames: Vec<_> = [60, 2_000, 1_514, 3_000, 60].into_iter().zip(0..).map(|(size, number)| (0, frame(number, size))).collect();
    capture(&path("large.pcap"), &frames);
    let to = format!("--netns {}", lab.host(1).name());
    let snoop = listen(lab.host(2), &path("heard.pcapng"));
    let ended = run(&format!("send {to} FOLDER/large.pcap=ul0"), folder.path());
    assert_eq!((ended.code, ended.stderr.as_str()), (3, ""));
    assert!(ended.stdout.starts_with("sent 3 packets, 1634 bytes in "), "{}", ended.stdout);
    let large = folder.path().join("large.pcap").display().to_string();
    let refused = format!("ul0: 2 packets refused by the kernel: longer than the MTU of 1500 allows: packets 2, 4 of {large}\n");
    assert!(ended.stdout.ends_with(&refused), "{}", ended.stdout);

    // What the capture cut off is left out, or sent with zeros.
    let mut writer = Writer::create(path("cut.pcap"), Format::Pcap).unwrap();
    let whole = frame(9, 200);
    writer.write(&Record::new(LinkType::ETHERNET, Timestamp::new(1, 0), &whole)).unwrap();
    writer.write(&Record::new(LinkType::ETHERNET, Timestamp::new(1, 0), &whole[..100]).with_len(200)).unwrap();
    writer.finish().unwrap();
    let ended = run(&format!("send {to} --json FOLDER/cut.pcap=ul0"), folder.path());
    assert_eq!(ended.code, 3, "{}", ended.stderr);
    let left_out = report(&ended)["interfaces"][0]["left_out"].clone();
    assert_eq!((left_out[0]["count"].clone(), left_out[0]["packets"].clone()), (json!(1), json!([2])), "{left_out}");
    let ended = run(&format!("send {to} --topspeed --pad --loop 3 --json FOLDER/cut.pcap=ul0"), folder.path());
    assert_eq!((ended.code, report(&ended)["packets"].clone(), report(&ended)["passes"].clone()), (0, json!(6), json!(3)));

    let sizes: Vec<_> = heard(snoop, &path("heard.pcapng")).into_iter().map(|(_, frame)| frame.len()).collect();
    assert_eq!(sizes, [60, 1_514, 60, 200, 200, 200, 200, 200, 200, 200]);
}

#[test]
fn where_nothing_can_be_sent_one_sentence_says_why() {
    if !can_run("where_nothing_can_be_sent_one_sentence_says_why") {
        return;
    }
    let lab = Lab::builder("rpl_nowhere").hosts(2).build().expect("a lab comes up");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    capture(&path("good.pcap"), &[(0, frame(0, 60))]);
    capture(&path("none.pcap"), &[]);
    lab.host(1).ip(&["link add far0 type veth peer name far1".into(), "link set far0 up".into()]).expect("a pair");
    lab.host(1).ip(&["link add down0 type veth peer name down1".into()]).expect("a pair");
    lab.host(1).ip(&["tuntap add mode tun name bare0".into(), "link set bare0 up".into()]).expect("a tunnel");
    let snoop = listen(lab.host(2), &path("heard.pcapng"));
    let to = format!("--netns {}", lab.host(1).name());
    for (words, said) in [
        (format!("{to} FOLDER/good.pcap=nowhere0"), "nowhere0: no such interface in the namespace; it has "),
        (format!("{to} FOLDER/good.pcap=down0"), "down0: the interface is down; `ip link set down0 up` brings it up"),
        (format!("{to} FOLDER/good.pcap=far0"), "far0: the interface has no carrier: nobody is at its other end"),
        (format!("{to} FOLDER/good.pcap=bare0"), "bare0: no Ethernet interface; frames can be sent on those only"),
        ("--netns no-such-namespace FOLDER/good.pcap=ul0".to_owned(), "no-such-namespace"),
        (format!("{to} FOLDER/good.pcap=ul0 FOLDER/missing.pcap=ul0"), "missing.pcap: No such file"),
        (format!("{to} FOLDER/good.pcap=ul0 not-a-capture.pcap=ul0"), "not a capture"),
        // It is read to its end first, so that not even its good packets are sent.
        (format!("{to} FOLDER/good.pcap=ul0 pcap-cut-in-data.pcap=ul0"), "cut off at byte"),
        (format!("{to} FOLDER/none.pcap=ul0"), "none.pcap: it has no packets; Ethernet frames are what can be sent"),
        (format!("{to} raw-ipv6.pcap=ul0"), "raw-ipv6.pcap: it has no Ethernet frames; Ethernet frames are what can be sent"),
        (format!("{to} --loop 2 /dev/stdin=ul0"), "/dev/stdin: no file, and can be read only once; without --loop it is"),
    ] {
        let ended = run(&format!("send {words}"), folder.path());
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{words}: {}", ended.stderr);
        assert!(ended.stderr.contains(said) && ended.stderr.lines().count() == 1, "{words}: {}", ended.stderr);
    }
    // Without the right to.
    let sent = format!("{}=ul0", path("good.pcap").display());
    let program = program("overlay-replay").display().to_string();
    let words = ["--bounding-set=-net_raw", "--inh-caps=-net_raw", &program, "send", &sent];
    let nsenter = format!("--net={}", lab.host(1).path().display());
    let ended = Run::new("nsenter").args([&nsenter, "setpriv"]).args(words).end();
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert_eq!(ended.stderr, "overlay-replay: ul0: sending packets needs the capability CAP_NET_RAW, which root has\n");
    assert_eq!(heard(snoop, &path("heard.pcapng")), [], "nothing was sent");
}

#[test]
fn it_ends_when_told_and_says_what_it_did() {
    if !can_run("it_ends_when_told_and_says_what_it_did") {
        return;
    }
    let lab = Lab::builder("rpl_ends").hosts(2).build().expect("a lab comes up");
    let folder = tempfile::tempdir().unwrap();
    capture(&folder.path().join("one.pcap"), &[(0, frame(0, 60)), (1, frame(1, 60))]);
    let sent = format!("{}=ul0", folder.path().join("one.pcap").display());
    let netns = lab.host(1).name();
    let send = |words: &[&str]| replay(["send", "--netns", netns, "--json", "--loop", "0"]).args(words).args([&sent]);
    let ended = send(&["--pps", "1000", "--duration", "0.05"]).end();
    let said = report(&ended);
    assert_eq!((ended.code, said["ended"].as_str()), (0, Some("duration")), "{}", ended.stderr);
    // A packet each millisecond, the first at once.
    assert!((1..=50).contains(&said["packets"].as_u64().unwrap()), "{said}");

    // An hour until the next packet: a signal is not kept waiting.
    let mut heard =
        Run::new(program("overlay-snoop")).args(["--netns", lab.host(2).name(), "-i", "ul0", "-l", "ether proto 0x88b5"]).start();
    heard.wait_for_message("it to listen", |said| said.contains("listening"));
    let running = send(&["--pps", "0.0003"]).start();
    heard.wait_for("the first packet", |said| said.contains('\n'));
    running.signal("INT");
    let ended = running.end_with_open_input();
    let said = report(&ended);
    assert_eq!((ended.code, said["ended"].as_str()), (0, Some("interrupted")), "{}", ended.stderr);
    heard.signal("INT");
    assert_eq!(heard.end_with_open_input().code, 0);

    // The wire is cut meanwhile: what was sent is said, and why it is over.
    let running = send(&["--pps", "1000"]).start();
    std::thread::sleep(std::time::Duration::from_millis(300));
    lab.host(1).ip(&["link del ul0".into()]).expect("an interface can be removed");
    let ended = running.end_with_open_input();
    assert_eq!((ended.code, report(&ended)["ended"].as_str()), (1, Some("broken")), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("overlay-replay: ul0: the interface ") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
}
