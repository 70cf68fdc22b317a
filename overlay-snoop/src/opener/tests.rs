//! Files that someone else opens, asked for by a process with and without rights, and by a hostile one.

use super::*;
use crate::rights::trial::{again, field, forbid_landlock, is_root, play, role};
use crate::rights::{RightsPlan, drop_rights};
use rustix::fs::{CWD, Mode};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

/// The role of the process that opens.
const OPENER: &str = "opener";

/// Serves, and ends the process before libtest has a say, when that is its role.
fn serve_if_opener() {
    if role().as_deref() == Some(OPENER) {
        std::process::exit(if serve() == std::process::ExitCode::SUCCESS { 0 } else { 1 });
    }
}

fn numbered() -> NamePattern {
    NamePattern::numbered("x", ".pcap").unwrap()
}

fn start(test: &str, folder: &Path) -> Opener {
    let opener = Opener::start_as(again(test, OPENER), folder, numbered(), Enforcement::BestEffort).unwrap();
    // An opener that hangs fails the test; it does not stop it.
    set_socket_timeout(opener.socket.as_ref().unwrap(), Timeout::Recv, Some(Duration::from_secs(20))).unwrap();
    opener
}

fn process(opener: &Opener) -> Pid {
    Pid::from_child(&opener.process)
}

/// Sends bytes that an honest main process never sends; the errno and the sentence of the answer.
fn ask_raw(opener: &Opener, bytes: &[u8]) -> Result<(), String> {
    let socket = opener.socket.as_ref().unwrap();
    rustix::io::write(socket, bytes).unwrap();
    wire::receive_reply(socket).unwrap().expect("an answer").into_result().map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_process_without_rights_gets_files_of_a_folder_that_it_may_not_enter() {
    const TEST: &str = concat!(module_path!(), "::a_process_without_rights_gets_files_of_a_folder_that_it_may_not_enter");
    serve_if_opener();
    match role() {
        None => {
            if !is_root(TEST) {
                return;
            }
            let folder = tempfile::tempdir().unwrap();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(folder.path().join("x2.pcap"), "what was here before is longer").unwrap();
            play(TEST, folder.path().to_str().unwrap(), b"");
            let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["x2.pcap"], "x1.pcap is removed");
            let file = folder.path().join("x2.pcap");
            assert_eq!(fs::read_to_string(&file).unwrap(), "second");
            assert_eq!(fs::metadata(&file).unwrap().uid(), 0, "the owner is who started the program");
        }
        Some(folder) => {
            let folder = Path::new(&folder);
            let mut opener = start(TEST, folder);
            let state = drop_rights(&RightsPlan::default()).unwrap();
            assert!(state.to_string().starts_with("rights: user nobody, no capabilities"), "{state}");
            assert_eq!(fs::File::create(folder.join("x3.pcap")).unwrap_err().kind(), io::ErrorKind::PermissionDenied);

            let names = ["x1.pcap", "x2.pcap"].map(|name| opener.pattern().name(name).unwrap());
            let mut first = opener.open(&names[0]).unwrap();
            first.write_all(b"first").unwrap();
            first.set_len(3).unwrap();
            assert_eq!(first.metadata().unwrap().len(), 3);
            let mut second = opener.open(&names[1]).unwrap();
            second.write_all(b"second").unwrap();
            second.sync_all().unwrap();
            opener.remove(&names[0]).unwrap();
            let error = opener.remove(&names[0]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            assert!(error.to_string().starts_with(&format!("{}: No such file", folder.join("x1.pcap").display())), "{error}");
        }
    }
}

#[test]
fn a_hostile_main_process_gets_nothing_beyond_the_pattern() {
    const TEST: &str = concat!(module_path!(), "::a_hostile_main_process_gets_nothing_beyond_the_pattern");
    serve_if_opener();
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("x1.pcap");
    fs::write(&victim, "untouched").unwrap();
    let folder = outside.path().join("folder");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&victim, folder.join("x7.pcap")).unwrap();
    fs::hard_link(&victim, folder.join("x8.pcap")).unwrap();
    fs::create_dir(folder.join("x6.pcap")).unwrap();
    rustix::fs::mkfifoat(CWD, folder.join("x5.pcap"), Mode::RWXU).unwrap();
    fs::write(folder.join("y.txt"), "untouched").unwrap();
    let mut opener = start(TEST, &folder);

    for name in ["../x1.pcap", "/etc/passwd", "x1.pcap/../../x1.pcap", "./x1.pcap", "y.txt", "", ".", "..", "x1.pcap\0"] {
        for request in ["o", "r"] {
            let error = ask_raw(&opener, format!("{request}{name}").as_bytes()).unwrap_err();
            assert_eq!(error, format!("{name:?} is no name of the form xNUMBER.pcap"));
        }
    }
    assert_eq!(ask_raw(&opener, b"ox\xff.pcap").unwrap_err(), "the name is no UTF-8");
    assert_eq!(ask_raw(&opener, b"qx1.pcap").unwrap_err(), "no such request");
    assert_eq!(ask_raw(&opener, &[b'h'; 1000]).unwrap_err(), "no such request");
    assert_eq!(ask_raw(&opener, b"ox7.pcap").unwrap_err(), "is a symbolic link, which is not followed");
    assert_eq!(ask_raw(&opener, b"ox8.pcap").unwrap_err(), "has several names (hard links), and is left alone");
    // No reader: the open itself fails, and does not wait for one.
    assert!(ask_raw(&opener, b"ox5.pcap").unwrap_err().starts_with("No such device or address"));
    assert!(ask_raw(&opener, b"ox6.pcap").unwrap_err().starts_with("Is a directory"));
    assert!(ask_raw(&opener, b"rx6.pcap").unwrap_err().starts_with("Is a directory"));

    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert_eq!(fs::read_to_string(folder.join("y.txt")).unwrap(), "untouched");
    let name = opener.pattern().name("x7.pcap").unwrap();
    let error = opener.open(&name).unwrap_err().to_string();
    assert_eq!(error, format!("{}: is a symbolic link, which is not followed", folder.join("x7.pcap").display()));
    opener.remove(&name).unwrap();
    assert!(victim.exists(), "the link is removed, not what it points to");
    opener.open(&name).unwrap().write_all(b"and honest requests go on").unwrap();
}

