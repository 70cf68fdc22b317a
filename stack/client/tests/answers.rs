//! What does the client make of answers, good and bad? A listener that says what the test wants.

use overlay_api::control::{Happening, ProblemKind};
use overlay_client::{Client, ClientError};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

/// A client of somebody who reads a request's head and then does `answer`.
fn client_of(answer: impl FnOnce(UnixStream) + Send + 'static) -> (tempfile::TempDir, Client) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overlayd.sock");
    let listener = UnixListener::bind(&path).unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut head = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        while head.read_line(&mut line).is_ok_and(|read| read > 2) {
            line.clear();
        }
        answer(stream);
    });
    (directory, Client::new("overlayd", path).with_timeout(Duration::from_secs(60)))
}

fn metrics_of(bytes: impl AsRef<[u8]> + Send + 'static) -> Result<String, ClientError> {
    // The client may have hung up before all of it is written.
    let (_directory, client) = client_of(move |mut stream| drop(stream.write_all(bytes.as_ref())));
    client.metrics()
}

fn wrong(bytes: impl AsRef<[u8]> + Send + 'static) -> String {
    metrics_of(bytes).unwrap_err().to_string()
}

#[test]
fn a_daemon_that_is_not_there_is_named_with_its_socket() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overlayd.sock");
    let error = Client::new("overlayd", &path).status().unwrap_err();
    assert_eq!(error.to_string(), format!("overlayd is not running: {}: No such file or directory (os error 2)", path.display()));
    drop(UnixListener::bind(&path).unwrap());
    let error = Client::new("overlayd", &path).status().unwrap_err();
    assert_eq!(error.to_string(), format!("overlayd is not running: {}: Connection refused (os error 111)", path.display()));
    let long = directory.path().join("x".repeat(200));
    let error = Client::new("overlayd", long).status().unwrap_err();
    assert!(matches!(error, ClientError::NotRunning { .. }), "{error}");
}

#[test]
fn a_socket_that_is_not_for_this_user_is_another_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("overlayd.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    match Client::new("overlayd", &path).with_timeout(Duration::from_millis(10)).status().unwrap_err() {
        ClientError::NotAllowed { .. } => {}
        // Root is let in everywhere.
        ClientError::Broken { .. } => {
            assert!(std::fs::metadata("/proc/self").is_ok_and(|file| std::os::unix::fs::MetadataExt::uid(&file) == 0))
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_body_comes_in_each_of_the_three_lengths() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more than it said",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: x\r\n\r\nmore",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200\n\nhello",
    ] {
        assert_eq!(metrics_of(bytes).unwrap(), "hello", "{bytes}");
    }
    assert_eq!(metrics_of("HTTP/1.1 204 No Content\r\n\r\n").unwrap(), "");
}

#[test]
fn an_answer_that_is_cut_off_is_never_taken_for_a_whole_one() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let counted = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    for whole in [chunked, counted] {
        for end in 0..whole.len() {
            match metrics_of(&whole[..end]).unwrap_err() {
                ClientError::Broken { .. } => {}
                other => panic!("{}: {other}", &whole[..end]),
            }
        }
    }
    assert_eq!(
        wrong(&counted[..counted.len() - 1]),
        "the connection to overlayd broke while reading the answer: it was closed before the answer was complete"
    );
}

#[test]
fn an_answer_that_is_no_answer_says_what_is_wrong_with_it() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(100));
    for (bytes, said) in [
        ("SSH-2.0-OpenSSH\r\n\r\n".to_owned(), "its head is no HTTP"),
        (long, "its head is larger than 65536 bytes"),
        (many, "its head is no HTTP: too many headers"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n".to_owned(), "its length is \"-1\""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n".to_owned(), "its length is"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), "its transfer coding is \"gzip\"; chunked is understood"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello".to_owned(), "a chunk does not say how long it is"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n".to_owned(), "a chunk is longer than it says"),
        ("HTTP/1.1 200 OK\r\n\r\n\u{0}".to_owned() + "\u{ff}", ""),
    ] {
        match metrics_of(bytes) {
            Err(error) => assert!(!said.is_empty() && error.to_string().contains(said), "{error}"),
            Ok(text) => assert!(said.is_empty(), "{text}"),
        }
    }
    assert!(wrong(b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe".as_slice()).ends_with("it is not UTF-8"));
    let (_directory, client) = client_of(|mut stream| stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"version\":7}").unwrap());
    let error = client.status().unwrap_err().to_string();
    assert!(error.starts_with("overlayd's answer is not understood: GET /v1/status: invalid type: integer `7`"), "{error}");
}

