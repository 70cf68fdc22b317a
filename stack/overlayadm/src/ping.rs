//! Does the other end answer? Lines as they come from overlayd, which measures; nothing is timed here.

use crate::flags::Ping;
use crate::table::printable;
use crate::{Refusal, show};
use overlay_api::control::{PingEnd, PingEvent, PingRequest};
use overlay_client::{Client, ClientError};
use std::io::{self, Write};

/// Pings, and prints each line when it comes.
pub(crate) fn ping(client: &Client, asked: Ping, out: &mut dyn Write) -> Result<(), Refusal> {
    let request = PingRequest {
        to: asked.to,
        size: asked.size,
        count: asked.count,
        interval_ms: asked.interval.ms,
        timeout_ms: asked.timeout.ms,
        search: !asked.no_search,
    };
    let untried = |error: ClientError| Refusal::Untried(error.to_string());
    for event in client.ping(&asked.name, &request).map_err(untried)? {
        let event = event.map_err(untried)?;
        if asked.json {
            show::object(out, &event)?;
        } else {
            print(out, asked.name.as_str(), &event)?;
        }
        out.flush()?;
        if let PingEvent::End(end) = event {
            return if end.answered > 0 { Ok(()) } else { Err(Refusal::Said) };
        }
    }
    Err(Refusal::Untried("overlayd ended before the ping did".to_owned()))
}

fn print(out: &mut dyn Write, name: &str, event: &PingEvent) -> io::Result<()> {
    match event {
        PingEvent::Start { to, steps, size, packet, mtu, state, reason } => {
            for step in steps {
                writeln!(out, "{}", printable(step.clone()))?;
            }
            writeln!(out, "ping {to} over {name} (MTU {mtu}): packets of {size} bytes, {packet} on the underlay")?;
            match reason {
                Some(reason) => writeln!(out, "overlay {name} is {state}: {}", printable(reason.clone())),
                None => Ok(()),
            }
        }
        PingEvent::Answer { sequence, size, time_ns, from } => {
            writeln!(out, "{size} bytes from {}: seq={sequence} time={}", from.ip, time(*time_ns))
        }
        PingEvent::Lost { sequence, size, reason } => {
            let reason = reason.clone().map_or_else(|| "no answer".to_owned(), printable);
            writeln!(out, "{size} bytes: seq={sequence} lost: {reason}")
        }
        PingEvent::Told { by, what } => writeln!(out, "{by} says: {}", printable(what.clone())),
        PingEvent::End(end) => print_end(out, end),
    }
}

fn print_end(out: &mut dyn Write, end: &PingEnd) -> io::Result<()> {
    write!(out, "{} sent, {} answered, {}% lost", end.sent, end.answered, end.loss_percent())?;
    if let (Some(min), Some(avg), Some(max)) = (end.min_ns, end.avg_ns, end.max_ns) {
        write!(out, "; min/avg/max {}/{}/{}", time(min), time(avg), time(max))?;
    }
    writeln!(out)?;
    end.findings.iter().try_for_each(|finding| writeln!(out, "{}", printable(finding.clone())))
}

/// A time with three digits behind the point, in milliseconds.
fn time(ns: u64) -> String {
    let us = ns.saturating_add(500) / 1000;
    format!("{}.{:03} ms", us / 1000, us % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(event: &PingEvent) -> String {
        let mut out = Vec::new();
        print(&mut out, "ov7", event).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_event_is_a_line() {
        let from = "10.0.0.2:50000".parse().unwrap();
        let answer = PingEvent::Answer { sequence: 3, size: 64, time_ns: 1_234_567, from };
        assert_eq!(printed(&answer), "64 bytes from 10.0.0.2: seq=3 time=1.235 ms\n");
        let lost = |reason: Option<&str>| PingEvent::Lost { sequence: 4, size: 64, reason: reason.map(str::to_owned) };
        assert_eq!(printed(&lost(None)), "64 bytes: seq=4 lost: no answer\n");
        assert_eq!(printed(&lost(Some("too \x1b big"))), "64 bytes: seq=4 lost: too \\u{1b} big\n");
    }

    #[test]
    fn the_end_says_times_only_if_there_are_some() {
        let mut end = PingEnd { sent: 3, findings: vec!["why".to_owned()], ..PingEnd::default() };
        assert_eq!(printed(&PingEvent::End(end.clone())), "3 sent, 0 answered, 100% lost\nwhy\n");
        (end.answered, end.min_ns, end.avg_ns, end.max_ns) = (3, Some(1000), Some(2000), Some(3_000_000_000));
        let said = "3 sent, 3 answered, 0% lost; min/avg/max 0.001 ms/0.002 ms/3000.000 ms\nwhy\n";
        assert_eq!(printed(&PingEvent::End(end)), said);
    }
}
