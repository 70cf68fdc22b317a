//! What does the page say? How it was measured, all figures, the goals, and the commands.

use super::lab::Link;
use super::measure::Measure;
use super::{Figure, GENEVE, KERNEL, MIXED, NO_PROBES, NO_SPIN, NO_TUNNEL, NVGRE, OURS, OVS, Options, Results, STEPS, Way};

/// Which side of a goal is the good one.
#[derive(Clone, Copy)]
enum Wanted {
    AtLeast,
    AtMost,
}

/// A ratio that is asked for.
struct Goal {
    what: &'static str,
    ours: Figure,
    peer: Figure,
    wanted: Wanted,
    goal: f64,
    stretch: f64,
}

const fn figure(measure: Measure, link: Link, way: Way) -> Figure {
    Figure { way, link, measure }
}

const fn more(what: &'static str, ours: Figure, peer: Figure, goal: f64, stretch: f64) -> Goal {
    Goal { what, ours, peer, wanted: Wanted::AtLeast, goal, stretch }
}

const fn less(what: &'static str, ours: Figure, peer: Figure, goal: f64, stretch: f64) -> Goal {
    Goal { what, ours, peer, wanted: Wanted::AtMost, goal, stretch }
}

const TCP_WIRE: Figure = figure(Measure::Tcp, Link::Wire, KERNEL);
const TCP_FULL: Figure = figure(Measure::Tcp, Link::Full, KERNEL);

const GOALS: &[Goal] = &[
    more("TCP, wire-like, to the kernel's VXLAN", figure(Measure::Tcp, Link::Wire, OURS), TCP_WIRE, 1.0, 1.2),
    more("TCP, all offloads, to the kernel's VXLAN", figure(Measure::Tcp, Link::Full, OURS), TCP_FULL, 0.75, 0.9),
    more("TCP, wire-like, from ours to a kernel's VXLAN", figure(Measure::Tcp, Link::Wire, MIXED), TCP_WIRE, 1.0, 1.2),
    more("TCP, wire-like, from a kernel's VXLAN to ours", figure(Measure::TcpBack, Link::Wire, MIXED), TCP_WIRE, 1.0, 1.2),
    more("TCP, all offloads, from ours to a kernel's VXLAN", figure(Measure::Tcp, Link::Full, MIXED), TCP_FULL, 0.4, 0.9),
    more("TCP, all offloads, from a kernel's VXLAN to ours", figure(Measure::TcpBack, Link::Full, MIXED), TCP_FULL, 0.4, 0.9),
    more(
        "UDP, 64 bytes, wire-like, to the kernel's VXLAN",
        figure(Measure::Udp, Link::Wire, OURS),
        figure(Measure::Udp, Link::Wire, KERNEL),
        1.8,
        2.5,
    ),
    more(
        "UDP, 64 bytes, all offloads, to the kernel's VXLAN",
        figure(Measure::Udp, Link::Full, OURS),
        figure(Measure::Udp, Link::Full, KERNEL),
        1.8,
        2.5,
    ),
    less("round trip, idle, mean", figure(Measure::Idle, Link::Full, OURS), figure(Measure::Idle, Link::Full, KERNEL), 1.2, 1.0),
    less(
        "round trip, processors awake, median",
        figure(Measure::Awake, Link::Full, OURS),
        figure(Measure::Awake, Link::Full, KERNEL),
        4.0,
        2.0,
    ),
    more(
        "TCP, all offloads, to OVS's user-space datapath",
        figure(Measure::Tcp, Link::Full, OURS),
        figure(Measure::Tcp, Link::Full, OVS),
        8.0,
        12.0,
    ),
    more("TCP, all offloads, geneve to vxlan", figure(Measure::Tcp, Link::Full, GENEVE), figure(Measure::Tcp, Link::Full, OURS), 0.0, 1.0),
    more("TCP, all offloads, nvgre to vxlan", figure(Measure::Tcp, Link::Full, NVGRE), figure(Measure::Tcp, Link::Full, OURS), 0.0, 0.0),
    more(
        "TCP, wire-like, probes that nobody watches, to none",
        figure(Measure::Tcp, Link::Wire, OURS),
        figure(Measure::Tcp, Link::Wire, NO_PROBES),
        0.99,
        1.0,
    ),
    more(
        "UDP, wire-like, probes that nobody watches, to none",
        figure(Measure::Udp, Link::Wire, OURS),
        figure(Measure::Udp, Link::Wire, NO_PROBES),
        0.99,
        1.0,
    ),
];

/// The columns of the tables of figures.
const WAYS: &[Way] = &[NO_TUNNEL, KERNEL, OURS, MIXED, OVS, GENEVE, NVGRE, NO_PROBES, NO_SPIN];

/// The columns of the tables of steps; the last one is everything.
const STEP_WAYS: &[Way] = &[STEPS[0], STEPS[1], STEPS[2], OURS];

