//! Who tells what is going on? Sources: a thread each, which looks when it is time or when something else is wanted.

pub(crate) mod drops;
pub(crate) mod file;
pub(crate) mod kernel;
pub(crate) mod live;
mod observed;
pub(crate) mod overlayd;
pub(crate) mod recording;

use crate::rows::{Moment, Report, Told};
use crate::wish::{Board, Wish};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::SyncSender;
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

    /// Whether the last look was not at everything: another one follows before it is done.
    fn has_more(&self) -> bool {
        false
    }

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

/// Inputs that wait at most: whoever tells more than is heard waits, too.
pub(crate) const INPUTS_MAX: usize = 16;
/// How long nothing may be wished until a source that only answers wishes looks up.
const LOOK_UP: Duration = Duration::from_secs(3600);

/// Runs a source in a thread until the board is closed. It looks every `refresh`; without, for each wish.
///
/// A source that panics is one that cannot be asked any more: the others go on, and so does whoever waits for its answers.
pub(crate) fn start(
    mut source: impl Source + 'static,
    board: Board,
    inputs: SyncSender<Input>,
    refresh: Option<Duration>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let name = source.name();
        if let Err(why) = guarded(|| keep_looking(&mut source, &name, &board, &inputs, refresh)) {
            answer_for_the_dead(&name, &why, &board, &inputs);
        }
    })
}

/// Does something, and says why it panicked if it did.
pub(crate) fn guarded(body: impl FnOnce()) -> Result<(), String> {
    // Nothing that the body leaves half done is looked at afterwards, but for locks, which are taken with what is in them.
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        format!("a fault of overlay-top itself: {}", text.unwrap_or_else(|| "it does not say which".to_owned()))
    })
}

fn keep_looking(source: &mut impl Source, name: &str, board: &Board, inputs: &SyncSender<Input>, refresh: Option<Duration>) {
    // Something that nobody wished, so that the first look is at once.
    let (mut known, mut due) = (u64::MAX, Instant::now());
    while let Some(wish) = board.wait(known, due) {
        let mut telling = Telling { at: now(), by: name, told: Vec::new() };
        let is_due = Instant::now() >= due;
        match refresh {
            None => source.look(&wish, &mut telling),
            Some(_) if is_due && !wish.paused => source.look(&wish, &mut telling),
            Some(_) if wish.number != known => source.targets(&wish, &mut telling),
            Some(_) => {}
        }
        let has_more = source.has_more();
        if !has_more {
            known = wish.number;
            telling.say(Report::Done { wish: known });
        }
        let pause = refresh.map_or(LOOK_UP, |refresh| source.pace().unwrap_or(refresh));
        if is_due {
            due = Instant::now() + if has_more { Duration::ZERO } else { pause };
        }
        if inputs.send(Input::Told(telling.told)).is_err() {
            return;
        }
    }
}

/// Each wish is answered, so that nobody waits for ever: with the fault, and that there is nothing more.
fn answer_for_the_dead(name: &str, why: &str, board: &Board, inputs: &SyncSender<Input>) {
    let mut known = u64::MAX;
    while let Some(wish) = board.wait(known, Instant::now() + LOOK_UP) {
        known = wish.number;
        let mut telling = Telling { at: now(), by: name, told: Vec::new() };
        telling.say(Report::Health { fault: Some(why.to_owned()) });
        telling.say(Report::Done { wish: known });
        if inputs.send(Input::Told(telling.told)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Panicking(&'static str);

    impl Source for Panicking {
        fn name(&self) -> String {
            "bad".to_owned()
        }

        fn look(&mut self, _: &Wish, telling: &mut Telling<'_>) {
            telling.say(Report::Notes { sentences: vec![] });
            panic!("{}", self.0);
        }

        fn targets(&mut self, wish: &Wish, telling: &mut Telling<'_>) {
            self.look(wish, telling);
        }
    }

    #[test]
    fn a_source_that_panics_is_a_fault_and_every_wish_is_still_answered() {
        let (inputs, heard) = mpsc::sync_channel(INPUTS_MAX);
        let board = Board::new(Wish::first());
        let thread = start(Panicking("row 7 is no row"), board.clone(), inputs, None);
        for number in 0..3 {
            board.set(Wish { number, ..Wish::first() });
            loop {
                let Ok(Input::Told(told)) = heard.recv() else { panic!("it ended") };
                let [health, done] = told.as_slice() else { panic!("{told:?}") };
                let fault = "a fault of overlay-top itself: row 7 is no row".to_owned();
                assert_eq!((&*health.by, &health.report), ("bad", &Report::Health { fault: Some(fault) }));
                // The wish before may have been answered first.
                if done.report == (Report::Done { wish: number }) {
                    break;
                }
            }
        }
        board.close();
        thread.join().unwrap();
    }

    /// Has something to say in three parts.
    struct Long(u8);

    impl Source for Long {
        fn name(&self) -> String {
            "long".to_owned()
        }

        fn look(&mut self, _: &Wish, telling: &mut Telling<'_>) {
            self.0 += 1;
            telling.say(Report::Notes { sentences: vec![self.0.to_string()] });
        }

        fn targets(&mut self, _: &Wish, _: &mut Telling<'_>) {}

        fn has_more(&self) -> bool {
            self.0 < 3
        }
    }

    #[test]
    fn what_is_too_much_at_once_comes_in_parts_and_is_done_once() {
        for refresh in [None, Some(Duration::from_secs(3600))] {
            // No room at all: each part waits until the one before was heard.
            let (inputs, heard) = mpsc::sync_channel(0);
            let board = Board::new(Wish::first());
            let thread = start(Long(0), board.clone(), inputs, refresh);
            let mut said = Vec::new();
            while said.len() < 4 {
                let Ok(Input::Told(told)) = heard.recv() else { panic!("it ended") };
                said.extend(told.into_iter().map(|told| told.report));
            }
            let part = |number: u8| Report::Notes { sentences: vec![number.to_string()] };
            assert_eq!(said, [part(1), part(2), part(3), Report::Done { wish: 0 }]);
            board.close();
            thread.join().unwrap();
        }
    }
}
