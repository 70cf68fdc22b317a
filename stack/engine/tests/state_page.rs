//! What is said about the states of a target? The page `docs/target-states.md`, drawn from the table that the engine executes.

use overlay_api::EntryState;
use overlay_engine::{TargetAction as Action, TargetEvent as Event, target_step};
use std::fmt::Write as _;
use std::path::Path;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/target-states.md");

const BEGINNING: &str = "\
# The life of a target

What does the target table know of a destination, what can happen to it, and what is done then? One table of states and events. The
engine executes it, `overlayadm trace` speaks in its words, and this page is drawn from it: `OVERLAY_UPDATE=1 cargo test -p
overlay-engine --test state_page` writes it (from `stack/engine/src/target/state.rs`). Every pair below is brought about through the
engine by `stack/engine/tests/state_table.rs`.
";

fn meaning(state: EntryState) -> &'static str {
    match state {
        EntryState::Absent => "Nothing is known, and nobody has asked.",
        EntryState::Pending => "The lookup is asked; frames wait for the answer.",
        EntryState::Draining => "Answered; the frames that waited are going out, newer ones go behind them.",
        EntryState::Valid => "Frames go to the destination.",
        EntryState::Stale => "Frames still go to the destination, but its time is over or who answered is away: the next use asks again.",
        EntryState::Renewing => "Stale, and asked for again; frames go on to the old destination.",
        EntryState::Drop => "Frames are dropped: the lookup or the operator said so.",
    }
}

fn cause(event: Event) -> &'static str {
    match event {
        Event::Frame => "A frame has this destination.",
        Event::Reach => "The lookup was answered with a destination.",
        Event::Refuse => "The lookup was answered with drop.",
        Event::Take => {
            "The lookup was answered by another frame in the place of the one that asked (a proxied ARP reply), and more frames wait."
        }
        Event::TakeLast => "The same, and no other frame waits.",
        Event::Invalid => "The lookup was answered with something that the device cannot use.",
        Event::Set => "The operator or a plugin set a destination.",
        Event::SetDrop => "The operator or a plugin set drop.",
        Event::Remove => "The operator or a plugin removed it, alone or with all others.",
        Event::Drained => "The frames that had waited are out, and no other is on its way.",
        Event::Expire => "The time that the answer holds for is over.",
        Event::Timeout => "The lookup was not answered in time.",
        Event::Lost => "Who answers lookups went away.",
        Event::Evict => "The table is over its cap and this entry was chosen, or nobody has used it for long.",
    }
}

fn done(action: Action) -> String {
    match action {
        Action::Queue => "queue the frame".into(),
        Action::Ask => "ask the lookup".into(),
        Action::Forward => "send the frame".into(),
        Action::ForwardBehind => "send the frame behind those that waited".into(),
        Action::Reject(reason) => format!("drop the frame (`{reason}`)"),
        Action::Route => "note what was said".into(),
        Action::SendQueue => "send what waits".into(),
        Action::DropQueue(reason) => format!("drop what waits (`{reason}`)"),
        Action::TakeHead => "take the oldest frame".into(),
        Action::Withdraw => "withdraw the question".into(),
        Action::Requeue => "ask the next who answers".into(),
        Action::Forget => "forget the entry".into(),
    }
}

/// The diagram: an arrow for each pair of states, with the events on it.
fn diagram() -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> absent\n");
    for from in EntryState::ALL {
        for to in EntryState::ALL.iter().filter(|to| *to != from) {
            let events: Vec<_> =
                Event::ALL.iter().filter(|event| target_step(*from, **event).to == *to).map(|event| event.name()).collect();
            if !events.is_empty() {
                let _ = writeln!(text, "    {from} --> {to}: {}", events.join(", "));
            }
        }
    }
    text + "```\n"
}