#[test]
fn the_opener_itself_keeps_one_capability_and_one_folder() {
    const TEST: &str = concat!(module_path!(), "::the_opener_itself_keeps_one_capability_and_one_folder");
    serve_if_opener();
    if !is_root(TEST) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // A folder of someone else: without CAP_DAC_OVERRIDE root could not write here.
    std::os::unix::fs::chown(folder.path(), Some(4000), Some(4000)).unwrap();
    let mut opener = start(TEST, folder.path());
    // It runs in the one thread that is not libtest's.
    let statuses: Vec<String> = fs::read_dir(format!("/proc/{}/task", process(&opener)))
        .unwrap()
        .map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap())
        .filter(|status| field(status, "CapBnd") == "0000000000000000")
        .collect();
    let [status] = statuses.as_slice() else { panic!("{statuses:?}") };
    assert_eq!(field(status, "CapEff"), "0000000000000002", "CAP_DAC_OVERRIDE");
    assert_eq!(field(status, "CapPrm"), "0000000000000002");
    assert_eq!(field(status, "NoNewPrivs"), "1");
    assert_eq!(field(status, "Seccomp"), "2");
    let rights = opener.rights();
    assert!(rights.starts_with("rights: no capabilities but CAP_DAC_OVERRIDE, no_new_privs, "), "{rights}");
    let name = opener.pattern().name("x1.pcap").unwrap();
    opener.open(&name).unwrap();
    assert_eq!(fs::metadata(folder.path().join("x1.pcap")).unwrap().uid(), 0);
}

