//! What do keys, clicks and reports do to the state? Scripted, without a terminal.

use super::sample::{BEGIN, second, session, told};
use super::{Effect, Lines, Mode, State};
use crate::column::Screen;
use crate::keys::{Action, Press};
use crate::rows::{EventRow, OverlayRow, Report, SECOND, TargetPart};
use jiff::tz::TimeZone;

fn act(state: &mut State, action: Action) {
    state.handle_press(Press::Key(Some(action), None));
}

fn type_text(state: &mut State, text: &str) {
    text.chars().for_each(|letter| state.handle_press(Press::Key(None, Some(letter))));
}

fn names(state: &State) -> Vec<String> {
    match &state.lines {
        Lines::Overlays(lines) => lines.iter().map(|line| line.row.name.clone()).collect(),
        Lines::Targets(_, lines) => lines.iter().map(|line| line.row.mac.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

/// A state that knows `count` overlays, `ov0` to the last.
fn many(count: u32) -> State {
    let mut state = State::new(["overlayd".to_owned()], (80, 24), TimeZone::UTC);
    let row = |number: u32| OverlayRow {
        name: format!("ov{number}"),
        vni: Some(number),
        tx_packets: u64::from(number % 7),
        state: "up".into(),
        ..OverlayRow::default()
    };
    let rows = (0..count).map(row).collect();
    state.handle_all([told(0, "overlayd", Report::Overlays { rows, unattributed: Default::default() })]);
    state
}

#[test]
fn any_column_sorts_both_ways_and_equal_lines_stay() {
    let mut state = many(20);
    assert_eq!(names(&state)[..3], ["ov0", "ov1", "ov10"]);
    act(&mut state, Action::SortRight);
    assert_eq!(names(&state)[..3], ["ov0", "ov1", "ov2"], "by VNI, from the smallest on");
    act(&mut state, Action::Reverse);
    assert_eq!(names(&state)[..3], ["ov19", "ov18", "ov17"]);
    act(&mut state, Action::SortLeft);
    act(&mut state, Action::Reverse);
    assert_eq!(names(&state)[0], "ov9");
    state.handle_press(Press::Click(1, 3));
    assert_eq!(names(&state)[0], "ov0", "a click on the head of the column reverses it");
    state.handle_press(Press::Click(20, 3));
    assert_eq!(names(&state)[..2], ["ov0", "ov1"], "and on another one sorts by that");
}

#[test]
fn the_cursor_stays_within_the_lines_and_the_lines_follow_it() {
    let mut state = many(100);
    act(&mut state, Action::Up);
    assert_eq!((state.look().cursor, state.look().top), (0, 0));
    act(&mut state, Action::Last);
    assert_eq!((state.look().cursor, state.look().top), (99, 81), "19 lines are visible");
    act(&mut state, Action::Down);
    assert_eq!(state.look().cursor, 99);
    act(&mut state, Action::PageUp);
    assert_eq!((state.look().cursor, state.look().top), (80, 80));
    state.handle_press(Press::Scroll(-3));
    assert_eq!(state.look().cursor, 77);
    state.handle_press(Press::Click(5, 4));
    assert_eq!((state.look().cursor, state.detail), (77, true), "a click on the chosen line opens it");
    state.handle_all([told(1, "overlayd", Report::Overlays { rows: vec![], unattributed: Default::default() })]);
    assert_eq!((state.look().cursor, state.look().top, state.total), (0, 0, 0));
    assert_eq!(state.detail(), None);
}

#[test]
fn a_filter_is_typed_and_one_that_is_wrong_stays_to_be_mended() {
    let mut state = many(20);
    act(&mut state, Action::Filter);
    type_text(&mut state, "vni:3-5x");
    state.handle_press(Press::Key(None, Some('\x08')));
    type_text(&mut state, "\n");
    assert_eq!(names(&state), ["ov3", "ov4", "ov5"]);
    act(&mut state, Action::Filter);
    assert_eq!(state.mode, Mode::Typing("vni:3-5".to_owned()));
    type_text(&mut state, " vnid:1\n");
    assert!(state.message.as_ref().is_some_and(|sentence| sentence.starts_with("vnid: not a column")), "{:?}", state.message);
    assert_eq!(state.mode, Mode::Typing("vni:3-5 vnid:1".to_owned()));
    type_text(&mut state, "\x1b");
    assert_eq!((state.mode.clone(), names(&state).len()), (Mode::Table, 3));
    act(&mut state, Action::Back);
    assert_eq!(names(&state).len(), 20);
    // A letter that is a key elsewhere is a letter here.
    act(&mut state, Action::Filter);
    state.handle_press(Press::Key(Some(Action::Quit), Some('q')));
    assert_eq!((state.mode.clone(), state.take_effects()), (Mode::Typing("q".to_owned()), vec![]));
    state.handle_press(Press::Key(Some(Action::Quit), None));
    assert_eq!(state.take_effects(), [Effect::Quit], "but not with Ctrl");
}

#[test]
fn a_paused_screen_does_not_change_and_goes_on_with_what_is_then() {
    let mut state = session((80, 24), Screen::Overlays, 3);
    act(&mut state, Action::Pause);
    assert!(state.wish().paused);
    let before = format!("{:?}", state.lines);
    let wish = state.wish().clone();
    state.handle_all(second(4, &wish));
    assert_eq!(format!("{:?}", state.lines), before);
    assert_eq!(state.events.len(), 2, "what happens is kept");
    act(&mut state, Action::Pause);
    state.handle_all(second(5, &wish));
    let Lines::Overlays(lines) = &state.lines else { panic!() };
    assert_eq!(lines[1].rates.tx_packets, Some(1500.0), "over both seconds");
}

#[test]
fn the_targets_of_an_overlay_are_wished_and_come_as_a_window() {
    let mut state = many(3);
    let number = state.wish().number;
    act(&mut state, Action::Down);
    act(&mut state, Action::Targets);
    let wish = state.wish().clone();
    assert!(wish.number > number);
    assert_eq!((wish.overlay.clone(), wish.offset, wish.limit), (Some((String::new(), "ov1".to_owned())), 0, 19));
    let part = |offset: u64, wish: u64| TargetPart { total: 1_000_000, offset, wish, ..TargetPart::default() };
    state.handle_all([told(1, "overlayd", Report::Targets(part(0, wish.number)))]);
    act(&mut state, Action::Last);
    assert_eq!((state.wish().offset, state.look().cursor), (999_981, 999_999));
    let newer = state.wish().number;
    state.handle_all([told(2, "overlayd", Report::Targets(part(999_981, newer)))]);
    state.handle_all([told(2, "overlayd", Report::Targets(part(0, wish.number)))]);
    assert!(matches!(state.lines, Lines::Targets(999_981, _)), "an answer that comes late changes nothing");
    act(&mut state, Action::Back);
    assert_eq!(state.wish().overlay, None);
}

#[test]
fn whoever_is_gone_is_said_since_when_and_its_values_stay_grey() {
    let mut state = session((80, 24), Screen::Overlays, 2);
    let gone = |second: u64, fault: Option<&str>| told(second, "overlayd", Report::Health { fault: fault.map(str::to_owned) });
    state.handle_all([gone(3, Some("nobody listens")), gone(9, Some("still nobody"))]);
    assert_eq!(state.diagnoses(), ["overlayd is gone since 03:04:08, the last values are shown: still nobody"]);
    let Lines::Overlays(lines) = &state.lines else { panic!() };
    assert!(lines.len() == 2 && lines.iter().all(|line| line.stale));
    state.handle_all([gone(10, None)]);
    assert!(state.diagnoses().iter().all(|sentence| !sentence.contains("gone")), "{:?}", state.diagnoses());
    let events: Vec<&str> = state.events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(events, ["source-gone", "source-back"]);
    assert_eq!(state.now, BEGIN + 10 * SECOND);
}

#[test]
fn a_drop_that_grows_is_said_with_its_reason_and_what_that_means() {
    let state = session((80, 24), Screen::Drops, 10);
    let said = state.diagnoses();
    let meaning = "The entry's queue of frames that wait for an answer is full";
    assert!(said.contains(&format!("ov77 drops 7/s for pending-full. {meaning}")), "{said:?}");
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[0].starts_with("2 targets wait on ov77, the oldest for 6.0s"), "{said:?}");
    assert!(said[2].starts_with("VNIC w77 failed: netns red"), "{said:?}");
    let Lines::Drops(lines) = &state.lines else { panic!() };
    let shown: Vec<_> = lines.iter().map(|line| (line.reason.as_str(), line.count, line.rate)).collect();
    assert_eq!(shown, [("pending-full", 49, Some(7.0)), ("unknown-vni", 5, Some(0.0)), ("no-port", 3, Some(0.0))]);
}

#[test]
fn an_earlier_place_takes_back_what_was_told_after_it() {
    let mut state = session((80, 24), Screen::Drops, 10);
    let other = EventRow { at: BEGIN, from: "overlayd2".into(), event: "device-state".into(), ..EventRow::default() };
    state.handle_all([told(10, "overlayd2", Report::Event { event: other })]);
    assert!(state.events.len() > 2 && state.drop_lines().iter().any(|line| line.rate.is_some()));
    state.handle_all([told(1, "overlayd", Report::Restart)]);
    assert_eq!((state.now, state.drop_lines().len()), (BEGIN + SECOND, 0));
    assert_eq!(state.events.iter().map(|event| event.from.as_str()).collect::<Vec<_>>(), ["overlayd2"], "another source stays as it is");
    // The same as one that was never anywhere else.
    let wish = state.wish().clone();
    state.handle_all((0..=2).flat_map(|number| second(number, &wish)));
    let fresh = session((80, 24), Screen::Drops, 2);
    assert_eq!(state.drop_lines(), fresh.drop_lines());
    for screen in [Screen::Overlays, Screen::Vnics, Screen::Lookups] {
        let (mut again, mut fresh) = (state.clone(), fresh.clone());
        again.go(screen);
        again.settle();
        fresh.go(screen);
        fresh.settle();
        assert_eq!(format!("{:?}", again.lines), format!("{:?}", fresh.lines), "{screen:?}");
    }
}

#[test]
fn a_recording_may_say_any_number() {
    let mut state = many(0);
    let row = |name: &str| OverlayRow {
        name: name.to_owned(),
        state: "up".into(),
        targets: Some(u64::MAX),
        pending: Some(u64::MAX),
        oldest_pending_ns: Some(u64::MAX),
        since_ns: Some(u64::MAX),
        drops: [("a".to_owned(), u64::MAX), ("b".to_owned(), u64::MAX)].into(),
        ..OverlayRow::default()
    };
    let part = || TargetPart { total: u64::MAX, states: [("valid".to_owned(), u64::MAX)].into(), ..TargetPart::default() };
    let say = |second, by: &str| {
        let rows = vec![row("a"), row("b")];
        [told(second, by, Report::Overlays { rows, unattributed: Default::default() }), told(second, by, Report::Targets(part()))]
    };
    for screen in Screen::ALL {
        state.go(screen);
        state.handle_all([say(1, "one"), say(2, "two")].concat());
        let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| crate::view::draw(frame, &state, crate::view::theme::Theme::new(Default::default()))).unwrap();
    }
    assert!(state.diagnoses()[0].starts_with("18446744073709551615 targets wait on 4 overlays"), "{:?}", state.diagnoses());
}

#[test]
fn a_filter_has_an_end() {
    let mut state = many(1);
    act(&mut state, Action::Filter);
    type_text(&mut state, &"x".repeat(2000));
    assert!(matches!(&state.mode, Mode::Typing(text) if text.len() == 1000), "{:?}", state.mode);
    assert_eq!(state.message.as_deref(), Some("a filter has 1000 bytes at most"));
}

#[test]
fn only_a_file_has_a_speed() {
    let mut state = many(1);
    act(&mut state, Action::Faster);
    assert!(state.message.is_some() && state.wish().pace.speed == 1.0);
    let playback = crate::rows::Playback::default();
    state.handle_all([told(1, "overlayd", Report::Playback(playback))]);
    act(&mut state, Action::Faster);
    act(&mut state, Action::JumpBack);
    assert_eq!((state.wish().pace.speed, state.wish().pace.jumps, &state.message), (2.0, -10, &None));
}

#[test]
fn a_million_targets_are_scrolled_through_and_sorted_by_their_window() {
    const COUNT: u32 = 1_000_000;
    let row = |number: u32| {
        let [_, a, b, c] = number.to_be_bytes();
        let hits = u64::from(number.wrapping_mul(2_654_435_761));
        let first = super::sample::targets().swap_remove(0);
        crate::rows::TargetRow { mac: overlay_decoder::Mac([2, 0, 0, a, b, c]), hits: Some(hits), ..first }
    };
    let rows: Vec<_> = (0..COUNT).map(row).collect();
    let mut state = State::new(["overlayd".to_owned()], (80, 24), TimeZone::UTC);
    state.go(Screen::Targets);
    state.settle();
    let answer = |state: &mut State| {
        let part = crate::wish::select(&rows, state.wish());
        assert!(part.rows.len() < 24, "a window, not a table");
        state.handle_all([told(1, "overlayd", Report::Targets(part))]);
        let Lines::Targets(first, lines) = &state.lines else { panic!("other lines") };
        assert_eq!(state.total, COUNT as usize);
        (*first, lines.iter().map(|line| (line.row.mac, line.row.hits)).collect::<Vec<_>>())
    };
    let (first, lines) = answer(&mut state);
    assert_eq!((first, lines[0].0), (0, rows[0].mac));
    act(&mut state, Action::Last);
    let (first, lines) = answer(&mut state);
    assert_eq!((first + lines.len(), lines.last().unwrap().0), (COUNT as usize, rows[COUNT as usize - 1].mac));
    state.sort_by(Screen::Targets, "hits", true);
    act(&mut state, Action::First);
    let (first, lines) = answer(&mut state);
    let most = rows.iter().map(|row| row.hits).max().unwrap();
    assert!(first == 0 && lines[0].1 == most && lines.is_sorted_by(|a, b| a.1 >= b.1), "{lines:?}");
}

#[test]
fn whatever_a_recording_says_is_taken_and_printed() {
    let first = crate::wish::Wish { limit: 10, ..crate::wish::Wish::first() };
    let lines = (3..6).flat_map(|number| second(number, &first)).map(|told| serde_json::to_string(&told).unwrap() + "\n");
    let session = lines.collect::<String>().into_bytes();
    bolero::check!().with_type::<(u8, Vec<(u16, u8)>)>().for_each(|(screen, edits)| {
        let mut bytes = session.clone();
        for (place, byte) in edits.iter().take(30) {
            let place = usize::from(*place) % bytes.len();
            bytes[place] = *byte;
        }
        let mut state = State::new(["overlayd".to_owned()], (80, 24), TimeZone::UTC);
        state.go(Screen::ALL[usize::from(*screen) % Screen::ALL.len()]);
        // What is no line ends a recording; here the others go on, so that more of them is tried.
        let told = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
        state.handle_all(told);
        act(&mut state, Action::Detail);
        act(&mut state, Action::Last);
        let _ = (state.detail(), state.diagnoses());
        for format in [crate::batch::Format::Table, crate::batch::Format::Json, crate::batch::Format::Csv] {
            let text = crate::batch::text(&state, format, 100, true);
            assert!(!text.contains('\x1b') || format == crate::batch::Format::Csv, "{text:?}");
        }
    });
}
