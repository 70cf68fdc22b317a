//! What would become of these packets? A capture through the very engine that overlayd runs, in the time of the capture.
//!
//! ```text
//!   configuration, mappings, table ──► Stage ─┐
//!   capture ──► entrance ──► Driver ──► engine ──► Recorder ──► lines, packets
//!                              ▲  lookups │
//!                              └─ Answers ◄┘   mapping, script
//! ```
//!
//! The same capture with the same files gives the same bytes, always.

pub(crate) mod diff;
mod drive;
mod entrance;
mod gap;
mod lines;
mod script;
mod setup;
#[cfg(test)]
mod tests;
mod text;

use crate::output::{Output, OutputError, Progress};
use drive::Driver;
use entrance::{Assigned, Entrance};
use lines::Recorder;
pub(crate) use lines::{Fates, Tells};
use overlay_api::{LinkName, file};
use overlay_captures::{Chunk, Format, Reader, Record, Timestamp, Writer};
use overlay_decoder::{Packet, Walker};
use overlay_engine::Time;
use script::{Answers, Script};
use setup::{START, Stage};
use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Bytes of a script at most.
const SCRIPT_MAX_BYTES: u64 = 16 << 20;
/// Bytes of a table at most: a million entries and more.
const TABLE_MAX_BYTES: u64 = 1 << 30;

/// What is carried through what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Plan {
    /// The configuration of a host.
    pub(crate) config: PathBuf,
    /// Mapping files, in place of those that the configuration names.
    pub(crate) mappings: Vec<(LinkName, PathBuf)>,
    /// What `show-overlay -t --json` said.
    pub(crate) table: Option<PathBuf>,
    /// What becomes of lookups.
    pub(crate) script: Option<PathBuf>,
    /// Capture interfaces (all without a name) and the VNICs whose frames were captured there (the underlay without).
    pub(crate) assigned: Vec<(Option<String>, Option<LinkName>)>,
    /// The MTU of the underlay.
    pub(crate) underlay_mtu: u32,
    /// The seed of flow hashes.
    pub(crate) seed: u64,
    /// What lines are written.
    pub(crate) tells: Tells,
    /// This packet alone.
    pub(crate) only: Option<u64>,
    /// Where lines go.
    pub(crate) lines: PathBuf,
    /// Where packets go.
    pub(crate) packets: Option<PathBuf>,
    /// The capture.
    pub(crate) input: PathBuf,
}

impl fmt::Display for Fates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packet{} read", self.read, if self.read == 1 { "" } else { "s" })?;
        for (name, count) in &self.verdicts {
            write!(f, ", {count} {name}")?;
        }
        let skipped: u64 = self.skipped.values().sum();
        writeln!(f, ", {} pending, {skipped} skipped", self.pending)?;
        for (name, count) in &self.drops {
            writeln!(f, "dropped {count}: {name}")?;
        }
        for (why, count) in &self.skipped {
            writeln!(f, "skipped {count}: {why}")?;
        }
        if self.unwritten > 0 {
            writeln!(f, "not written {}: sent, but longer than an IP packet can be: on a wire it is many packets", self.unwritten)?;
        }
        Ok(())
    }
}

/// Carries a capture through the engine.
pub(crate) fn run(plan: &Plan) -> Result<Fates, OutputError> {
    run_from(plan, gap::JUMP_NS)
}

