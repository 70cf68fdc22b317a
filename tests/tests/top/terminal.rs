//! Is the terminal given back, however overlay-top ends or stops?

use crate::screen::Screen;
use overlay_tests::{corpus_folder, program};

/// A shell in which overlay-top was started on a capture, and its process.
fn started(name: &str) -> Option<(Screen, String)> {
    let screen = Screen::open(name, (100, 24), "env PS1='ready> ' ENV= sh -i")?;
    screen.wait("a prompt", |text| text.contains("ready>"));
    let capture = corpus_folder().join("vxlan.pcap");
    screen.press(&[&format!("{} --utc -r {}", program("overlay-top").display(), capture.display()), "Enter"]);
    screen.wait_line(&["vxlan77", "observed"]);
    let found = overlay_tests::Run::new("pgrep")
        .args(["-f", &format!("^{} --utc -r {}", program("overlay-top").display(), capture.display())])
        .end();
    let all: Vec<&str> = found.stdout.split_whitespace().collect();
    // Another test of this binary may have one of its own: ours is a child of our shell.
    let shell = screen.shell();
    let own = all.into_iter().find(|process| parent(process).as_deref() == Some(shell.as_str()));
    let own = own.unwrap_or_else(|| panic!("no overlay-top below {shell}: {}", found.stdout)).to_owned();
    Some((screen, own))
}

fn parent(process: &str) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1).map(str::to_owned)
}

/// The shell's screen is back, it echoes what is typed, and lines end as they should.
fn is_given_back(screen: &Screen) {
    screen.wait("the shell's screen", |text| text.contains("ready>") && !text.contains("1 Overlays"));
    screen.press(&["stty -a | grep -c -e ' -icanon' -e ' -echo ' | sed s/^/raw=/", "Enter"]);
    screen.wait("the terminal's settings", |text| text.contains("raw=0"));
    screen.press(&["clear", "Enter"]);
    screen.wait("an empty screen", |text| !text.contains("raw=0"));
}

fn signal(name: &str, process: &str) {
    let sent = overlay_tests::Run::new("sh").args(["-c", &format!("kill -{name} {process}")]).end();
    assert_eq!(sent.code, 0, "{}", sent.stderr);
}

#[test]
fn after_its_key() {
    let Some((screen, _)) = started("key") else { return };
    screen.press(&["q"]);
    is_given_back(&screen);
}

#[test]
fn after_a_signal() {
    for name in ["TERM", "INT", "HUP", "QUIT"] {
        let Some((screen, process)) = started(&format!("signal-{name}")) else { return };
        signal(name, &process);
        is_given_back(&screen);
    }
}

#[test]
fn while_it_is_stopped_and_it_comes_back() {
    for by_key in [true, false] {
        let Some((screen, process)) = started(if by_key { "stop-key" } else { "stop-signal" }) else { return };
        if by_key {
            screen.press(&["C-z"]);
        } else {
            signal("TSTP", &process);
        }
        is_given_back(&screen);
        screen.press(&["fg", "Enter"]);
        screen.wait_line(&["vxlan77", "observed"]);
        screen.press(&["2"]);
        screen.wait_line(&["02:08:20:0a:00:02"]);
        screen.press(&["q"]);
        is_given_back(&screen);
    }
}

#[test]
fn no_thread_of_it_has_a_capability_left() {
    let Some((screen, process)) = started("rights") else { return };
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    let mut threads = 0;
    for task in tasks {
        let status = std::fs::read_to_string(task.expect("a thread").path().join("status")).expect("its status");
        let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("-").trim().to_owned();
        assert_eq!((value("CapEff:"), value("CapPrm:"), value("NoNewPrivs:")), ("0".repeat(16), "0".repeat(16), "1".to_owned()));
        threads += 1;
    }
    assert!(threads > 1, "a source is a thread");
    screen.press(&["q"]);
    is_given_back(&screen);
}