#[test]
fn a_refusal_is_the_daemons_own_sentence_where_it_has_one() {
    let sentence = "HTTP/1.1 409 Conflict\r\nContent-Length: 22\r\n\r\n{\"error\":\"it is taken\"}";
    let error = metrics_of(sentence.replace("22", "23")).unwrap_err();
    assert_eq!((error.to_string().as_str(), error.problem().map(|problem| problem.kind)), ("it is taken", Some(ProblemKind::Clash)));
    assert_eq!(wrong("HTTP/1.1 431 Too Large\r\nContent-Length: 0\r\n\r\n"), "overlayd refused the request with HTTP status 431");
}

#[test]
fn an_answer_before_the_request_is_sent_counts() {
    let (_directory, client) = client_of(|mut stream| {
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 14\r\n\r\n{\"error\":\"no\"}").unwrap();
    });
    // More than the socket holds, so the client is still writing when the other side is gone.
    let frame = overlay_api::control::TraceFrame::Hex("00".repeat(4_000_000));
    let error = client.trace(&"ov0".parse().unwrap(), &overlay_api::control::TraceRequest { frame, vnic: None }).unwrap_err();
    assert_eq!(error.to_string(), "no");
}

#[test]
fn a_daemon_that_says_nothing_is_not_waited_for_without_end() {
    let (_directory, client) = client_of(|stream| drop((thread::park(), stream)));
    let error = client.with_timeout(Duration::from_millis(20)).status().unwrap_err();
    assert_eq!(error.to_string(), "overlayd does not answer: out of time while waiting for the answer");
}

#[test]
fn events_are_read_however_they_are_cut() {
    let line = r#"{"timestamp":"5.000000007","event":"missed","missed":3}"#;
    let text = format!("{line}\n\n{line}\n");
    let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    // Chunks that know nothing of lines, written a byte at a time.
    for part in text.as_bytes().chunks(7) {
        bytes.extend(format!("{:x}\r\n", part.len()).into_bytes());
        bytes.extend(part);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    let (_directory, client) = client_of(move |mut stream| {
        for byte in bytes {
            stream.write_all(&[byte]).unwrap();
            thread::yield_now();
        }
    });
    let mut events = client.events().unwrap();
    let mut seen = 0;
    // Timeouts in the middle of everything lose nothing.
    while !events.is_over() {
        if let Some(event) = events.next_within(Duration::from_millis(1)).unwrap() {
            assert_eq!(event.what, Happening::Missed { missed: 3 });
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
    assert!(events.next().is_none());
}

#[test]
fn events_that_break_end_with_one_error() {
    for (body, said) in [
        (
            "{\"timestamp\":\"5.000000007\"",
            "the connection to overlayd broke while waiting for events: it was closed in the middle of an event",
        ),
        ("{\"event\":7}\n", "overlayd's answer is not understood: an event: "),
    ] {
        let (_directory, client) = client_of(move |mut stream| write!(stream, "HTTP/1.1 200 OK\r\n\r\n{body}").unwrap());
        let mut events = client.events().unwrap();
        let error = events.next().unwrap().unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
        assert!(events.next().is_none());
    }
    let (_directory, client) = client_of(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(&[b'x'; 65_536]).is_ok() {}
    });
    let error = client.events().unwrap().next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "overlayd's answer is not understood: an event is longer than 1048576 bytes");
}
