//! What does `overlayadm` say to overlayd, and what does it make of the answers? The real program, and a daemon that says what the test wants.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// A daemon that answers each `METHOD PATH` with what stands behind it, everything else with 404, and remembers what it was asked.
struct Daemon {
    root: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

/// What the program did.
#[derive(Debug)]
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Daemon {
    fn new(answers: &[(&'static str, u16, &'static str)]) -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("run/overlay")).unwrap();
        let listener = UnixListener::bind(root.path().join("run/overlay/overlayd.sock")).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, seen) = (answers.to_vec(), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut first, mut length) = (String::new(), 0);
                stream.read_line(&mut first).unwrap();
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).unwrap();
                    if let Some(number) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = number.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let call = first.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
                // What a list is asked for beside its path is the client's business.
                let path = call.split('?').next();
                let answer = answers.iter().find(|(asked, ..)| *asked == call).or(answers.iter().find(|(asked, ..)| Some(*asked) == path));
                let (status, text) =
                    answer.map_or((404, r#"{"error":"there is none of that name"}"#), |(_, status, text)| (*status, *text));
                seen.lock().unwrap().push(format!("{call} {}", String::from_utf8(body).unwrap()).trim_end().to_owned());
                let length = text.len();
                // The program may have hung up.
                let _ = write!(stream.get_mut(), "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}");
            }
        });
        Self { root, asked }
    }

    fn run(&self, arguments: &[&str]) -> Done {
        let program = env!("CARGO_BIN_EXE_overlayadm");
        let output = Command::new(program).args(arguments).env("OVERLAY_ROOT", self.root.path()).stdin(Stdio::null()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Done { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// Runs a line that has to succeed in silence, and says what was asked for it.
    fn silent(&self, line: &str) -> Vec<String> {
        let done = self.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(0), "", ""), "{line}");
        self.asked()
    }

    /// Runs a line that has to succeed, and says what it printed.
    fn shown(&self, line: &str) -> String {
        let done = self.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{line}");
        done.stdout
    }
}

const COUNTERS: &str = r#"{"frames_in":3,"drops":{"too-big":2}}"#;

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn overlay(name: &str, search: &str, rest: &str) -> &'static str {
    leaked(format!(
        r#"{{"name":"{name}","id":1,"encapsulation":"vxlan","search":"{search}","vnetid":7,"mtu":1400,{rest},"listen":"10.0.0.1:4789","vnics":1,"targets":2,"pending_bytes":0,"lookups":0,"counters":{COUNTERS},"temporary":false}}"#
    ))
}

fn vnic() -> &'static str {
    leaked(format!(
        r#"{{"name":"vnic0","overlay":"ov7","mac":"02:08:20:0a:00:01","mtu":1400,"namespace":"blue","state":"up","counters":{COUNTERS},"temporary":true}}"#
    ))
}

fn list(items: &[&str]) -> &'static str {
    leaked(format!("[{}]", items.join(",")))
}

const MTU: &str = r#"{"name":"mtu","type":"uint","possible":"576-9000","perm":"rw","required":false,"default":"1400","value":"1500","set":true,"doc":"Largest packet."}"#;
const DEST: &str = r#"{"name":"direct/dest_ip","type":"ip","possible":"an IP address","perm":"rw","required":true,"value":"fd00::2","set":true,"doc":"Where."}"#;
const PORT: &str = r#"{"name":"direct/dest_port","type":"uint","possible":"1-65535","perm":"rw","required":false,"value":"4789","set":true,"doc":"Port."}"#;

