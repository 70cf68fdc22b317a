//! What will be done? Flags become a plan: files opened, filter compiled, look decided. The first place that touches the world.

use crate::clock::Clock;
use crate::flags::{ColorFlag, Flags};
use crate::job::{self, Fault, Limits, SharedSink, Sink};
use crate::output::Output;
use crate::show::{Bytes, Look, Show, Sieve, View};
use crate::stats::Stats;
use overlay_captures::filter::Filter;
use overlay_captures::{Format, LinkType, Reader, Writer};
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

/// Why a plan could not be made.
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

/// A job, ready to run.
pub(crate) struct Plan {
    reader: Option<Reader>,
    explanation: String,
    config: Config,
    filter: Option<Filter>,
    sink: Sink,
    output: Output,
    limits: Limits,
    threads: usize,
}

impl Plan {
    /// Opens what the flags name and decides what they leave open.
    pub(crate) fn new(flags: &Flags) -> Result<Self, Refusal> {
        let mut config = Config::default();
        config.guess = !flags.no_guess;
        config.max_tunnels = flags.depth;
        for flag in &flags.ports {
            config.add_port(flag.port, flag.tunnel);
        }
        let text = flags.filter_text();
        let filter = if text.trim().is_empty() {
            None
        } else {
            Some(Filter::parse(&text).map_err(|error| Refusal::usage(format!("{error}\n{}", error.pointed())))?)
        };
        let output = Output::stdout().map_err(|error| Refusal::data(format!("standard output: {error}")))?;
        let reader = match &flags.read {
            Some(path) => Some(Reader::open(path).map_err(Refusal::data)?),
            None => None,
        };
        let limits = Limits { count: flags.count_limit, line_buffered: flags.line_buffered };
        let mut plan = Self { reader, explanation: String::new(), config, filter, sink: Sink::Count(0), output, limits, threads: 1 };
        let link = plan.reader.as_ref().and_then(Reader::link).unwrap_or(LinkType::ETHERNET);
        if flags.explain {
            plan.explanation = match &plan.filter {
                Some(filter) => filter.explain(&plan.config, link),
                None => "no filter: every packet is shown\n".into(),
            };
            return Ok(plan);
        }
        plan.sink = sink(flags, plan.reader.as_ref())?;
        plan.threads = threads(flags, &plan.sink);
        Ok(plan)
    }

    /// Does it.
    pub(crate) fn run(mut self) -> Result<(), Fault> {
        if !self.explanation.is_empty() {
            let mut text = Text::new();
            text.text(&self.explanation);
            return self.output.write(&mut text).map_err(Fault::Output);
        }
        let Some(mut reader) = self.reader.take() else { return Ok(()) };
        let sieve = || Sieve::new(Walker::new(self.config.clone()), self.filter.as_ref().map(|filter| filter.matcher(&self.config)));
        match self.sink {
            Sink::Print(show) if self.threads > 1 => {
                let workers = (0..self.threads).map(|_| (sieve(), (*show).clone())).collect();
                job::run_parallel(reader, workers, self.output)
            }
            sink => {
                let mut sieve = sieve();
                let sink = Arc::new(Mutex::new(sink));
                close_on_signal(&sink);
                let done = job::run(&mut reader, &mut sieve, &sink, &mut self.output, self.limits);
                // What was good is delivered even when the capture ended badly; its fault is the one to tell.
                let closed = job::lock(&sink).close(&mut self.output);
                done.and(closed)
            }
        }
    }
}

fn sink(flags: &Flags, reader: Option<&Reader>) -> Result<Sink, Refusal> {
    if let Some(path) = &flags.write {
        let source = reader.map_or(Format::Pcap, Reader::format);
        let format = match Format::from_path(path).unwrap_or(source) {
            // No nanosecond is lost because of a file's name; every reader of pcap knows both.
            Format::Pcap if matches!(source, Format::PcapNano | Format::Pcapng) => Format::PcapNano,
            format => format,
        };
        if path != Path::new("-") && flags.read.as_ref().is_some_and(|read| same_file(read, path)) {
            return Err(Refusal::usage(format!("{}: cannot be read and written at once", path.display())));
        }
        let writer = Writer::create(path, format).map_err(Refusal::data)?;
        let writer = match reader.and_then(Reader::snaplen) {
            Some(snaplen) => writer.with_snaplen(snaplen),
            None => writer,
        };
        let writer = match reader.and_then(Reader::link) {
            Some(link) => writer.with_link(link).map_err(Refusal::data)?,
            None => writer,
        };
        return Ok(Sink::Write(Some(writer)));
    }
    if flags.stats {
        return Ok(Sink::Stats { stats: Box::new(Stats::new()), json: flags.json });
    }
    if flags.count {
        return Ok(Sink::Count(0));
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
    let look = Look { view, bytes, names, color, link_level: flags.link_level, verify, number: flags.number };
    Ok(Sink::Print(Box::new(Show::new(look, Clock::new(flags.time_format(), flags.utc, flags.nano)))))
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
                    let _ = sink.close(&mut output);
                }
                std::process::exit(EXIT_INTERRUPTED);
            }
        });
    }
}