/// Carries it, and passes gaps of so many nanoseconds without every sweep.
fn run_from(plan: &Plan, jump_ns: u64) -> Result<Fates, OutputError> {
    let config = setup::config(&plan.config).map_err(OutputError)?;
    let mappings = setup::mappings(&config, &plan.mappings).map_err(OutputError)?;
    let script = match &plan.script {
        Some(path) => Script::parse(&path.display().to_string(), &file::read(path, SCRIPT_MAX_BYTES)?).map_err(OutputError)?,
        None => Script::default(),
    };
    for overlay in script.overlays() {
        setup::known(&config, overlay, "--script").map_err(OutputError)?;
    }
    let mut stage =
        Stage::new(&config, plan.underlay_mtu, plan.seed).map_err(|error| OutputError(format!("{}: {error}", plan.config.display())))?;
    if let Some(path) = &plan.table {
        stage.load_table(&path.display().to_string(), &file::read(path, TABLE_MAX_BYTES)?, &config).map_err(OutputError)?;
    }
    let mut assigned = Vec::new();
    for (interface, vnic) in &plan.assigned {
        let port = vnic.as_ref().map(|vnic| stage.vnic(vnic)).transpose().map_err(OutputError)?;
        assigned.push(Assigned { interface: interface.clone(), port });
    }
    let reader = Reader::open(&plan.input).map_err(|error| OutputError(error.to_string()))?;
    let mut driver = Driver::new(stage, Answers::new(mappings, script, START), jump_ns);
    let mut job = Job { plan, assigned, reader: Some(reader), fates: Fates::default() };
    // The lines get their name first: if they cannot be written, there are no packets either.
    match &plan.packets {
        Some(path) => {
            Output::write(path, Format::Pcapng, |writer| Output::lines(&plan.lines, |out| job.carry(&mut driver, out, Some(writer))))?
        }
        None => Output::lines(&plan.lines, |out| job.carry(&mut driver, out, None))?,
    }
    Ok(job.fates)
}

struct Job<'p> {
    plan: &'p Plan,
    assigned: Vec<Assigned>,
    reader: Option<Reader>,
    fates: Fates,
}

impl Job<'_> {
    fn carry(&mut self, driver: &mut Driver, out: &mut dyn Write, writer: Option<&mut Writer>) -> Result<(), OutputError> {
        let Some(mut reader) = self.reader.take() else { return Ok(()) };
        let read = |error: overlay_captures::ReadError| OutputError(error.to_string());
        let (mut chunk, mut walker) = (Chunk::new(), Walker::default());
        let mut more = reader.next_chunk(&mut chunk).map_err(read)?;
        // Of some packets nobody knows when they were captured: time begins with the first of which it is known.
        let mut origin = chunk.records().find_map(|record| record.timestamp);
        let underlays: Vec<_> = driver.stage.listeners.iter().map(|listener| (listener.id, listener.listen)).collect();
        let mut recorder = Recorder::new(out, writer, &driver.stage.vnics, &underlays, origin.unwrap_or_default(), self.plan.tells);
        let mut progress = Progress::over(&self.plan.input, "carried");
        let mut last = START;
        let mut flow = ControlFlow::Continue(());
        while more && flow.is_continue() {
            for record in chunk.records() {
                if self.plan.only.is_some_and(|only| only != record.number) {
                    continue;
                }
                if origin.is_none() && record.timestamp.is_some() {
                    origin = record.timestamp;
                    recorder.origin = origin.unwrap_or_default();
                }
                last = at(&record, origin.unwrap_or_default(), last);
                let packet = walker.walk(record.bytes, record.len, record.link);
                flow = one(driver, &mut recorder, &self.assigned, &record, &packet, last);
                if flow.is_break() {
                    break;
                }
            }
            progress.at(reader.position());
            more = reader.next_chunk(&mut chunk).map_err(read)?;
        }
        recorder.vnic = None;
        recorder.underlay = None;
        recorder.taken = None;
        if flow.is_continue() {
            let (now, finished) = driver.finish(&mut recorder);
            flow = finished;
            if flow.is_continue() {
                flow = close(driver, &mut recorder, now);
            }
        }
        progress.done();
        if let Some(only) = self.plan.only.filter(|_| recorder.fates.read == 0) {
            return Err(OutputError(format!("{}: packet {only}: there are {}", self.plan.input.display(), reader.records())));
        }
        if flow.is_break() {
            return Err(recorder.problem.unwrap_or_else(|| OutputError("the output cannot be written".to_owned())));
        }
        self.fates = recorder.fates;
        if self.plan.packets.is_some() {
            self.fates.unwritten = driver.unwritten;
        }
        Ok(())
    }
}

