//! What is said in the end? Packets, time, how well it was kept, and what did not leave; as text or as one JSON object.

use super::pace::Pacing;
use super::port::Lost;
use serde::Serialize;
use std::fmt;

/// Why no more is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ended {
    /// All is sent.
    Done,
    /// The time is over.
    Duration,
    /// Somebody sent a signal.
    Interrupted,
    /// It could not go on.
    Broken,
}

/// What was done.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Report {
    /// Packets that the kernel took.
    pub(crate) packets: u64,
    /// Their bytes, with Ethernet headers and without checksums of frames.
    pub(crate) bytes: u64,
    /// From the start until the last was taken.
    pub(crate) seconds: f64,
    /// How often the captures were sent to their end.
    pub(crate) passes: u64,
    /// Why it is over.
    pub(crate) ended: Ended,
    /// How well the time was kept, where there was one.
    pub(crate) pacing: Option<Pacing>,
    /// What happened on each interface, in the order of the command line.
    pub(crate) interfaces: Vec<Interface>,
}

/// A capture and its interface.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Interface {
    pub(crate) interface: String,
    pub(crate) capture: String,
    pub(crate) packets: u64,
    pub(crate) bytes: u64,
    /// How often it had no room, and was asked again.
    pub(crate) busy: u64,
    /// What the kernel did not take.
    pub(crate) refused: Vec<LeftOut>,
    /// What it was not asked to take.
    pub(crate) left_out: Vec<LeftOut>,
}

/// Packets that were not sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct LeftOut {
    pub(crate) why: String,
    pub(crate) count: u64,
    /// The first of their numbers.
    pub(crate) packets: Vec<u64>,
}

impl LeftOut {
    pub(crate) fn of(why: &str, lost: &Lost) -> Self {
        Self { why: why.to_owned(), count: lost.count, packets: lost.numbers.clone() }
    }
}

/// The report as JSON has it.
#[derive(Serialize)]
struct Line<'a> {
    packets: u64,
    bytes: u64,
    seconds: f64,
    packets_per_second: f64,
    megabits_per_second: f64,
    passes: u64,
    ended: Ended,
    pacing: Option<Pacing>,
    interfaces: &'a [Interface],
}

impl Report {
    /// Whether each packet was sent.
    pub(crate) fn is_complete(&self) -> bool {
        self.interfaces.iter().all(|interface| interface.refused.is_empty() && interface.left_out.is_empty())
    }

    fn packets_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.packets as f64 / self.seconds } else { 0.0 }
    }

    fn megabits_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.bytes as f64 * 8e-6 / self.seconds } else { 0.0 }
    }

    /// The report as a line of JSON, without its end.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Line {
            packets: self.packets,
            bytes: self.bytes,
            seconds: self.seconds,
            packets_per_second: self.packets_per_second(),
            megabits_per_second: self.megabits_per_second(),
            passes: self.passes,
            ended: self.ended,
            pacing: self.pacing,
            interfaces: &self.interfaces,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |ended| match ended {
            Ended::Done => "",
            Ended::Duration => "; the time is over",
            Ended::Interrupted => "; interrupted",
            Ended::Broken => "; then it could not go on",
        };
        writeln!(
            f,
            "sent {}, {} bytes in {:.3} s: {:.0} packets/s, {:.1} Mbit/s{}",
            packets(self.packets),
            self.bytes,
            self.seconds,
            self.packets_per_second(),
            self.megabits_per_second(),
            word(self.ended)
        )?;
        if let Some(pacing) = &self.pacing {
            writeln!(f, "{pacing}")?;
        }
        for interface in &self.interfaces {
            let Interface { interface: name, capture, .. } = interface;
            if self.interfaces.len() > 1 {
                writeln!(f, "{name}: {} of {capture}, {} bytes", packets(interface.packets), interface.bytes)?;
            }
            if interface.busy > 0 {
                writeln!(f, "{name}: had no room {} times, and was asked again", interface.busy)?;
            }
            for (what, lost) in interface
                .refused
                .iter()
                .map(|lost| ("refused by the kernel", lost))
                .chain(interface.left_out.iter().map(|lost| ("left out", lost)))
            {
                let numbers: Vec<_> = lost.packets.iter().map(u64::to_string).collect();
                let more = if lost.count > lost.packets.len() as u64 { ", .." } else { "" };
                let one = if lost.packets.len() == 1 { "packet" } else { "packets" };
                writeln!(f, "{name}: {} {what}: {}: {one} {}{more} of {capture}", packets(lost.count), lost.why, numbers.join(", "))?;
            }
        }
        Ok(())
    }
}

/// `1 packet`, `2 packets`.
fn packets(count: u64) -> String {
    format!("{count} packet{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut lost = Lost::default();
        [5, 9, 5].into_iter().for_each(|number| lost.add(number));
        let interface = Interface {
            interface: "eth0".to_owned(),
            capture: "frames.pcap".to_owned(),
            packets: 1_000,
            bytes: 125_000,
            busy: 0,
            refused: vec![LeftOut::of("longer than the MTU of 1500 allows", &lost)],
            left_out: Vec::new(),
        };
        Report { packets: 1_000, bytes: 125_000, seconds: 0.5, passes: 1, ended: Ended::Done, pacing: None, interfaces: vec![interface] }
    }

    #[test]
    fn the_text_has_rates_and_the_numbers_of_what_was_refused() {
        let report = report();
        assert_eq!(
            report.to_string(),
            "sent 1000 packets, 125000 bytes in 0.500 s: 2000 packets/s, 2.0 Mbit/s\n\
             eth0: 3 packets refused by the kernel: longer than the MTU of 1500 allows: packets 5, 9, .. of frames.pcap\n"
        );
        assert!(!report.is_complete());
    }

    #[test]
    fn the_json_says_the_same() {
        let line: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        assert_eq!((line["packets_per_second"].as_f64(), line["megabits_per_second"].as_f64()), (Some(2000.0), Some(2.0)));
        assert_eq!(line["interfaces"][0]["refused"][0]["packets"], serde_json::json!([5, 9]));
        assert_eq!((line["ended"].as_str(), line["pacing"].is_null()), (Some("done"), true));
    }
}
