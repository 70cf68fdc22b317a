//! How do sources, state and output come together? One loop each for the terminal and for batches.

use crate::batch::{self, Format};
use crate::column::Screen;
use crate::config;
use crate::flags::Flags;
use crate::keys;
use crate::rights::{self, Visits};
use crate::rows::Told;
use crate::source::drops::KernelDrops;
use crate::source::file::File;
use crate::source::kernel::{KernelTables, Where};
use crate::source::live::Interfaces;
use crate::source::overlayd::{self, Overlayd};
use crate::source::recording::{self, Recorder, Replay};
use crate::source::{INPUTS_MAX, Input, Source, guarded, now, start};
use crate::state::{Effect, State};
use crate::terminal::{Taken, give_back_on_panic};
use crate::view::{draw, theme::Theme, theme::ThemeName};
use crate::wish::Board;
use jiff::tz::TimeZone;
use overlay_api::Paths;
use overlay_captures::host::{Namespace, Survey};
use overlay_decoder::Config as Decoding;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

/// Why nothing, or nothing more, is shown.
#[derive(Debug)]
pub(crate) enum Refusal {
    Usage(String),
    Failed(String),
    Output(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// A source whose kind does not matter any more.
type AnySource = Box<dyn Source>;

impl Source for AnySource {
    fn name(&self) -> String {
        self.as_ref().name()
    }

    fn look(&mut self, wish: &crate::wish::Wish, telling: &mut crate::source::Telling<'_>) {
        self.as_mut().look(wish, telling);
    }

    fn targets(&mut self, wish: &crate::wish::Wish, telling: &mut crate::source::Telling<'_>) {
        self.as_mut().targets(wish, telling);
    }

    fn has_more(&self) -> bool {
        self.as_ref().has_more()
    }

    fn pace(&self) -> Option<Duration> {
        self.as_ref().pace()
    }
}

/// Shows what is asked for.
///
/// # Errors
/// Why not.
pub(crate) fn run(flags: &Flags) -> Result<(), Refusal> {
    let order = flags.order().map_err(Refusal::Usage)?;
    let filter = flags.words().map_err(Refusal::Usage)?;
    let has_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if !flags.batch && !has_terminal {
        return Err(Refusal::Usage("standard input and output are no terminal; --batch prints without one".to_owned()));
    }
    let config = config::Config::chosen(flags.config.as_deref()).map_err(Refusal::Failed)?;
    let paths = Paths::chosen(flags.root.clone(), std::env::var_os(overlay_api::paths::ROOT_VARIABLE));
    let sources = sources(flags, &paths).map_err(Refusal::Failed)?;
    let recorder = flags.record.as_deref().map(Recorder::create).transpose().map_err(Refusal::Failed)?;
    let visits = if flags.all_netns || !flags.netns.is_empty() { Visits::Namespaces } else { Visits::Nowhere };
    rights::give_up(visits).map_err(Refusal::Failed)?;
    let zone = if flags.utc { TimeZone::UTC } else { TimeZone::system() };
    let mut state = State::new(sources.iter().map(|source| source.name()), (80, 24), zone).with_config(config);
    state.go(flags.screen);
    if let Some((column, descending)) = &order {
        state.sort_by(flags.screen, column, *descending);
    }
    state.filter_by(flags.screen, filter);
    let limit = match (flags.batch, &recorder) {
        (true, _) if flags.screen == Screen::Targets => Some(flags.limit.unwrap_or(usize::MAX)),
        (_, Some(_)) => Some(recording::TARGETS),
        _ => None,
    };
    if let Some(limit) = limit {
        state = state.with_all_targets(limit);
    }
    state.settle();
    let (inputs, heard) = mpsc::sync_channel(INPUTS_MAX);
    let board = Board::new(state.wish().clone());
    let is_asked = sources.iter().any(|source| source.name() == overlayd::NAME);
    let refresh = (!flags.batch).then_some(flags.delay);
    for source in sources {
        // It ends with the board, or with the process.
        start(source, board.clone(), inputs.clone(), refresh);
    }
    if is_asked {
        overlayd::follow(&paths, inputs.clone());
    }
    let mut session = Session { state, board, heard, recorder };
    let done = if flags.batch { session.batch(flags, inputs) } else { session.interactive(flags, inputs) };
    session.board.close();
    done
}

/// The sources that are asked for, or those that there are.
fn sources(flags: &Flags, paths: &Paths) -> Result<Vec<AnySource>, String> {
    let mut config = Decoding::default();
    flags.port.iter().for_each(|(port, tunnel)| config.add_port(*port, *tunnel));
    if let Some(path) = &flags.read {
        return Ok(vec![Box::new(File::open(path.clone(), config, flags.batch)?)]);
    }
    if let Some(path) = &flags.replay {
        return Ok(vec![Box::new(Replay::open(path.clone(), flags.batch)?)]);
    }
    let failed = |error: overlay_captures::host::HostError| error.to_string();
    let wants_kernel = flags.kernel || flags.all_netns || (!flags.netns.is_empty() && flags.interfaces.is_empty());
    let is_default = !flags.overlayd && !wants_kernel && flags.interfaces.is_empty();
    let mut sources: Vec<AnySource> = Vec::new();
    let has_overlayd = paths.overlayd_socket().exists();
    if flags.overlayd || (is_default && (has_overlayd || flags.root.is_some())) {
        sources.push(Box::new(Overlayd::new(paths)));
    }
    let chosen = match flags.netns.as_slice() {
        [] => vec![Namespace::current().map_err(failed)?],
        names => names.iter().map(|name| Namespace::find(name)).collect::<Result<_, _>>().map_err(failed)?,
    };
    let is_host_without = is_default && sources.is_empty();
    if is_host_without {
        let survey = Survey::of(&chosen);
        if survey.tunnels().next().is_none() && !flags.kernel_drops {
            return Err(format!(
                "nothing to show: overlayd is not running ({}), and the kernel has no tunnel device in this namespace; --all-netns looks into \
                 all, -i IFACE learns from traffic, -r FILE plays a capture",
                paths.overlayd_socket().display()
            ));
        }
    }
    if wants_kernel || is_host_without {
        let namespaces = if flags.all_netns { Where::All } else { Where::These(chosen.clone()) };
        sources.push(Box::new(KernelTables::new(namespaces, !flags.interfaces.is_empty())));
    }
    if !flags.interfaces.is_empty() {
        let namespaces = if flags.all_netns { Namespace::all().map_err(failed)?.readable } else { chosen };
        sources.push(Box::new(Interfaces::open(&flags.interfaces, &namespaces, config)?));
    }
    if flags.kernel_drops {
        sources.push(Box::new(KernelDrops::start()));
    }
    Ok(sources)
}

/// A state, what it hears and whom it asks.
struct Session {
    state: State,
    board: Board,
    heard: Receiver<Input>,
    recorder: Option<Recorder>,
}

/// How much time drawing took.
#[derive(Default)]
struct Timing {
    frames: u32,
    sum: Duration,
    longest: Duration,
}

impl Session {
    /// Takes what was told.
    fn take(&mut self, told: Vec<Told>) -> Result<(), Refusal> {
        if let Some(recorder) = &mut self.recorder {
            recorder.keep(&told).map_err(Refusal::Failed)?;
        }
        self.state.handle_all(told);
        Ok(())
    }

    /// Prints each time that everything has been told.
    fn batch(&mut self, flags: &Flags, inputs: SyncSender<Input>) -> Result<(), Refusal> {
        listen_to_signals(inputs, &[SIGINT, SIGTERM, SIGHUP])?;
        let format = match (flags.json, flags.csv) {
            (true, _) => Format::Json,
            (_, true) => Format::Csv,
            _ => Format::Table,
        };
        let limit = flags.limit.unwrap_or(usize::MAX);
        let mut printed = 0;
        loop {
            let begun = Instant::now();
            while !self.state.is_complete() {
                match self.heard.recv() {
                    Ok(Input::Told(told)) => self.take(told)?,
                    Ok(Input::Signal(_)) | Err(_) => return self.incomplete(),
                    Ok(Input::Press(_)) => {}
                }
            }
            let text = batch::text(&self.state, format, limit, printed == 0);
            let mut out = io::stdout().lock();
            // What CSV and JSON keep as it was told must not steer a terminal.
            let text = if out.is_terminal() { crate::value::printable_lines(&text) } else { text };
            out.write_all(text.as_bytes())?;
            out.flush()?;
            drop(out);
            if format == Format::Csv {
                self.say_beside();
            }
            printed += 1;
            if flags.count.is_some_and(|count| printed >= count) {
                return self.fault();
            }
            // Events are heard between two times, too.
            while let Some(left) = flags.delay.checked_sub(begun.elapsed()).filter(|left| *left > Duration::ZERO) {
                match self.heard.recv_timeout(left) {
                    Ok(Input::Told(told)) => self.take(told)?,
                    Ok(Input::Signal(_)) | Err(RecvTimeoutError::Disconnected) => return self.incomplete(),
                    Ok(Input::Press(_)) | Err(RecvTimeoutError::Timeout) => {}
                }
            }
            self.state.wish_again();
            self.board.set(self.state.wish().clone());
        }
    }

    /// Says on standard error what a format without a place for sentences leaves out. Files that are broken are told of at the end.
    fn say_beside(&self) {
        let broken = self.broken();
        for sentence in self.state.diagnoses().iter().filter(|sentence| !broken.contains(&sentence.as_str())) {
            let _ = writeln!(io::stderr(), "! {}", crate::value::printable(sentence));
        }
    }

    /// Why files could not be read to their end.
    fn broken(&self) -> Vec<&str> {
        self.state.sources.values().filter_map(|known| known.playback.as_ref()?.fault.as_deref()).collect()
    }

    /// What was printed of a file that is broken is not all of it: whoever goes on with that has to hear of it.
    fn incomplete(&self) -> Result<(), Refusal> {
        let broken = self.broken();
        if broken.is_empty() { Ok(()) } else { Err(Refusal::Failed(broken.join("; "))) }
    }

    /// A batch that could ask nobody at its end has failed, and one of a broken file.
    fn fault(&self) -> Result<(), Refusal> {
        let faults: Vec<&str> = self.state.sources.values().filter_map(|known| Some(known.fault.as_ref()?.0.as_str())).collect();
        let all_failed = !faults.is_empty() && self.state.sources.values().all(|known| known.fault.is_some());
        if all_failed { Err(Refusal::Failed(faults.join("; "))) } else { self.incomplete() }
    }

    fn interactive(&mut self, flags: &Flags, inputs: SyncSender<Input>) -> Result<(), Refusal> {
        let theme =
            Theme::new(if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) { ThemeName::Mono } else { flags.theme });
        listen_to_signals(inputs.clone(), &[SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT])?;
        give_back_on_panic();
        let mut taken = Taken::take()?;
        let size = taken.screen.get_frame().area();
        self.state.handle_press(keys::Press::Size(size.width, size.height));
        listen_to_keys(inputs, self.state.config.keys.clone());
        let mut timing = Timing::default();
        let done = self.until_the_end(&mut taken, theme, &mut timing);
        drop(taken);
        if flags.timing {
            let mean = timing.sum / timing.frames.max(1);
            let _ =
                writeln!(io::stderr(), "frames {} mean_us {} longest_us {}", timing.frames, mean.as_micros(), timing.longest.as_micros());
        }
        done
    }

    fn until_the_end(&mut self, taken: &mut Taken, theme: Theme, timing: &mut Timing) -> Result<(), Refusal> {
        loop {
            self.board.set(self.state.wish().clone());
            let begun = Instant::now();
            taken.screen.draw(|frame| draw(frame, &self.state, theme))?;
            let took = begun.elapsed();
            (timing.frames, timing.sum, timing.longest) = (timing.frames + 1, timing.sum + took, timing.longest.max(took));
            // Nothing is drawn before something was heard; what waits is heard before it is drawn.
            let Ok(mut input) = self.heard.recv() else { return Ok(()) };
            // Whoever has much to tell must not keep the screen from being drawn.
            for _ in 0..=2 * INPUTS_MAX {
                if let Ending::Now = self.handle(input, taken)? {
                    return Ok(());
                }
                match self.heard.try_recv() {
                    Ok(next) => input = next,
                    Err(_) => break,
                }
            }
        }
    }

    fn handle(&mut self, input: Input, taken: &mut Taken) -> Result<Ending, Refusal> {
        match input {
            Input::Told(told) => self.take(told)?,
            Input::Press(press) => {
                self.state.handle_press(press);
                if let keys::Press::Size(..) = press {
                    taken.start_over(self.state.size)?;
                }
            }
            Input::Signal(SIGTSTP) => self.suspend(taken)?,
            Input::Signal(SIGCONT) => taken.start_over(self.state.size)?,
            Input::Signal(_) => return Ok(Ending::Now),
        }
        for effect in self.state.take_effects() {
            match effect {
                Effect::Quit => return Ok(Ending::Now),
                Effect::Suspend => self.suspend(taken)?,
                Effect::Redraw => taken.start_over(self.state.size)?,
                Effect::Snapshot => self.state.message = Some(self.snapshot()),
            }
        }
        Ok(Ending::NotYet)
    }

    fn suspend(&mut self, taken: &mut Taken) -> Result<(), Refusal> {
        taken.suspend()?;
        let size = taken.screen.get_frame().area();
        self.state.handle_press(keys::Press::Size(size.width, size.height));
        Ok(())
    }

    /// Writes what is shown into a new file of the current folder, and says where.
    fn snapshot(&self) -> String {
        let name = format!("overlay-top-{}-{}.json", self.state.screen.name(), now() / 1_000_000);
        let written = std::fs::File::options()
            .write(true)
            .create_new(true)
            .open(&name)
            .and_then(|mut file| file.write_all(format!("{:#}\n", batch::object(&self.state, usize::MAX)).as_bytes()));
        match written {
            Ok(()) => format!("written: {name}"),
            Err(error) => format!("{name}: {error}"),
        }
    }
}

enum Ending {
    Now,
    NotYet,
}

/// Passes signals on as inputs, in a thread.
fn listen_to_signals(inputs: SyncSender<Input>, which: &[i32]) -> io::Result<()> {
    let mut signals = Signals::new(which)?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if inputs.send(Input::Signal(signal)).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// Passes on what the user does, in a thread.
fn listen_to_keys(inputs: SyncSender<Input>, keys: keys::Keys) {
    std::thread::spawn(move || {
        let pass_on = || {
            loop {
                match crossterm::event::read() {
                    Ok(event) => {
                        if let Some(press) = keys::press(&event, &keys)
                            && inputs.send(Input::Press(press)).is_err()
                        {
                            return;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => return,
                }
            }
        };
        let _ = guarded(pass_on);
        // The terminal is gone, or cannot be read: nobody is left who could end this.
        let _ = inputs.send(Input::Signal(SIGHUP));
    });
}