/// When a record was captured, in the engine's time; never before the one that came before it.
fn at(record: &Record<'_>, origin: Timestamp, last: Time) -> Time {
    let since = record.timestamp.map_or(0, |time| time.since(origin));
    // Some 500 years: more is no time at which anything was captured.
    let ns = u64::try_from(since.clamp(0, i128::from(u64::MAX / 2))).unwrap_or(0);
    (START + ns).max(last)
}

fn one(
    driver: &mut Driver,
    recorder: &mut Recorder<'_>,
    assigned: &[Assigned],
    record: &Record<'_>,
    packet: &Packet<'_>,
    at: Time,
) -> ControlFlow<()> {
    recorder.fates.read += 1;
    let entrance = entrance::find(&driver.stage, assigned, record, packet);
    (recorder.vnic, recorder.underlay, recorder.taken) = (None, None, None);
    // What happens before is not this packet's.
    driver.advance(at, recorder)?;
    match &entrance {
        Entrance::Nowhere(why) => return recorder.skipped(record.number, at, why),
        Entrance::Frame(port, offload) => {
            recorder.vnic = Some(*port);
            if offload.segments.is_some() {
                recorder.taken = Some("a frame of many segments".to_owned());
            }
        }
        Entrance::Datagram(_, arrival, _) => recorder.underlay = Some(arrival.from),
    }
    let (captured, whole) = (record.bytes.len(), packet.wire_len as usize);
    if captured < whole {
        recorder.taken = Some(format!("zeros behind the {captured} bytes that were captured of {whole}"));
    }
    driver.packet(record.number, at, &entrance, record.bytes, whole, recorder)
}

/// What is known at the end.
fn close(driver: &Driver, recorder: &mut Recorder<'_>, now: Time) -> ControlFlow<()> {
    let control = &driver.stage.control;
    let mut devices: Vec<_> = control.devices().collect();
    devices.sort_by(|one, other| one.spec.name.cmp(&other.spec.name));
    recorder.counters(None, None, &control.totals())?;
    for device in &devices {
        if let Some(totals) = control.device_totals(device.id) {
            recorder.counters(Some(&device.spec.name), None, &totals)?;
        }
        for port in &device.ports {
            if let Some(totals) = control.port_totals(port.id) {
                recorder.counters(Some(&device.spec.name), Some(&port.name), &totals)?;
            }
        }
    }
    for device in &devices {
        let mut rows = Vec::new();
        if let Some(targets) = control.targets(device.id) {
            targets.for_each(now, |row| rows.push(row));
        }
        rows.sort_by_key(|row| row.mac);
        for row in &rows {
            recorder.target(&device.spec.name, row)?;
        }
    }
    ControlFlow::Continue(())
}

/// Whether a packet of a capture could be written to a file of its own, before anything is done.
///
/// # Errors
/// A sentence, if it could not.
pub(crate) fn check_save(input: &Path, output: &Path, lines: &Path) -> Result<(), String> {
    if input == Path::new("-") {
        return Err("--save: standard input can be read only once; a file as CAPTURE is expected".to_owned());
    }
    if output == Path::new("-") && lines == Path::new("-") {
        return Err("lines and the packet cannot both go to standard output; -o FILE writes the lines elsewhere".to_owned());
    }
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(format!("--save {}: {} is no folder that is there", output.display(), folder.display()));
    }
    Ok(())
}

/// Writes one packet of a capture to a file of its own.
pub(crate) fn save(input: &Path, number: u64, output: &Path) -> Result<(), OutputError> {
    let read = |error: overlay_captures::ReadError| OutputError(error.to_string());
    let mut reader = Reader::open(input).map_err(read)?;
    let format = Format::from_path(output).unwrap_or(Format::Pcap);
    Output::write(output, format, |writer| {
        let mut chunk = Chunk::new();
        while reader.next_chunk(&mut chunk).map_err(read)? {
            if let Some(record) = chunk.records().find(|record| record.number == number) {
                return writer.write(&record).map_err(|error| OutputError(error.to_string()));
            }
        }
        Err(OutputError(format!("{}: packet {number}: there are {}", input.display(), reader.records())))
    })
}
