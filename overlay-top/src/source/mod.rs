//! Who tells what is going on? Sources: a thread each, which looks when it is time or when something else is wanted.

pub(crate) mod file;
pub(crate) mod kernel;
pub(crate) mod live;
mod observed;
pub(crate) mod overlayd;
pub(crate) mod recording;

use crate::rows::{Moment, Report, Told};
use crate::wish::{Board, Wish};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What state is told, and by whom.
#[derive(Debug)]
pub(crate) enum Input {
    /// Everything that a source has to say at one time.
    Told(Vec<Told>),
    /// A key, the mouse, another size.
    Press(crate::keys::Press),
    /// A signal.
    Signal(i32),
}

/// Reports in the making, all of one time.
pub(crate) struct Telling<'b> {
    pub(crate) at: Moment,
    by: &'b str,
    told: Vec<Told>,
}

impl Telling<'_> {
    pub(crate) fn say(&mut self, report: Report) {
        self.told.push(Told { at: self.at, by: self.by.to_owned(), report });
    }

    /// Something of another time than the rest, as a recording has it.
    pub(crate) fn pass_on(&mut self, told: Told) {
        self.told.push(told);
    }
}

/// Something that can be looked at.
pub(crate) trait Source: Send {
    /// What it is called, in states, recordings and on the screen.
    fn name(&self) -> String;

    /// Says everything that it knows now, and of its targets what is wished.
    fn look(&mut self, wish: &Wish, telling: &mut Telling<'_>);

    /// Says what is wished of its targets, and no more.
    fn targets(&mut self, wish: &Wish, telling: &mut Telling<'_>);

    /// How often it wants to look, where not as often as everybody.
    fn pace(&self) -> Option<Duration> {
        None
    }
}

/// Nanoseconds since 1970; 0 for a clock that was never set.
pub(crate) fn now() -> Moment {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Moment::try_from(since.as_nanos()).unwrap_or(Moment::MAX)
}

/// Runs a source in a thread until the board is closed. It looks every `refresh`; without, for each wish.
pub(crate) fn start(mut source: impl Source + 'static, board: Board, inputs: Sender<Input>, refresh: Option<Duration>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let name = source.name();
        // Something that nobody wished, so that the first look is at once.
        let (mut known, mut due) = (u64::MAX, Instant::now());
        while let Some(wish) = board.wait(known, due) {
            let mut telling = Telling { at: now(), by: &name, told: Vec::new() };
            let is_due = Instant::now() >= due;
            match refresh {
                None => source.look(&wish, &mut telling),
                Some(_) if is_due && !wish.paused => source.look(&wish, &mut telling),
                Some(_) if wish.number != known => source.targets(&wish, &mut telling),
                Some(_) => {}
            }
            known = wish.number;
            telling.say(Report::Done { wish: known });
            let pause = refresh.map_or(Duration::from_secs(3600), |refresh| source.pace().unwrap_or(refresh));
            if is_due {
                due = Instant::now() + pause;
            }
            if inputs.send(Input::Told(telling.told)).is_err() {
                return;
            }
        }
    })
}