/// ov7 is direct and up, ov8 has a table and is degraded, vnic0 is on ov7.
fn host() -> Daemon {
    let ov7 = overlay("ov7", "direct", r#""state":"up""#);
    let ov8 = overlay("ov8", "files", r#""state":"degraded","reason":"nobody answers lookups","since_ns":61000000000"#);
    let properties = list(&[MTU, DEST, PORT]);
    let page = r#"{"generation":1,"total":2,"rows":[
        {"mac":"02:08:20:0a:00:01","ul3":["[fd00::2]:4789"],"state":"valid","age_ns":1500000000,"idle_ns":2,"hits":3,"bytes":4,"pending_bytes":0,"source":"static"},
        {"mac":"02:08:20:0a:00:02","ul3":[],"state":"pending","age_ns":1,"idle_ns":1,"hits":0,"bytes":0,"pending_bytes":98,"source":"lookup"}],"states":{"valid":1,"pending":1}}"#;
    Daemon::new(&[
        ("GET /v1/overlays", 200, list(&[ov7, ov8])),
        ("GET /v1/overlays/ov7", 200, ov7),
        ("GET /v1/overlays/ov8", 200, ov8),
        ("POST /v1/overlays", 201, ov7),
        ("DELETE /v1/overlays/ov7", 204, ""),
        ("DELETE /v1/overlays/ov8", 409, r#"{"error":"overlay ov8: has 1 VNIC (vnic1); none is allowed"}"#),
        ("GET /v1/overlays/ov7/properties", 200, properties),
        ("GET /v1/overlays/ov8/properties", 200, list(&[MTU])),
        ("POST /v1/overlays/ov7/properties", 200, MTU),
        ("GET /v1/overlays/ov8/targets?filter=&limit=65536&offset=0&order=ascending&sort=mac", 200, page),
        ("PUT /v1/overlays/ov8/targets/02:08:20:0a:00:01", 204, ""),
        ("DELETE /v1/overlays/ov8/targets/02:08:20:0a:00:01", 204, ""),
        ("POST /v1/overlays/ov8/flush", 200, r#"{"flushed":2}"#),
        (
            "POST /v1/overlays/ov8/traces",
            200,
            r#"[{"steps":["overlay","frame","why"],"verdict":"drop","vni":7,"reason":"too-big"},{"steps":["overlay","frame","it is valid","how"],"verdict":"transmit","vni":7,"to":["10.0.0.2:4789"]}]"#,
        ),
        ("POST /v1/overlays/ov8/trace", 200, r#"{"steps":["a step","another"],"verdict":"drop","vni":7,"reason":"too-big"}"#),
        ("GET /v1/vnics", 200, list(&[vnic()])),
        ("GET /v1/vnics/vnic0", 200, vnic()),
        ("POST /v1/vnics", 201, vnic()),
        ("DELETE /v1/vnics/vnic0", 204, ""),
        ("GET /v1/vnics/vnic0/properties", 200, list(&[MTU])),
        ("POST /v1/vnics/vnic0/properties", 200, MTU),
    ])
}

#[test]
fn what_makes_and_unmakes_is_one_call_and_silent() {
    let host = host();
    assert_eq!(
        host.silent("create-overlay -e vxlan -s direct -v 7 -p direct/dest_ip=fd00::2 -p mtu=1500 -t ov7"),
        [
            r#"POST /v1/overlays {"name":"ov7","encapsulation":"vxlan","search":"direct","vnetid":7,"properties":{"direct/dest_ip":"fd00::2","mtu":"1500"},"temporary":true}"#
        ]
    );
    assert_eq!(host.silent("delete-overlay ov7"), ["DELETE /v1/overlays/ov7"]);
    assert_eq!(
        host.silent("create-vnic -l ov7 -m 2:8:20:a:0:1 -n blue -p mtu=1300 vnic0"),
        [r#"POST /v1/vnics {"name":"vnic0","overlay":"ov7","mac":"02:08:20:0a:00:01","mtu":1300,"namespace":"blue","temporary":false}"#]
    );
    assert_eq!(host.silent("delete-vnic vnic0"), ["DELETE /v1/vnics/vnic0"]);
}

#[test]
fn a_table_is_changed_by_mac_with_ipv6_too() {
    let host = host();
    let path = "/v1/overlays/ov8/targets/02:08:20:0a:00:01";
    assert_eq!(host.silent("modify-overlay -s 2:8:20:a:0:1=[fd00::2]:4789 ov8"), [format!(r#"PUT {path} {{"to":["[fd00::2]:4789"]}}"#)]);
    assert_eq!(host.silent("modify-overlay -s 2:8:20:a:0:1=drop ov8"), [format!(r#"PUT {path} {{"to":"drop"}}"#)]);
    assert_eq!(host.silent("modify-overlay -d 2:8:20:a:0:1 ov8"), [format!("DELETE {path}")]);
    assert_eq!(host.silent("modify-overlay -f ov8"), ["POST /v1/overlays/ov8/flush"]);
}

#[test]
fn a_property_is_set_on_an_overlay_or_a_vnic_whichever_the_name_is() {
    let host = host();
    let asked = host.silent("set-prop -p mtu=1500 ov7");
    assert_eq!(asked.last().unwrap(), r#"POST /v1/overlays/ov7/properties {"name":"mtu","value":"1500"}"#);
    let asked = host.silent("reset-prop -p mtu vnic0");
    assert_eq!(asked.last().unwrap(), r#"POST /v1/vnics/vnic0/properties {"name":"mtu","value":null}"#);
    let done = host.run(&["set-prop", "-p", "mtu=1500", "vnci0"]);
    assert_eq!(done.stderr, "overlayadm: link vnci0: there is neither an overlay nor a VNIC of that name; did you mean vnic0?\n");
    assert!(done.code == Some(1) && host.asked().iter().all(|call| call.starts_with("GET ")));
}

#[test]
fn properties_are_shown_as_dladm_shows_them() {
    let host = host();
    let expected = "\
LINK     PROPERTY           PERM REQ VALUE      DEFAULT   POSSIBLE
ov7      mtu                rw   -   1500       1400      576-9000
ov7      direct/dest_ip     rw   y   fd00::2    --        an IP address
ov7      direct/dest_port   rw   -   4789       --        1-65535
";
    assert_eq!(host.shown("show-overlay ov7"), expected);
    assert_eq!(host.shown("show-prop ov7"), expected);
    assert_eq!(host.shown("show-overlay -p -o link,value ov7 ov8"), "ov7:1500\nov7:fd00\\:\\:2\nov7:4789\nov8:1500\n");
    assert_eq!(host.shown("show-prop -p mtu -c -o link"), "ov7\nov8\nvnic0\n");
    let first = format!("{{\"link\":\"ov7\",{}\n", &MTU[1..]);
    assert!(host.shown("show-overlay --json").starts_with(&first), "{}", host.shown("show-overlay --json"));
}

#[test]
fn targets_are_shown_with_those_that_wait_and_the_one_of_a_direct_overlay() {
    let host = host();
    assert_eq!(
        host.shown("show-overlay -t"),
        "\
LINK   TARGET            UL3             STATE       AGE   HITS    BYTES SOURCE
ov7    *:*:*:*:*:*       [fd00::2]:4789  --           --     --       -- --
ov8    02:08:20:0a:00:01 [fd00::2]:4789  valid      1.5s      3        4 static
ov8    02:08:20:0a:00:02 --              pending    0.0s      0        0 lookup
"
    );
    assert_eq!(host.shown("show-overlay -t -p -o ul3 ov8"), "[fd00::2]:4789\n\n");
    assert_eq!(host.shown("show-overlay -t -p -o pending ov8"), "0\n98\n");
    let json = host.shown("show-overlay -t --json ov8");
    assert!(json.starts_with(r#"{"overlay":"ov8","mac":"02:08:20:0a:00:01","ul3":["[fd00::2]:4789"],"state":"valid","age_ns":1500000000"#));
    assert_eq!(json.lines().count(), 2);
}

#[test]
fn faults_are_shown_with_their_reason() {
    let host = host();
    assert_eq!(
        host.shown("show-overlay -f"),
        "\
LINK                STATUS   DETAILS
ov7                 up       --
ov8                 degraded nobody answers lookups
"
    );
    assert_eq!(host.shown("show-overlay -f -p -o STATUS,since,vnetid ov7 ov8"), "up::7\ndegraded:61.000000000:7\n");
}

#[test]
fn vnics_are_shown_with_where_they_are() {
    let host = host();
    assert_eq!(
        host.shown("show-vnic -l ov7"),
        "\
LINK            OVER            MACADDRESS          MTU NETNS           STATE
vnic0           ov7             02:08:20:0a:00:01  1400 blue            up
"
    );
    assert_eq!(host.shown("show-vnic -l ov8"), "");
    assert_eq!(host.shown("show-vnic -p -o macaddress,drops,persistent vnic0"), "02\\:08\\:20\\:0a\\:00\\:01:2:-\n");
}

#[test]
fn a_trace_is_its_steps_and_the_verdict() {
    let host = host();
    let line = "trace ov8 --dst 2:8:20:a:0:1 --vlan 5 --ethertype arp --size 28 --vnic vnic0";
    assert_eq!(host.shown(line), "a step\nanother\nverdict: drop vni 7 too-big\n");
    assert_eq!(
        host.asked(),
        [r#"POST /v1/overlays/ov8/trace {"frame":{"dst":"02:08:20:0a:00:01","ethertype":2054,"vlan":5,"size":28},"vnic":"vnic0"}"#]
    );
    let json = host.shown("trace ov8 --frame 02:08 --json");
    assert_eq!(json, "{\"steps\":[\"a step\",\"another\"],\"verdict\":\"drop\",\"vni\":7,\"reason\":\"too-big\"}\n");
    assert_eq!(host.asked(), [r#"POST /v1/overlays/ov8/trace {"frame":"02:08"}"#]);
}

#[test]
fn each_frame_of_a_capture_is_a_line_with_its_verdict() {
    let host = host();
    let file = host.root.path().join("two.pcap");
    // pcap: magic, version 2.4, zone, accuracy, snaplen, Ethernet; then a record each: time, captured, length, bytes.
    let mut bytes = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
    let frame = |destination: u8| [&[2, 8, 0x20, 10, 0, destination, 2, 8, 0x20, 10, 0, 9, 0x12, 0x34][..], &[0; 6]].concat();
    for (number, length) in [(1_u8, 20_u32), (2, 24)] {
        bytes.extend([7, 0, 20, length].map(u32::to_le_bytes).concat());
        bytes.extend(frame(number));
    }
    std::fs::write(&file, &bytes).unwrap();
    let path = file.display().to_string();
    assert_eq!(
        host.shown(&format!("trace ov8 --vnic vnic1 --pcap {path}")),
        "\
1 02:08:20:0a:00:09 > 02:08:20:0a:00:01: drop vni 7 too-big; why
2 02:08:20:0a:00:09 > 02:08:20:0a:00:02: transmit vni 7 to 10.0.0.2:4789; it is valid [taken: zeros behind the 20 bytes that were captured of 24]
"
    );
    let hex = "0208200a00010208200a00091234000000000000";
    let second = format!("{}00000000", hex.replacen("0001", "0002", 1));
    assert_eq!(host.asked(), [format!(r#"POST /v1/overlays/ov8/traces {{"frames":["{hex}","{second}"],"vnic":"vnic1"}}"#)]);
    let json = host.shown(&format!("trace ov8 --json --pcap {path}"));
    let first = r#"{"number":1,"timestamp":"7.000000000","src":"02:08:20:0a:00:09","dst":"02:08:20:0a:00:01","steps":["overlay","frame","why"],"verdict":"drop","vni":7,"reason":"too-big"}"#;
    assert_eq!((json.lines().next().unwrap(), json.lines().count()), (first, 2));

    // What is whole is shown before it is told that the rest is not.
    bytes.extend([0; 8]);
    std::fs::write(&file, &bytes).unwrap();
    let done = host.run(&["trace", "ov8", "--pcap", &path]);
    assert_eq!((done.code, done.stdout.lines().count()), (Some(1), 2), "{done:?}");
    assert!(done.stderr.starts_with(&format!("overlayadm: {path}: ")) && done.stderr.contains("cut off"), "{}", done.stderr);
    let done = host.run(&["trace", "ov8", "--pcap", "/nowhere.pcap"]);
    assert_eq!((done.code, done.stderr.contains("/nowhere.pcap: ")), (Some(1), true), "{}", done.stderr);
}

#[test]
fn a_refusal_is_a_sentence_and_exit_1() {
    let host = host();
    let done = host.run(&["delete-overlay", "ov8"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""));
    assert_eq!(done.stderr, "overlayadm: overlay ov8: has 1 VNIC (vnic1); none is allowed\n");
    let done = host.run(&["show-overlay", "ov7", "ov9"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(1), ""), "nothing is printed of what is not whole: {done:?}");
    let done = host.run(&["show-prop", "-p", "mtuu", "ov7"]);
    assert_eq!(done.stderr, "overlayadm: property mtuu: there is none of that name of link ov7; did you mean mtu?\n");
    let done = host.run(&["--root", "/nowhere", "show-vnic"]);
    let said = "overlayadm: overlayd is not running: /nowhere/run/overlay/overlayd.sock: No such file or directory (os error 2)\n";
    assert_eq!((done.code, done.stderr.as_str()), (Some(1), said));
}

#[test]
fn a_wrong_line_is_exit_2_and_asks_nothing() {
    let host = host();
    for (line, said) in [
        ("show-overlay -o lnk", "overlayadm: -o \"lnk\": there is no such field; did you mean link?\n"),
        ("create-overlay -e vxlan -s direct -v 7 -p a=1 -p a=2 ov7", "overlayadm: property a: is given twice; once is allowed\n"),
        ("create-overlay -e vxlan -s direct -v 16777216 ov7", "larger than 24 bits (max 16777215)"),
        ("modify-overlay -s 2:8:20:a:0:1 ov8", "MAC=UL3 or MAC=drop is expected"),
        ("shw-overlay", "show-overlay"),
        ("--root /x", "a command is expected"),
    ] {
        let done = host.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{line}");
        assert!(done.stderr.contains(said) && !done.stderr.contains('\u{1b}'), "{line}: {}", done.stderr);
    }
    assert_eq!(host.asked(), [""; 0]);
}

#[test]
fn help_manual_and_completions_are_there() {
    let host = host();
    for command in ["", "create-overlay ", "modify-overlay ", "show-overlay ", "create-vnic ", "show-prop ", "trace "] {
        let help = host.shown(&format!("{command}--help"));
        assert!(help.contains("Examples:\n  overlayadm "), "{help}");
    }
    assert!(host.shown("--generate man").contains(".SH \"OVERLAYADM CREATE-OVERLAY\""));
    for shell in ["bash", "zsh", "fish"] {
        assert!(host.shown(&format!("--generate {shell}")).contains("show-overlay"), "{shell}");
    }
}

#[test]
fn who_has_seen_enough_is_no_failure() {
    let host = host();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut program = Command::new(env!("CARGO_BIN_EXE_overlayadm"));
    program.arg("show-overlay").env("OVERLAY_ROOT", host.root.path()).stdout(writer).stderr(Stdio::piped());
    let done = program.spawn().unwrap().wait_with_output().unwrap();
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()), (Some(0), ""));
}
