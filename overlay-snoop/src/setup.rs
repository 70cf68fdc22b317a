//! What will be done? Flags become a plan: files and interfaces opened, filter compiled, look decided. The first place that touches
//! the world.

use crate::clock::Clock;
use crate::flags::{ColorFlag, DirectionFlag, Flags};
use crate::host::Host;
use crate::job::{self, Fault, Limits, SharedSink, Sink, Work};
use crate::live::{self, Signals};
use crate::opener::Opener;
use crate::output::Output;
use crate::recording::{FileNames, Recording, Shape, Turns};
use crate::rights::{Enforcement, RightsPlan, UserChoice, drop_rights};
use crate::show::{Bytes, Look, Show, Sieve, View};
use crate::stats::Stats;
use overlay_captures::filter::Filter;
use overlay_captures::live::{Live, Missing, Options};
use overlay_captures::{Direction, Format, LinkType, Reader};
use overlay_decoder::names::Names;
use overlay_decoder::text::Text;
use overlay_decoder::{Config, Walker};
use std::io::IsTerminal;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Captures below this size are read by one thread: starting more costs as much as they bring.
const PARALLEL_FROM_BYTES: u64 = 4 * 1024 * 1024;
/// Threads that are used unless told otherwise; one reader does not feed more.
const THREADS_MAX: usize = 4;
/// Exit status after SIGINT, as shells have it.
const EXIT_INTERRUPTED: i32 = 130;

/// Why something could not be done.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) sentence: String,
    /// Whether the command line is at fault, and not a file.
    pub(crate) usage: bool,
}

impl Refusal {
    fn usage(sentence: impl ToString) -> Self {
        Self { sentence: sentence.to_string(), usage: true }
    }

    fn data(sentence: impl ToString) -> Self {
        Self { sentence: sentence.to_string(), usage: false }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self { sentence: fault.to_string(), usage: matches!(fault, Fault::Filter(_)) }
    }
}

/// Where packets come from.
#[derive(Clone, Copy)]
enum Source {
    File,
    Live,
}

/// What both kinds of job need.
struct Basis {
    config: Config,
    filter: Option<Filter>,
    output: Output,
    limits: Limits,
}

impl Basis {
    fn new(flags: &Flags) -> Result<Self, Refusal> {
        let mut config = Config::default();
        config.guess = !flags.no_guess;
        config.max_tunnels = flags.depth;
        let text = flags.filter_text();
        let filter = if text.trim().is_empty() {
            None
        } else {
            Some(Filter::parse(&text).map_err(|error| Refusal::usage(format!("{error}\n{}", error.pointed())))?)
        };
        let output = Output::stdout().map_err(|error| Refusal::data(format!("standard output: {error}")))?;
        let limits = Limits { count: flags.count_limit, line_buffered: flags.line_buffered, packet_buffered: flags.packet_buffered };
        Ok(Self { config, filter, output, limits })
    }

    fn add_ports(&mut self, flags: &Flags) {
        for flag in &flags.ports {
            self.config.add_port(flag.port, flag.tunnel);
        }
    }

    fn sieve(&self) -> Sieve {
        let matcher = self.filter.as_ref().map(|filter| filter.matcher(&self.config));
        Sieve::new(Walker::new(self.config.clone()), matcher, self.filter.as_ref().is_none_or(Filter::needs_decode))
    }

    fn explain(mut self, link: LinkType, source: Source) -> Result<(), Refusal> {
        let mut text = Text::new();
        match (&self.filter, source) {
            (Some(filter), Source::File) => text.text(&filter.explain(&self.config, link)),
            (Some(filter), Source::Live) => text.text(&filter.explain_live(&self.config, link)),
            (None, _) => text.text("no filter: every packet is shown\n"),
        }
        Ok(self.output.write(&mut text).map_err(Fault::Output)?)
    }
}

