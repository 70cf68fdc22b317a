//! Rights that are dropped, seen from inside the process that dropped them.

use super::trial::{again, field, forbid_landlock, is_root, lacks, play, role, skip};
use super::*;
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

/// The status of this thread; opened before the drop, as nothing can be opened after it.
struct Status(File);

impl Status {
    fn open() -> Self {
        Self(File::open("/proc/thread-self/status").unwrap())
    }

    fn read(&mut self) -> String {
        let mut text = String::new();
        self.0.rewind().unwrap();
        self.0.read_to_string(&mut text).unwrap();
        text
    }
}

/// A port of this machine that is listened to, so that only a missing right can refuse a connection.
fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Runs a role whose name is a folder that everyone may write to: no mode is what keeps a file from being made.
fn play_in_folder(test: &str, input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    play(test, folder.path().to_str().unwrap(), input);
}

#[track_caller]
fn assert_denied<T>(what: &str, result: io::Result<T>) {
    match result {
        Ok(_) => panic!("{what} was possible"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error}"),
    }
}

fn plan(enforcement: Enforcement) -> RightsPlan {
    RightsPlan { enforcement, ..RightsPlan::default() }
}

/// Whether this kernel has the whole of landlock; what needs it is skipped otherwise.
fn has_landlock(state: &RightsState) -> bool {
    matches!(state.outcome(Step::Landlock), Some(Outcome::Done(_)))
}

#[test]
fn after_the_drop_nothing_is_left_but_what_is_open() {
    const TEST: &str = concat!(module_path!(), "::after_the_drop_nothing_is_left_but_what_is_open");
    let Some(folder) = role() else {
        if is_root(TEST) {
            play_in_folder(TEST, b"from the pipe");
        }
        return;
    };
    let (_listener, address) = listener();
    let mut status = Status::open();
    nix::unistd::setgroups(&[Gid::from_raw(0), Gid::from_raw(4000)]).unwrap();
    assert_eq!(field(&status.read(), "Groups"), "0 4000");

    let state = drop_rights(&plan(Enforcement::BestEffort)).unwrap();

    let status = status.read();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    assert_eq!(field(&status, "Uid"), "65534 65534 65534 65534");
    assert_eq!(field(&status, "Gid"), "65534 65534 65534 65534");
    assert_eq!(field(&status, "Groups"), "");
    assert_eq!(field(&status, "NoNewPrivs"), "1");
    assert_eq!(field(&status, "Seccomp"), "2");
    let line = state.to_string();
    assert!(line.starts_with("rights: user nobody, no capabilities, no_new_privs, "), "{line}");
    assert!(line.ends_with(", seccomp on"), "{line}");
    if has_landlock(&state) {
        assert!(line.contains(", landlock abi ") && line.contains(" (full), "), "{line}");
    } else {
        lacks("this kernel has not all of landlock");
    }

    assert_denied("reading /etc/shadow", File::open("/etc/shadow"));
    assert_denied("reading /etc/passwd", File::open("/etc/passwd"));
    assert_denied("creating a file", File::create(Path::new(&folder).join("new")));
    assert_denied("a TCP connection", TcpStream::connect(address));
    assert_denied("a TCP port", TcpListener::bind("127.0.0.1:0"));
    assert_denied("a UDP socket", UdpSocket::bind("127.0.0.1:0"));
    assert_denied("starting a program", Command::new("/bin/true").status());
    assert_eq!(rustix::process::test_kill_process(rustix::process::getppid().unwrap()), Err(rustix::io::Errno::PERM), "signals to others");
    assert!(setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_err(), "the way back");

    // What a capture needs still works.
    let mut input = String::new();
    io::stdin().read_to_string(&mut input).unwrap();
    assert_eq!(input, "from the pipe");
    let sum: u64 = std::thread::spawn(|| vec![1_u8; 64 << 20].iter().map(|byte| u64::from(*byte)).sum()).join().unwrap();
    assert_eq!(sum, 64 << 20);
    assert!(std::thread::Builder::new().name("named".to_owned()).spawn(|| ()).unwrap().join().is_ok());
    std::thread::sleep(std::time::Duration::from_millis(1));
    assert!(std::panic::catch_unwind(|| panic!("a panic is still a panic")).is_err());
}

