//! The socket's file: there with its mode and group or not at all, and one daemon's at a time.

use overlay_serve::ControlSocket;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run/overlay/overlayd.sock");
    (directory, path)
}

fn refused(path: &std::path::Path) -> String {
    let error = ControlSocket::open(path, None).unwrap_err().to_string();
    let said = error.strip_prefix(&format!("control socket {}: ", path.display()));
    said.unwrap_or_else(|| panic!("no path in: {error}")).to_owned()
}

#[test]
fn a_socket_is_for_its_owner_and_group_and_goes_with_the_daemon() {
    let (_directory, path) = place();
    let gid = if nix::unistd::geteuid().is_root() { 64998 } else { nix::unistd::getegid().as_raw() };
    let socket = ControlSocket::open(&path, Some(gid)).unwrap();
    let file = fs::symlink_metadata(&path).unwrap();
    assert!(file.file_type().is_socket());
    assert_eq!((file.mode() & 0o7777, file.gid(), socket.gid()), (0o660, gid, gid));
    assert!(UnixStream::connect(&path).is_ok());
    let names = |path: &std::path::Path| {
        let entries = fs::read_dir(path.parent().unwrap()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&path), ["overlayd.sock", "overlayd.sock.lock"]);
    drop(socket);
    assert_eq!(names(&path), ["overlayd.sock.lock"]);
    assert_eq!(ControlSocket::open(&path, None).unwrap().gid(), nix::unistd::getegid().as_raw());
}

#[test]
fn what_a_killed_daemon_left_is_replaced() {
    let (_directory, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    drop(UnixListener::bind(path.with_file_name(format!(".{}", std::process::id()))).unwrap());
    let _socket = ControlSocket::open(&path, None).unwrap();
    assert!(UnixStream::connect(&path).is_ok());
}

#[test]
fn a_socket_of_a_living_daemon_stays() {
    let (_directory, path) = place();
    let first = ControlSocket::open(&path, None).unwrap();
    assert_eq!(refused(&path), format!("another daemon (pid {}) has it; one at a time can", std::process::id()));
    assert!(UnixStream::connect(&path).is_ok(), "the first one's is still there");
    drop(first);
    // One that knows nothing of locks.
    let _other = UnixListener::bind(&path).unwrap();
    assert_eq!(refused(&path), "another daemon answers there; one at a time can");
}

#[test]
fn what_is_no_socket_is_not_touched() {
    let (_directory, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "precious").unwrap();
    assert_eq!(refused(&path), "there is something of that name that is no socket; remove it");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let long = path.with_file_name("x".repeat(100));
    assert!(refused(&long).ends_with("bytes; at most 107 are possible"), "{}", refused(&long));
    let below = path.join("overlayd.sock");
    assert!(refused(&below).starts_with("cannot make its directory: "), "{}", refused(&below));
}

#[test]
fn a_socket_that_replaced_ours_is_not_removed() {
    let (_directory, path) = place();
    let ours = ControlSocket::open(&path, None).unwrap();
    fs::remove_file(&path).unwrap();
    let _theirs = UnixListener::bind(&path).unwrap();
    drop(ours);
    assert!(UnixStream::connect(&path).is_ok());
}