/// Does what the flags ask for.
pub(crate) fn run(flags: &Flags) -> Result<(), Refusal> {
    let mut basis = Basis::new(flags)?;
    let done = match &flags.read {
        Some(path) => {
            basis.add_ports(flags);
            read(flags, path, basis)
        }
        None => capture(flags, basis),
    };
    match done {
        // Whoever read our output has seen enough.
        Err(Ended::Fault(fault)) if fault.is_broken_pipe() => Ok(()),
        Err(Ended::Fault(fault)) => Err(fault.into()),
        Err(Ended::Refusal(refusal)) => Err(refusal),
        Ok(()) => Ok(()),
    }
}

/// Why a job ended early.
enum Ended {
    Fault(Fault),
    Refusal(Refusal),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

fn read(flags: &Flags, path: &Path, mut basis: Basis) -> Result<(), Ended> {
    let mut reader = Reader::open(path).map_err(Refusal::data)?;
    if flags.explain {
        return Ok(basis.explain(reader.link().unwrap_or(LinkType::ETHERNET), Source::File)?);
    }
    let sink = match &flags.write {
        Some(target) => {
            if target != Path::new("-") && same_file(path, target) {
                return Err(Refusal::usage(format!("{}: cannot be read and written at once", target.display())).into());
            }
            let shape = Shape { format: format(target, reader.format()), link: reader.link(), snaplen: reader.snaplen() };
            Sink::Write(Box::new(Recording::to_file(target, shape).map_err(Fault::Write)?))
        }
        None => printing(flags, false),
    };
    match (threads(flags, &sink), sink) {
        (threads @ 2.., Sink::Print(show)) => {
            let workers = (0..threads).map(|_| (basis.sieve(), (*show).clone())).collect();
            Ok(job::run_parallel(reader, workers, basis.output)?)
        }
        (_, sink) => {
            let work = Work::new(basis.sieve(), basis.limits);
            let sink = Arc::new(Mutex::new(sink));
            close_on_signal(&sink);
            let done = job::run(&mut reader, work, &sink, &mut basis.output);
            // What was good is delivered even when the capture ended badly; its fault is the one to tell.
            let closed = job::lock(&sink).close(&mut basis.output, &mut Vec::new);
            Ok(done.and(closed)?)
        }
    }
}

fn capture(flags: &Flags, mut basis: Basis) -> Result<(), Ended> {
    let host = Host::look(flags).map_err(Refusal::data)?;
    for (port, tunnel) in host.survey.known_ports() {
        basis.config.add_port(port, tunnel);
    }
    basis.add_ports(flags);
    if flags.list {
        let mut text = Text::new();
        host.list(&mut text);
        return Ok(basis.output.write(&mut text).map_err(Fault::Output)?);
    }
    if flags.explain {
        // Interfaces are not opened for this: a right may be missing. All of a namespace has a link type of its own.
        let any = flags.interfaces.iter().any(|name| name == "any");
        return Ok(basis.explain(if any { LinkType::LINUX_SLL2 } else { LinkType::ETHERNET }, Source::Live)?);
    }
    let places = host.places(flags).map_err(Refusal::data)?;
    let turns = Turns { size: flags.file_size, seconds: flags.file_seconds, keep: flags.file_count.map(|count| count as usize) };
    if flags.file_count.is_some() && !turns.any() {
        return Err(Refusal::usage("-W keeps the newest files of -C or -G; neither is given").into());
    }
    let enforcement = if flags.strict_sandbox { Enforcement::Strict } else { Enforcement::BestEffort };
    // The opener before the handles: it would inherit them.
    let files = match &flags.write {
        Some(path) if turns.any() => {
            let names = FileNames::of(path).map_err(Refusal::usage)?;
            let pattern = names.pattern().map_err(Refusal::usage)?;
            let opener = Opener::start(names.folder(), pattern, enforcement).map_err(Refusal::data)?;
            Some((opener, names))
        }
        _ => None,
    };
    let mut signals = Signals::take().map_err(|error| Refusal::data(format!("signals: {error}")))?;
    let options = Options {
        snaplen: flags.snaplen,
        promiscuous: !flags.no_promiscuous,
        buffer_bytes: flags.buffer.saturating_mul(1024),
        direction: match flags.direction {
            Some(DirectionFlag::In) => Some(Direction::Inbound),
            Some(DirectionFlag::Out) => Some(Direction::Outbound),
            Some(DirectionFlag::Inout) | None => None,
        },
    };
    // What was found by looking may be gone by now; what was asked for by its name must be there.
    let missing = if flags.all_netns || flags.interfaces.is_empty() { Missing::LeaveOut } else { Missing::Refuse };
    let mut live = Live::open(&places, options, missing).map_err(|error| Refusal::data(live::refusal(&error)))?;
    let sieve = kernel_filter(&basis, &mut live)?;
    live::tell_ended(&mut live);
    let sink = live_sink(flags, &live, files, turns)?;
    listening(flags, &host, &live);

    let user = match flags.user.as_deref() {
        None => UserChoice::Nobody,
        Some("root") => UserChoice::Keep,
        Some(name) => UserChoice::Named(name.into()),
    };
    let rights = drop_rights(&RightsPlan { user, read: Vec::new(), enforcement }).map_err(Refusal::data)?;
    if flags.verbose > 0 {
        live::say(&rights.to_string());
        if let Sink::Write(recording) = &sink
            && let Some(opener) = recording.opener_rights()
        {
            live::say(&format!("opener: {opener}"));
        }
    }

    let mut work = Work::new(sieve, basis.limits);
    if places.len() > 1 || places.iter().any(|place| place.interface == "any") {
        work.watch_sightings(flags.dedupe);
    }
    Ok(live::run(live, work, sink, &mut basis.output, &mut signals, flags.duration)?)
}

/// Gives the kernel its half of the filter, and this process the other.
fn kernel_filter(basis: &Basis, live: &mut Live) -> Result<Sieve, Refusal> {
    let Some(filter) = &basis.filter else { return Ok(basis.sieve()) };
    // What the kernel alone can answer is not asked again. In everything else the process decides: the kernel's half sees a packet
    // whose VLAN tag the network card took off as untagged, and a capture must show what reading it from a file would show.
    let has_half = |link| filter.prefilter(&basis.config, link).is_some();
    let alone = filter.is_for_the_kernel_alone() && live.interfaces().all(|interface| has_half(interface.link));
    live.set_filter(filter.needs_decode(), |link| filter.live_prefilter(&basis.config, link)).map_err(Refusal::data)?;
    Ok(if alone { Sieve::new(Walker::new(basis.config.clone()), None, true) } else { basis.sieve() })
}

fn live_sink(flags: &Flags, live: &Live, files: Option<(Opener, FileNames)>, turns: Turns) -> Result<Sink, Ended> {
    let Some(path) = &flags.write else { return Ok(printing(flags, live.interfaces().count() > 1)) };
    let mut links = live.interfaces().map(|interface| interface.link);
    let first = links.next();
    let link = first.filter(|first| links.all(|link| link == *first));
    // Only pcapng keeps several link types and the names of interfaces.
    let format = format(path, if link.is_some() { Format::Pcap } else { Format::Pcapng });
    let shape = Shape { format, link: link.filter(|_| format != Format::Pcapng), snaplen: Some(flags.snaplen) };
    Ok(Sink::Write(Box::new(match files {
        Some((opener, names)) => Recording::in_turns(opener, names, turns, shape),
        None => Recording::to_file(path, shape).map_err(Fault::Write)?,
    })))
}

fn listening(flags: &Flags, host: &Host, live: &Live) {
    if flags.interfaces.is_empty()
        && let Some(tunnels) = host.tunnels()
    {
        live::say(&tunnels);
    }
    if flags.all_netns {
        host.survey.skipped.iter().for_each(|skipped| live::say(&format!("not looked into: {skipped}")));
    }
    let names: Vec<String> =
        live.interfaces().map(|interface| format!("{} ({})", interface.name.as_deref().unwrap_or("?"), interface.link)).collect();
    live::say(&format!("listening on {}", names.join(", ")));
}

/// The format of a file: by its name, else that of the source.
fn format(path: &Path, source: Format) -> Format {
    match Format::from_path(path).unwrap_or(source) {
        // No nanosecond is lost because of a file's name; every reader of pcap knows both.
        Format::Pcap if matches!(source, Format::PcapNano | Format::Pcapng) => Format::PcapNano,
        format => format,
    }
}

fn printing(flags: &Flags, interfaces: bool) -> Sink {
    if flags.stats {
        return Sink::Stats { stats: Box::new(Stats::new()), json: flags.json };
    }
    if flags.count {
        return Sink::Count(0);
    }
    let view = match flags {
        Flags { json: true, .. } => View::Json,
        Flags { layers: true, .. } => View::Layers,
        Flags { verbose: 1.., .. } => View::Tree,
        _ => View::Line,
    };
    let bytes = match (flags.hex, flags.ascii) {
        (0, 0) => (flags.verbose > 1).then_some(Bytes { link_header: true, ascii: true }),
        (hex, ascii) => Some(Bytes { link_header: hex.max(ascii) > 1, ascii: ascii > 0 }),
    };
    let names = if flags.numeric > 0 || view == View::Json { None } else { host_names() };
    let color = match flags.color {
        ColorFlag::Always => true,
        ColorFlag::Never => false,
        ColorFlag::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    };
    let verify = flags.verify || (view == View::Tree && !flags.no_checksums);
    let look = Look { view, bytes, names, color, link_level: flags.link_level, verify, number: flags.number, interfaces };
    Sink::Print(Box::new(Show::new(look, Clock::new(flags.time_format(), flags.utc, flags.nano))))
}

/// Whether two paths name one file; a path that does not exist yet is no other file.
fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The names that the host has for addresses; none where it has none.
fn host_names() -> Option<Arc<Names>> {
    let mut names = Names::default();
    let read = |path| std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if let Ok(text) = read("/etc/ethers") {
        names.add_ethers(&text);
    }
    if let Ok(text) = read("/etc/hosts") {
        names.add_hosts(&text);
    }
    (!names.is_empty()).then(|| Arc::new(names))
}

/// How many threads decode. Where the text of a packet depends on those before it, or the job may end anywhere, only one.
fn threads(flags: &Flags, sink: &Sink) -> usize {
    let ordered = flags.count_limit.is_some() || flags.line_buffered || flags.time_format().is_relative();
    if !matches!(sink, Sink::Print(_)) || ordered {
        return 1;
    }
    if let Some(threads) = flags.threads {
        return threads.into();
    }
    let large = flags.read.as_ref().and_then(|path| path.metadata().ok()).is_some_and(|m| m.is_file() && m.len() >= PARALLEL_FROM_BYTES);
    if large { std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX) } else { 1 }
}

/// On SIGINT and SIGTERM, waits for the chunk in work, closes the sink and ends the process: a capture that is being written stays
/// whole, and statistics are shown as far as they got.
fn close_on_signal(sink: &SharedSink) {
    use signal_hook::consts::{SIGINT, SIGTERM};
    if matches!(&*job::lock(sink), Sink::Print(_)) {
        return;
    }
    let sink = Arc::clone(sink);
    // Without the thread, a signal ends the process as it would anyway.
    if let Ok(mut signals) = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]) {
        std::thread::spawn(move || {
            if signals.forever().next().is_some() {
                let mut sink = job::lock(&sink);
                if let Ok(mut output) = Output::stdout() {
                    let _ = sink.close(&mut output, &mut Vec::new);
                }
                std::process::exit(EXIT_INTERRUPTED);
            }
        });
    }
}