#[test]
fn threads_that_ran_before_go_on_and_the_state_tells_what_they_keep() {
    const TEST: &str = concat!(module_path!(), "::threads_that_ran_before_go_on_and_the_state_tells_what_they_keep");
    match role().as_deref() {
        None => {
            if is_root(TEST) {
                play(TEST, "best effort", b"");
                play(TEST, "strict", b"");
            }
        }
        Some(role) => {
            let (ask, asked) = mpsc::channel::<()>();
            let (answer, answers) = mpsc::channel();
            std::thread::spawn(move || {
                let mut status = Status::open();
                for () in asked {
                    answer.send((status.read(), File::open("/etc/shadow").map(drop))).unwrap();
                }
            });
            ask.send(()).unwrap();
            assert!(answers.recv().unwrap().1.is_ok(), "root reads /etc/shadow");
            let spared = "1 thread was started before and keeps its own";
            if role == "strict" {
                let error = drop_rights(&plan(Enforcement::Strict)).unwrap_err().to_string();
                assert!(error.starts_with("dropping rights: landlock: "), "{error}");
                return;
            }
            let state = drop_rights(&plan(Enforcement::BestEffort)).unwrap();
            ask.send(()).unwrap();
            let (status, shadow) = answers.recv().unwrap();
            assert_denied("reading /etc/shadow in another thread", shadow);
            assert_eq!(field(&status, "Uid"), "65534 65534 65534 65534");
            assert_eq!(field(&status, "CapPrm"), "0000000000000000");
            assert_eq!(field(&status, "NoNewPrivs"), "1");
            assert_eq!(field(&status, "Seccomp"), "2");
            if let Some(Outcome::Partial { why, .. }) = state.outcome(Step::Landlock) {
                assert_eq!(why, spared);
            }
            assert!(!has_landlock(&state), "{state}");
        }
    }
}

#[test]
fn without_landlock_the_best_effort_goes_on_and_strict_says_what_is_missing() {
    const TEST: &str = concat!(module_path!(), "::without_landlock_the_best_effort_goes_on_and_strict_says_what_is_missing");
    match role().as_deref() {
        None => {
            if is_root(TEST) {
                play(TEST, "best effort", b"");
                play(TEST, "strict", b"");
            }
        }
        Some("strict") => {
            forbid_landlock();
            assert_eq!(
                drop_rights(&plan(Enforcement::Strict)).unwrap_err().to_string(),
                "dropping rights: landlock: Linux 5.13 or later has it; this kernel or container does not let it be used; the strict \
                 sandbox needs it: leave it off, or mend this"
            );
        }
        Some(_) => {
            forbid_landlock();
            let state = drop_rights(&plan(Enforcement::BestEffort)).unwrap();
            assert_eq!(
                state.to_string(),
                "rights: user nobody, no capabilities, no_new_privs, without landlock (Linux 5.13 or later has it; this kernel or \
                 container does not let it be used), seccomp on"
            );
            // Seccomp alone still holds.
            assert_denied("reading /etc/passwd", File::open("/etc/passwd"));
        }
    }
}

#[test]
fn files_of_the_plan_can_be_read_and_only_read() {
    const TEST: &str = concat!(module_path!(), "::files_of_the_plan_can_be_read_and_only_read");
    let Some(folder) = role().map(PathBuf::from) else {
        play_in_folder(TEST, b"");
        return;
    };
    let (listed, other, inside) = (folder.join("listed"), folder.join("other"), folder.join("in"));
    fs::create_dir(&inside).unwrap();
    for file in [&listed, &other, &inside.join("file")] {
        fs::write(file, "text").unwrap();
        fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    }
    let read = vec![listed.clone(), inside.clone(), folder.join("missing")];

    let state = drop_rights(&RightsPlan { read, ..RightsPlan::default() }).unwrap();

    assert_eq!(fs::read_to_string(&listed).unwrap(), "text");
    assert_eq!(fs::read_to_string(inside.join("file")).unwrap(), "text");
    assert_eq!(fs::read_dir(&inside).unwrap().count(), 1);
    assert_denied("writing a listed file", File::options().write(true).open(&listed));
    assert_denied("creating a file", File::create(inside.join("new")));
    if has_landlock(&state) {
        assert_denied("reading a file that is not listed", File::open(&other));
        assert_denied("reading /etc/passwd", File::open("/etc/passwd"));
    } else {
        lacks("this kernel has not all of landlock");
    }
}

