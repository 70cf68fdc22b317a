//! What is in the process of a shared object? `varpd --host FILE`: the plugin, and just enough around it that varpd can talk to it.
//!
//! ```text
//!  varpd ── the lookup protocol, on standard input ──► reader ── lookups ──────► pool: 4 threads ──► lookup, arp, ndp, dhcp
//!   ▲                                                   │ └── starts, ends ──► control: 1 thread ─► create, start, stop, save ..
//!   │                                                   └── pings                 every call ──► watch: one that hangs ends all
//!   └────────── answers, states, targets ── writer ◄── room ◄── struct varpd_host
//! ```
//!
//! The reader never calls the plugin, so that pings are answered whatever the plugin does. Nothing is decided here that varpd could not
//! decide itself: which answers count, deadlines, what is asked again. Who ends this process loses nothing but the plugin's memory.

mod control;
mod pool;
mod room;
mod watch;

pub(crate) use watch::{LOAD_MAX, TALKED, call_of};

use crate::outlet::{Speech, UNSENT_MAX_BYTES};
use control::{Control, Job};
use overlay_api::channel::{FromOverlayd, FromVarpd, Hello, PACKET_MAX, VERSION, Verified, questions};
use overlay_varpd::abi::{Level, Module, leave};
use overlay_varpd::plugin::Outlet;
use pool::Pool;
use room::{Room, say_line};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SocketType, recv, sockopt};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::Builder;
use std::time::{Duration, Instant};

/// The token of what is said about the plugin itself: that it cannot be loaded.
pub(crate) const ITSELF: u64 = 0;
/// How long everything may take when it is over.
const FAREWELL: Duration = Duration::from_secs(2);

/// Runs the plugin until varpd hangs up.
///
/// # Errors
/// A sentence: this is not varpd's socket, or the system has nothing left.
pub(crate) fn run(path: &Path, deadline: Duration, cache: Option<PathBuf>) -> Result<(), String> {
    let stream = socket()?;
    // Only varpd ends it, by hanging up: what a terminal or a service manager sends to all would not leave the time to save. A handler and not
    // SIG_IGN, which programs that the plugin starts would inherit.
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false))).map_err(|error| format!("signal {signal}: {error}"))?;
    }
    // The reader of probes sees the proxies here; without them all else works.
    let _ = overlay_probes::register();
    let no_descriptor = |error: io::Error| format!("no descriptor is left: {error}");
    let no_thread = |error: io::Error| format!("no thread is left: {error}");
    let speech = Arc::new(Speech::of_host(stream.try_clone().map_err(no_descriptor)?, |text| say_line(Level::Warn, text), talked));
    let writer = Arc::clone(&speech);
    Builder::new().name("writer".to_owned()).spawn(move || writer.send_all()).map_err(no_thread)?;
    let room = Room::new(Arc::clone(&speech), watch::start(deadline * 2).map_err(no_thread)?);
    // As long as the process: threads of the plugin may speak at any time.
    let room: &'static Room = Box::leak(Box::new(room));
    let module = {
        let _call = room.calls.begin("load");
        Module::load(path, room)
    };
    let module: &'static Module = match module {
        Ok(module) => Box::leak(Box::new(module)),
        Err(problem) => {
            speech.say(FromVarpd::Verified(Verified { token: ITSELF, problem: Some(problem) }));
            // Varpd hangs up when it has read that.
            read(&stream, |_| Ok(()));
            leave(1)
        }
    };
    let info = module.info().clone();
    let cache = cache.map(|folder| folder.join(info.name.as_str()));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    speech.say(FromVarpd::Hello(Hello { versions: vec![VERSION], name: "varpd --host".to_owned(), version, plugins: vec![info] }));
    let control = Control::start(room, module, cache).map_err(no_thread)?;
    let pool = Pool::start(room, deadline).map_err(no_thread)?;
    read(&stream, |packet| {
        for message in questions(packet) {
            match message.map_err(|error| error.to_string())? {
                FromOverlayd::Ping(token) => speech.say(FromVarpd::Pong(token)),
                FromOverlayd::Lookup(lookup) => {
                    room.opened(&lookup);
                    pool.ask(lookup, Instant::now());
                }
                FromOverlayd::Withdraw(request) => room.close(request.0),
                FromOverlayd::Instance(instance) => control.give(Job::Start(Box::new(instance))),
                FromOverlayd::InstanceRemoved(device) => control.give(Job::End(device)),
                FromOverlayd::Verify(request) => control.give(Job::Verify(Box::new(request))),
                FromOverlayd::VnicAdded(vnic) => control.give(Job::Vnic(vnic, true)),
                FromOverlayd::VnicRemoved(vnic) => control.give(Job::Vnic(vnic, false)),
                FromOverlayd::Refused(_) => return Err("varpd hangs up".to_owned()),
                // A shared object is not told of addresses: `varpd_plugin.h` has no call for them.
                FromOverlayd::Welcome(_) | FromOverlayd::Complete | FromOverlayd::VnicChanged(_) => {}
            }
        }
        Ok(())
    });
    control.finish(FAREWELL);
    leave(0)
}

/// More waits for varpd than it will ever read.
fn talked(bytes: usize) {
    say_line(Level::Error, &format!("it talks without end: {bytes} bytes wait for varpd, and at most {UNSENT_MAX_BYTES} are allowed"));
    leave(TALKED)
}

/// Varpd's socket. Standard input is /dev/null from then on: what the plugin starts would have the socket otherwise.
fn socket() -> Result<UnixStream, String> {
    let stdin = io::stdin();
    match sockopt::socket_type(stdin.as_fd()) {
        Ok(SocketType::SEQPACKET) => {}
        _ => return Err("--host is how varpd runs a shared object; try --check FILE".to_owned()),
    }
    let own = stdin.as_fd().try_clone_to_owned().map_err(|error| format!("no descriptor is left: {error}"))?;
    let null = File::open("/dev/null").map_err(|error| format!("/dev/null: {error}"))?;
    rustix::stdio::dup2_stdin(&null).map_err(|error| format!("standard input cannot be replaced: {error}"))?;
    Ok(UnixStream::from(own))
}

/// Reads packets until varpd hangs up, or says what is not understood.
fn read(stream: &UnixStream, mut hear: impl FnMut(&[u8]) -> Result<(), String>) {
    let mut buffer = vec![0; PACKET_MAX];
    loop {
        match recv(stream, &mut *buffer, RecvFlags::empty()) {
            Ok((_, 0)) => return,
            Ok((_, length)) => {
                if let Err(why) = hear(buffer.get(..length).unwrap_or(&[])) {
                    return say_line(Level::Error, &why);
                }
            }
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