#[test]
fn the_end_of_the_main_process_is_the_end_of_the_opener() {
    const TEST: &str = concat!(module_path!(), "::the_end_of_the_main_process_is_the_end_of_the_opener");
    serve_if_opener();
    if let Some(folder) = role() {
        let opener = start(TEST, Path::new(&folder));
        drop_rights(&RightsPlan::default()).unwrap();
        let _ = writeln!(io::stdout(), "\nopener {}", process(&opener));
        // Until it is killed.
        let _ = io::stdin().read_line(&mut String::new());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut main = again(TEST, folder.path().to_str().unwrap()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(main.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pid = lines.find_map(|line| Some(line.strip_prefix("opener ")?.to_owned())).expect("the opener's number");
    // Ended, or ended and not yet collected by whoever inherited it.
    let ended = || fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
    assert!(!ended(), "it runs while the main process does");
    main.kill().unwrap();
    main.wait().unwrap();
    // An end of file, so at once; the ceiling is for a busy machine.
    let deadline = Instant::now() + Duration::from_secs(20);
    while !ended() {
        assert!(Instant::now() < deadline, "opener {pid} outlives its main process");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn signals_that_end_a_capture_do_not_end_the_opener_before_it() {
    const TEST: &str = concat!(module_path!(), "::signals_that_end_a_capture_do_not_end_the_opener_before_it");
    serve_if_opener();
    if role().is_some() {
        let folder = tempfile::tempdir().unwrap();
        let mut opener = start(TEST, folder.path());
        for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT] {
            kill_process(process(&opener), signal).unwrap();
        }
        let name = opener.pattern().name("x1.pcap").unwrap();
        opener.open(&name).unwrap().write_all(b"the last file").unwrap();
        kill_process(process(&opener), Signal::KILL).unwrap();
        let gone = opener.open(&name).unwrap_err();
        assert_eq!(gone.to_string(), format!("{}: the process that opens files has ended", folder.path().join("x1.pcap").display()));
        return;
    }
    play(TEST, "main", b"");
}

#[test]
fn strict_is_strict_for_the_opener_too() {
    const TEST: &str = concat!(module_path!(), "::strict_is_strict_for_the_opener_too");
    serve_if_opener();
    if role().is_none() {
        play(TEST, "main", b"");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    forbid_landlock();
    let error = Opener::start_as(again(TEST, OPENER), folder.path(), numbered(), Enforcement::Strict).unwrap_err().to_string();
    assert!(error.starts_with("dropping rights: landlock: Linux 5.13 or later has it"), "{error}");
    let opener = Opener::start_as(again(TEST, OPENER), folder.path(), numbered(), Enforcement::BestEffort).unwrap();
    assert!(opener.rights().contains("without landlock ("), "{}", opener.rights());
}

#[test]
fn a_folder_that_is_none_is_named() {
    let missing = Opener::start(Path::new("/nonexistent/folder"), numbered(), Enforcement::BestEffort).unwrap_err();
    assert_eq!(missing.to_string(), "/nonexistent/folder: No such file or directory (os error 2)");
    let file = Opener::start(Path::new("/etc/passwd"), numbered(), Enforcement::BestEffort).unwrap_err();
    assert_eq!(file.to_string(), "/etc/passwd: not a directory");
}

#[test]
fn a_first_message_is_a_hello_or_nothing() {
    for bytes in [&b""[..], b"h", b"h\x02n\0", b"o\0n\0", b"h\0", b"h\0n\x09x", b"h\0q\0"] {
        assert!(wire::Hello::from_bytes(bytes).is_none(), "{bytes:?}");
    }
    let hello = wire::Hello::from_bytes(b"h\x01n\x01x.pcap").unwrap();
    assert_eq!((hello.pattern, hello.enforcement), (numbered(), Enforcement::Strict));
}