fn page() -> String {
    let mut page = String::from(BEGINNING);
    page.push_str("\n| state | meaning |\n|---|---|\n");
    for state in EntryState::ALL {
        let _ = writeln!(page, "| `{state}` | {} |", meaning(*state));
    }
    page.push_str("\n| event | what happens |\n|---|---|\n");
    for event in Event::ALL {
        let _ = writeln!(page, "| `{}` | {} |", event.name(), cause(event));
    }
    page.push_str("\n## What leads where\n\nEvents that leave the state as it is are in the tables below.\n\n");
    page.push_str(&diagram());
    page.push_str("\n## The table\n\nActions are done in their order, before the state changes.\n");
    for state in EntryState::ALL {
        let _ = write!(page, "\n### {state}\n\n| event | next | actions | in words |\n|---|---|---|---|\n");
        for event in Event::ALL {
            let step = target_step(*state, event);
            let actions: Vec<_> = step.actions.iter().map(|action| done(*action)).collect();
            let actions = if actions.is_empty() { "-".to_owned() } else { actions.join("; ") };
            let next = if step.to == *state { "same".to_owned() } else { format!("`{}`", step.to) };
            let _ = writeln!(page, "| `{}` | {next} | {actions} | {} |", event.name(), step.words);
        }
    }
    page
}

#[test]
fn the_page_says_what_the_table_says() {
    if std::env::var_os("OVERLAY_UPDATE").is_some() {
        std::fs::write(PAGE, page()).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(found == page(), "{}: differs from the table; OVERLAY_UPDATE=1 writes it", Path::new(PAGE).display());
}

#[test]
fn every_state_can_be_reached_and_left() {
    for state in EntryState::ALL {
        let into =
            EntryState::ALL.iter().any(|from| from != state && Event::ALL.iter().any(|event| target_step(*from, *event).to == *state));
        let out = Event::ALL.iter().any(|event| target_step(*state, *event).to != *state);
        assert!(into && out, "{state}");
        assert_eq!(target_step(*state, Event::Remove).to, EntryState::Absent, "whatever an entry is, it can be removed");
    }
}

/// What must hold of the table as a whole, whatever it says.
#[test]
fn no_step_loses_a_frame_a_question_or_a_route() {
    let waits = |state| matches!(state, EntryState::Pending);
    let asked = |state| matches!(state, EntryState::Pending | EntryState::Renewing);
    let routed = |state| matches!(state, EntryState::Draining | EntryState::Valid | EntryState::Stale | EntryState::Renewing);
    let answer = |event| matches!(event, Event::Reach | Event::Refuse | Event::Take | Event::TakeLast | Event::Invalid | Event::Timeout);
    for state in EntryState::ALL.iter().copied() {
        for event in Event::ALL {
            let step = target_step(state, event);
            let does = |wanted: fn(&Action) -> bool| step.actions.iter().any(wanted);
            let pair = format!("{} in state {state}", event.name());
            if event == Event::Frame {
                let fates = step
                    .actions
                    .iter()
                    .filter(|action| matches!(action, Action::Queue | Action::Forward | Action::ForwardBehind | Action::Reject(_)));
                assert_eq!(fates.count(), 1, "{pair}: a frame has one fate");
            }
            if waits(state) && !waits(step.to) {
                assert!(
                    does(|action| matches!(action, Action::SendQueue | Action::DropQueue(_) | Action::TakeHead)),
                    "{pair}: what waits is neither sent nor dropped"
                );
            }
            if asked(state) && !asked(step.to) {
                assert!(answer(event) || does(|action| *action == Action::Withdraw), "{pair}: the question stays open");
            }
            if asked(step.to) && !asked(state) {
                assert!(does(|action| *action == Action::Ask), "{pair}: nobody asks");
            }
            if routed(step.to) && !routed(state) {
                assert!(does(|action| *action == Action::Route), "{pair}: there is no destination");
            }
            if step.to == EntryState::Absent && state != EntryState::Absent {
                assert!(does(|action| *action == Action::Forget), "{pair}: the entry stays in the table");
            }
            assert!(!step.words.is_empty() && !step.words.ends_with('.'), "{pair}: {}", step.words);
        }
    }
}