#[test]
fn landlock_alone_keeps_files_and_tcp_away() {
    const TEST: &str = concat!(module_path!(), "::landlock_alone_keeps_files_and_tcp_away");
    let Some(folder) = role().map(PathBuf::from) else {
        play_in_folder(TEST, b"");
        return;
    };
    let (_listener, address) = listener();
    rustix::thread::set_no_new_privs(true).unwrap();
    fs::write(folder.join("file"), "text").unwrap();
    let Outcome::Done(what) = files::restrict(files::Reach::Read(std::slice::from_ref(&folder)), 0) else {
        lacks("this kernel has not all of landlock");
        return;
    };
    assert!(what.starts_with("landlock abi "), "{what}");
    assert_denied("reading /etc/passwd", File::open("/etc/passwd"));
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "text");
    assert_denied("writing a listed file", File::options().write(true).open(folder.join("file")));
    assert_denied("creating a file", File::create(folder.join("new")));
    assert_denied("removing a listed file", fs::remove_file(folder.join("file")));
    assert_denied("a TCP connection", TcpStream::connect(address));
    assert_denied("a TCP port", TcpListener::bind("127.0.0.1:0"));
    assert_eq!(rustix::process::test_kill_process(rustix::process::getppid().unwrap()), Err(rustix::io::Errno::PERM), "signals to others");
}

#[test]
fn whoever_is_not_root_keeps_its_user() {
    const TEST: &str = concat!(module_path!(), "::whoever_is_not_root_keeps_its_user");
    if role().is_none() {
        if is_root(TEST) {
            play(TEST, "uid 4000", b"");
        }
        return;
    }
    setresgid(Gid::from_raw(4000), Gid::from_raw(4000), Gid::from_raw(4000)).unwrap();
    setresuid(Uid::from_raw(4000), Uid::from_raw(4000), Uid::from_raw(4000)).unwrap();
    let named = |name: &str| RightsPlan { user: UserChoice::Named(name.to_owned()), ..RightsPlan::default() };
    assert_eq!(
        drop_rights(&named("root")).unwrap_err().to_string(),
        "dropping rights: user: root: only root can become another user; run it with sudo"
    );
    let state = drop_rights(&RightsPlan { enforcement: Enforcement::Strict, ..named("4000") }).unwrap();
    assert!(state.to_string().starts_with("rights: user as before (it is 4000 already), no capabilities, no_new_privs, "), "{state}");
}

#[test]
fn root_that_stays_root_has_no_power_left() {
    const TEST: &str = concat!(module_path!(), "::root_that_stays_root_has_no_power_left");
    if role().is_none() {
        if is_root(TEST) {
            play(TEST, "kept", b"");
        }
        return;
    }
    let mut status = Status::open();
    let state = drop_rights(&RightsPlan { user: UserChoice::Keep, ..RightsPlan::default() }).unwrap();
    let status = status.read();
    assert_eq!(field(&status, "Uid"), "0 0 0 0");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(&status, set), "0000000000000000", "{set}");
    }
    assert!(state.to_string().starts_with("rights: user as before (it was asked to be kept), no capabilities, "), "{state}");
}

#[test]
fn a_user_namespace_without_nobody_is_said_and_not_fatal() {
    const TEST: &str = concat!(module_path!(), "::a_user_namespace_without_nobody_is_said_and_not_fatal");
    match role().as_deref() {
        None => {
            let this = again(TEST, "mapped root only");
            let mut command = Command::new("unshare");
            command.arg("--user").arg("--map-root-user").arg(this.get_program()).args(this.get_args());
            command.envs(this.get_envs().filter_map(|(name, value)| Some((name, value?))));
            match command.output() {
                Ok(output) if String::from_utf8_lossy(&output.stderr).starts_with("unshare:") => skip(TEST, "no user namespaces here"),
                Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
                Err(error) => skip(TEST, &format!("unshare: {error}")),
            }
        }
        Some(_) => {
            let state = drop_rights(&plan(Enforcement::BestEffort)).unwrap();
            let expected = Outcome::Unavailable("this user namespace does not map uid 65534 and gid 65534".to_owned());
            assert_eq!(state.outcome(Step::User), Some(&expected));
            assert!(state.to_string().contains(", no capabilities, "), "{state}");
            assert_denied("reading /etc/passwd", File::open(Path::new("/etc/passwd")));
        }
    }
}
