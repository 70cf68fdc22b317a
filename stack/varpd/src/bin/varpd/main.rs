//! varpd: the daemon around the answering library. It owns plugins and their instances, and nothing that overlayd could not give it again.
//!
//! ```text
//!  overlayd ── lookup.sock ──► connection: reader ──► Instances ──► plugin: lookup
//!                               ▲   │ tasks             ▲             │ answer
//!                               │   ▼                   │             ▼
//!                               │  workers ── start ────┘          Outlet: packets
//!                               └───────────────────────────────────── writer
//!  varpd.sock ──► api: status, instances, log level, events          files: the mapping files, watched
//!                                                                    etcd: a store that is followed
//!                                                                    remote: shared objects, in processes of their own (host)
//! ```
//!
//! The reader never waits for a plugin's start, nor for a file: a lookup in, an answer out, one system call for each packet either way.
//! Nothing here needs a privilege.
#![forbid(unsafe_code)]

mod api;
mod check;
mod connection;
mod etcd;
mod events;
mod files;
mod flags;
mod host;
mod known;
mod log;
mod outlet;
mod query;
mod remote;
mod waiting;
mod workers;

use clap::{CommandFactory, Parser};
use connection::Link;
use events::Journal;
use flags::{Flags, GenerateFlag};
use log::Log;
use overlay_api::Paths;
use overlay_serve::{ControlSocket, group_id};
use overlay_varpd::instances::Instances;
use overlay_varpd::plugin::Plugin;
use remote::{Remote, Settings};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use workers::Workers;

/// What the threads share.
struct Varpd {
    instances: Mutex<Instances>,
    link: Link,
    journal: Arc<Journal>,
    log: Log,
}

impl Varpd {
    /// The instances, for as long as a few lookups take.
    fn instances(&self) -> MutexGuard<'_, Instances> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = match (flags.generate, flags.query()) {
        (Some(what), _) => generate(what).map_err(|error| error.to_string()),
        (None, Some(query)) => query::run(&flags, query),
        (None, None) => match (&flags.host, &flags.check) {
            (Some(file), _) => host::run(file, Duration::from_millis(flags.deadline), flags.cache.clone()),
            (None, Some(file)) => check::run(&flags, file),
            (None, None) => run(&flags),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            // The log may not be there yet, or not be wanted.
            let _ = writeln!(io::stderr(), "varpd: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// The plugins that there are.
struct Plugins {
    all: Vec<Arc<dyn Plugin>>,
    /// Those of them that are shared objects.
    remote: Vec<Arc<Remote>>,
    /// What was found and is left out: a sentence each.
    problems: Vec<String>,
}

impl Plugins {
    /// Ends the processes of shared objects, all at once.
    fn end(&self) {
        std::thread::scope(|scope| {
            for remote in &self.remote {
                scope.spawn(|| remote.end());
            }
        });
    }
}

fn plugins(flags: &Flags, settings: &Settings) -> Result<Plugins, String> {
    let files = files::Files::start().map_err(|error| format!("the mapping files cannot be watched: {error}"))?;
    let etcd = etcd::Etcd::new(Paths::chosen(flags.root.clone(), None).caches()).map_err(|error| error.to_string())?;
    let mut all: Vec<Arc<dyn Plugin>> = vec![Arc::new(files), Arc::new(etcd)];
    let folder = flags.plugins.clone().unwrap_or_else(|| Paths::chosen(flags.root.clone(), None).plugins());
    let mut problems = Vec::new();
    let remote = remote::load_all(&folder, flags.plugins.is_some(), settings, &mut problems);
    all.extend(remote.iter().map(|remote| Arc::<Remote>::clone(remote) as Arc<dyn Plugin>));
    Ok(Plugins { all, remote, problems })
}

fn run(flags: &Flags) -> Result<(), String> {
    let log = Log::start(flags.verbose);
    // A daemon that goes on with a thread missing looks alive and is not; its service manager starts it again.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        hook(panic);
        std::process::abort();
    }));
    if let Err(error) = overlay_probes::register() {
        tracing::warn!("probes cannot be registered: {error}");
    }
    let paths = Paths::chosen(flags.root.clone(), None);
    let group = flags.group.as_deref().map(group_id).transpose()?;
    let socket = ControlSocket::open(&paths.varpd_socket(), group).map_err(|error| error.to_string())?;
    let journal = Arc::new(Journal::new());
    let plugins = plugins(flags, &Settings::of(flags))?;
    for problem in &plugins.problems {
        tracing::error!("{problem}");
    }
    for remote in &plugins.remote {
        tracing::info!("plugin {}: {}", remote.info().name, remote.path().display());
    }
    let instances = Mutex::new(Instances::new(plugins.all.clone(), Arc::<Journal>::clone(&journal)));
    let varpd = Arc::new(Varpd { instances, link: Link::new(paths.lookup_socket()), journal, log });
    let workers = Workers::start(&varpd).map_err(|error| format!("the worker threads cannot be started: {error}"))?;
    let server = api::start(socket, &varpd).map_err(|error| format!("the control socket cannot be served: {error}"))?;
    let signals = signal_hook::iterator::Signals::new([SIGTERM, SIGINT, SIGHUP]);
    let mut signals = signals.map_err(|error| format!("signals cannot be waited for: {error}"))?;
    let reader = connection::start(&varpd, workers).map_err(|error| format!("the reader thread cannot be started: {error}"))?;

    tracing::info!("ready: {}", paths.varpd_socket().display());
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    for signal in signals.forever() {
        // A terminal that goes, or a habit: files are looked at without being told.
        if signal != SIGHUP {
            tracing::info!("signal {signal}: ending");
            break;
        }
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    server.stop();
    varpd.link.stop();
    let joined = reader.join().map_err(|_| "the reader thread panicked".to_owned());
    plugins.end();
    joined
}

fn generate(what: GenerateFlag) -> io::Result<()> {
    let mut command = Flags::command();
    let mut page = Vec::new();
    match what {
        GenerateFlag::Man => page = overlay_manual::page(command, "8", "")?,
        GenerateFlag::Bash => clap_complete::generate(clap_complete::Shell::Bash, &mut command, "varpd", &mut page),
        GenerateFlag::Zsh => clap_complete::generate(clap_complete::Shell::Zsh, &mut command, "varpd", &mut page),
        GenerateFlag::Fish => clap_complete::generate(clap_complete::Shell::Fish, &mut command, "varpd", &mut page),
    }
    io::stdout().write_all(&page)
}
