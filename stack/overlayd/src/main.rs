//! overlayd: descriptors around the overlay engine.
//!
//! ```text
//!             control socket (api) ──► room: owner of the engine ──► store: what survives a restart
//!   varpd ◄──► lookup socket (lookup) ──►│
//!                                       │  │
//!                          sockets, TAPs│  │snapshots
//!                                       ▼  ▼
//!   VNIC ◄──► data path threads (data) ◄──► underlay            segment: cuts super-frames, coalesce: joins them
//! ```
//!
//! No packet is decided about here: that is the engine's. What is unsafe is in `sys`, and nowhere else.

mod api;
mod bell;
mod clock;
mod coalesce;
mod data;
mod flags;
mod lookup;
mod manual;
mod pieces;
mod rights;
mod room;
mod segment;
mod store;
mod sys;
mod transport;

use bell::Bell;
use clap::{CommandFactory, Parser};
use clock::Clock;
use data::Threads;
use flags::Flags;
use overlay_api::Paths;
use overlay_engine::encap::Registry;
use overlay_engine::{Config, Control};
use overlay_serve::{ControlSocket, group_id};
use room::{Calls, Parts, Room};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use store::Store;
use tracing_subscriber::filter::LevelFilter;

fn main() -> ExitCode {
    let flags = Flags::parse();
    if let Some(what) = flags.generate {
        // Whoever reads may have seen enough.
        return manual::generate(Flags::command(), what).map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let level = match flags.verbose {
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    tracing_subscriber::fmt().with_ansi(colours).with_max_level(level).with_writer(std::io::stderr).with_target(false).init();
    if let Err(error) = overlay_probes::register() {
        tracing::warn!("probes cannot be registered: {error}");
    }
    match run(&flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            tracing::error!("{sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run(flags: &Flags) -> Result<(), String> {
    let paths = Paths::chosen(flags.root.clone(), None);
    let store = Store::open(&paths.state())?;
    let group = flags.group.as_deref().map(group_id).transpose()?;
    let socket = ControlSocket::open(&paths.overlayd_socket(), group).map_err(|error| error.to_string())?;
    let varpd = flags.varpd_user.as_deref().map(user_id).transpose()?;
    let answers = ControlSocket::open_lookup(&paths.lookup_socket(), varpd).map_err(|error| error.to_string())?;
    // Giving the sockets to others was the last thing that wanted more; every thread that is started inherits what is left.
    rights::give_up()?;
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let queues = flags.queues.map_or((processors / 2).clamp(1, 8), usize::from);
    let config = Config { workers: queues, seed: seed()?, ..Config::default() };
    let registry = Registry::default();
    let (control, workers) = Control::new(&config, registry.clone())?;
    let clock = Clock::start();
    let bell = Arc::new(Bell::new().map_err(|error| format!("no eventfd: {error}"))?);
    let threads = Threads::start(workers, clock, Arc::clone(&bell), u64::from(flags.spin) * 1000, flags.data_path);
    let threads = threads.map_err(|error| format!("the threads of the data path cannot be started: {error}"))?;
    let (events, _) = tokio::sync::broadcast::channel(1024);
    let (mut room, door) = Room::new(Parts { control, registry, clock, threads, store, queues, bell, events: events.clone() });
    room.restore();
    let owner = std::thread::Builder::new().name("room".into()).spawn(move || room.run());
    let owner = owner.map_err(|error| format!("the owner thread cannot be started: {error}"))?;
    let server =
        api::start(socket, Calls::new(door.clone(), events)).map_err(|error| format!("the control socket cannot be served: {error}"))?;

    let lookup = lookup::start(answers, door.clone(), varpd).map_err(|error| format!("the lookup socket cannot be served: {error}"))?;

    tracing::info!("ready: {}", paths.overlayd_socket().display());
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT]);
    let mut signals = signals.map_err(|error| format!("signals cannot be waited for: {error}"))?;
    if let Some(signal) = signals.forever().next() {
        tracing::info!("signal {signal}: ending; VNICs stay");
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    server.stop();
    lookup.stop();
    let _ = door.call(Room::stop);
    owner.join().map_err(|_| "the owner thread panicked".to_owned())
}

/// The id of a user, by its name or as a number.
fn user_id(name: &str) -> Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    match nix::unistd::User::from_name(name) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err(format!("--varpd-user {name}: there is no user of that name")),
        Err(error) => Err(format!("--varpd-user {name}: {error}")),
    }
}

/// What tenants cannot know: the seed of all hashes.
fn seed() -> Result<u64, String> {
    use std::io::Read;
    let mut bytes = [0; 8];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| format!("/dev/urandom: {error}"))?;
    Ok(u64::from_ne_bytes(bytes))
}
