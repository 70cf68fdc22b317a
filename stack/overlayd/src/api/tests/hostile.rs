//! Nobody keeps others from being answered: not by much, not by little, not by nonsense, not by hanging up.

use super::Lab;
use super::fake::name;
use overlay_api::control::{BODY_MAX_BYTES, Problem};
use overlay_serve::Patience;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What comes back for these bytes, up to the end of the connection; empty if it is closed without a word.
fn said_to(lab: &Lab, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(&lab.socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // It may be refused before all of it is read.
    let _ = stream.write_all(bytes);
    rest_of(&mut stream)
}

fn rest_of(stream: &mut UnixStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("no end of the answer: {error}"),
        _ => String::from_utf8_lossy(&answer).into_owned(),
    }
}

fn status_of(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

fn problem_of(answer: &str) -> Problem {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no body: {answer}"));
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

fn is_well(lab: &Lab) {
    assert_eq!(lab.client.status().unwrap().workers, 2);
    assert_eq!(lab.rooms.world().changes, 0);
}

#[test]
fn what_is_no_http_is_refused_or_hung_up_on() {
    let lab = Lab::start();
    let noise: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for bytes in [
        &b"\0\0\0\0\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\r\nX",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &noise,
    ] {
        let mut stream = UnixStream::connect(&lab.socket).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let answer = rest_of(&mut stream);
        assert!(answer.is_empty() || status_of(&answer) == Some(400), "{answer}");
    }
    is_well(&lab);
}

#[test]
fn a_head_without_end_is_refused() {
    let lab = Lab::start();
    let one = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    let many = format!("GET /v1/status HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: y\r\n".repeat(1_000));
    let path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(100_000));
    for request in [one, many, path] {
        let status = status_of(&said_to(&lab, request.as_bytes()));
        assert!(matches!(status, Some(431 | 414 | 400)), "{status:?}");
    }
    is_well(&lab);
}

#[test]
fn a_body_has_a_largest_size_told_or_not() {
    let lab = Lab::start();
    let too_large = format!("body: is larger than {BODY_MAX_BYTES} bytes, the largest that is allowed");
    let told = format!("POST /v1/overlays HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", BODY_MAX_BYTES + 1);
    let answer = said_to(&lab, told.as_bytes());
    assert_eq!((status_of(&answer), problem_of(&answer).error), (Some(413), too_large.clone()));
    let chunk = format!("{:x}\r\n{}\r\n", 60_000, " ".repeat(60_000));
    let untold = format!("POST /v1/overlays HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(20));
    let answer = said_to(&lab, untold.as_bytes());
    assert_eq!((status_of(&answer), problem_of(&answer).error), (Some(413), too_large));
    is_well(&lab);
}

#[test]
fn a_deep_body_does_not_overflow_the_stack() {
    let lab = Lab::start();
    let body = "[".repeat(500_000);
    for open in [body.clone(), format!("{{\"properties\":{{\"mtu\":{body}")] {
        let request = format!("POST /v1/overlays HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{open}", open.len());
        let answer = said_to(&lab, request.as_bytes());
        assert_eq!(status_of(&answer), Some(400), "{answer}");
        assert!(problem_of(&answer).error.starts_with("body: "), "{answer}");
    }
    is_well(&lab);
}

#[test]
fn a_call_that_is_cut_off_is_not_made() {
    let lab = Lab::start();
    let body = r#"{"name":"ov0","encapsulation":"vxlan","search":"direct","vnetid":7}"#;
    let request = format!("POST /v1/overlays HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for end in 0..request.len() {
        let mut stream = UnixStream::connect(&lab.socket).unwrap();
        stream.write_all(&request.as_bytes()[..end]).unwrap();
    }
    is_well(&lab);
    assert!(lab.client.overlay(&name("ov0")).is_err());
}

#[test]
fn several_calls_fit_one_connection() {
    let lab = Lab::start();
    let one = "GET /v1/overlays HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET /v1/overlays HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = said_to(&lab, format!("{one}{one}{last}").as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
}

#[test]
fn who_is_too_slow_loses_the_place_and_others_are_answered() {
    let patience = Patience { connections: 8, head: Duration::from_millis(300), body: Duration::from_millis(300), ..Patience::default() };
    let lab = Lab::start_with(patience, None);
    let connect = || UnixStream::connect(&lab.socket).unwrap();
    // As many as there are places: silent, in the middle of the head, in the middle of the body.
    let mut slow: Vec<_> = (0..8).map(|_| connect()).collect();
    for stream in &mut slow[3..6] {
        stream.write_all(b"GET /v1/status HTTP/1.1\r\nHos").unwrap();
    }
    for stream in &mut slow[6..] {
        stream.write_all(b"POST /v1/overlays HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").unwrap();
    }
    is_well(&lab);
    for (number, mut stream) in slow.into_iter().enumerate() {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let answer = rest_of(&mut stream);
        if number >= 6 {
            assert_eq!((status_of(&answer), problem_of(&answer).error.as_str()), (Some(408), "body: has not arrived within 300ms"));
        }
    }
}

#[test]
fn a_reader_that_never_reads_does_not_hold_up_the_end() {
    let patience = Patience { end: Duration::from_millis(200), ..Patience::default() };
    let mut lab = Lab::start_with(patience, None);
    let mut stream = UnixStream::connect(&lab.socket).unwrap();
    // Answers that fill the socket, and nobody who takes them out.
    let _ = stream.set_nonblocking(true);
    let request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let _ = stream.write(&request);
    lab.client.status().unwrap();
    lab.stop();
    assert!(!lab.socket.exists(), "the socket's file is gone");
}

#[test]
fn who_asks_and_does_not_read_is_hung_up_on() {
    let patience = Patience { connections: 1, answer: Duration::from_millis(200), ..Patience::default() };
    let lab = Lab::start_with(patience, None);
    // More than the socket's buffers hold.
    for number in 0..2000 {
        let called = format!("ov{number}");
        lab.rooms.world().overlays.insert(name(&called), super::fake::overlay(&called, number));
    }
    let mut silent = UnixStream::connect(&lab.socket).unwrap();
    silent.write_all(b"GET /v1/overlays HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // There is room for one connection at a time: another one is answered when the first has been given up.
    assert_eq!(lab.client.overlays().unwrap().len(), 2000);
    let answer = rest_of(&mut silent);
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.ends_with("]\n"), "{} bytes came", answer.len());
}