/// The part of the page.
pub(super) fn report(
    results: &Results,
    options: &Options,
    machine: &[String],
    stolen: f64,
    commands: &[((Way, Link), Vec<String>)],
) -> String {
    let mut text = format!(
        "## The data path\n\nTwo hosts joined by one veth pair, a tenant on each, a tunnel between them; all of it, the load included, on this \
         machine. The link is wire-like (no offloads: every packet fits the MTU and has its checksums) or has all offloads of a veth pair. overlayd \
         runs as it does without options. Where there is no tunnel, the tenants have the link itself: what the machine can do, unless somebody joins \
         packets that the link does not. {} round{} of {} s a figure, all in turn; a figure is the median of the rounds, a ratio the median of the \
         rounds' ratios.\n\nMachine: {}, {stolen:.1} % of the time stolen by its host meanwhile.\n",
        options.rounds,
        if options.rounds == 1 { "" } else { "s" },
        options.seconds,
        machine.join("; ")
    );
    for measure in Measure::ALL {
        text.push_str(&table(results, measure, WAYS));
    }
    if STEPS.iter().any(|way| measured(results, Measure::Tcp, way) || measured(results, Measure::Udp, way)) {
        text.push_str(
            "\nWhat each step brought, every one with those before it: a frame or datagram at a time; as many as there are; datagrams of one size in one \
             message (UDP_SEGMENT); what came in consecutive frames given to the VNIC as one.\n",
        );
        for measure in [Measure::Tcp, Measure::Udp] {
            text.push_str(&table(results, measure, STEP_WAYS));
        }
    }
    text.push_str("\n| ratio | measured | goal | stretch |\n|---|---:|---:|---:|\n");
    for goal in GOALS {
        let Some(ratio) = results.ratio(goal.ours, goal.peer) else { continue };
        let sign = match goal.wanted {
            Wanted::AtLeast => "",
            Wanted::AtMost => " at most",
        };
        let shown = |number: f64| if number > 0.0 { format!("{number} x{sign}") } else { "-".to_owned() };
        text.push_str(&format!("| {} | {ratio:.2} x | {} | {} |\n", goal.what, shown(goal.goal), shown(goal.stretch)));
    }
    text.push_str(
        "\nCommands, of the first host; all offloads are `overlay-lab up` without `--wire-like`. The last ones run on the first tenant (`overlay-lab exec \
         bench h1v5000t1 ..`), against `iperf3 -s` on the second:\n\n```sh\n",
    );
    let mut shown: Vec<&str> = Vec::new();
    for ((_, link), lines) in commands {
        for line in lines.iter().filter(|line| *link == Link::Wire || line.contains("ovs")) {
            if !shown.contains(&line.as_str()) {
                shown.push(line);
            }
        }
    }
    shown.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    for measure in Measure::ALL {
        text.push_str(&format!("{}\n", measure.words(options.seconds).join(" ")));
    }
    text.push_str("```\n");
    text
}

/// The figures of one measure: a row for each link, a column for each way.
fn table(results: &Results, measure: Measure, ways: &[Way]) -> String {
    let ways: Vec<&Way> = ways.iter().filter(|way| measured(results, measure, way)).collect();
    if ways.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = ways.iter().map(|way| way.name).collect();
    let mut text = format!("\n| {} | {} |\n|---|{}\n", measure.title(), names.join(" | "), "---:|".repeat(ways.len()));
    for link in [Link::Wire, Link::Full] {
        let values: Vec<Option<f64>> = ways.iter().map(|way| results.median(figure(measure, link, **way))).collect();
        if values.iter().any(Option::is_some) {
            let places = if matches!(measure, Measure::Tcp | Measure::TcpBack) { 2 } else { 0 };
            let cells: Vec<String> = values.iter().map(|value| value.map_or("-".to_owned(), |value| format!("{value:.places$}"))).collect();
            text.push_str(&format!("| {} | {} |\n", link.name(), cells.join(" | ")));
        }
    }
    text
}

/// Whether there is a figure of it, on any link.
fn measured(results: &Results, measure: Measure, way: &Way) -> bool {
    [Link::Wire, Link::Full].iter().any(|&link| results.median(figure(measure, link, *way)).is_some())
}

#[cfg(test)]
mod tests {
    use super::super::figures;
    use super::*;

    #[test]
    fn every_goal_is_measured() {
        for goal in GOALS {
            for wanted in [goal.ours, goal.peer] {
                assert!(figures().contains(&wanted), "{}: {} is not measured", goal.what, wanted.label());
            }
        }
    }

    #[test]
    fn a_page_has_all_figures_and_ratios() {
        let figures = figures().into_iter().enumerate().map(|(index, figure)| (figure, vec![index as f64 + 1.0])).collect();
        let options = Options { rounds: 1, seconds: 2, only: Vec::new() };
        let text = report(&Results { figures }, &options, &["2 cores".to_owned()], 0.0, &[]);
        assert!(text.contains("| One TCP connection, Gbit/s | no tunnel | kernel | ours | ours, peer kernel | OVS |"), "{text}");
        // The third figure by the second.
        assert!(text.contains("| TCP, wire-like, to the kernel's VXLAN | 1.50 x | 1 x | 1.2 x |"), "{text}");
        assert_eq!(text.matches(" at most |").count(), 4, "{text}");
        assert!(text.contains("1 round of 2 s"), "{text}");
    }
}
