//! How much goes through a tunnel, and how long is the way there and back?

use std::fs::File;
use std::io::Write;

use super::lab::{ADDRESS, Lab, tenant};
use crate::run::{Outcome, output_of};

/// Echo requests of a round trip on an idle machine, and milliseconds from one to the next: far more than daemons look for work before they sleep.
const IDLE: (&str, &str) = ("200", "0.01");
/// The same on processors that are kept awake.
const AWAKE: (&str, &str) = ("1000", "0.002");

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Measure {
    /// One TCP connection, Gbit/s at the receiver.
    Tcp,
    /// The same from the second tenant to the first.
    TcpBack,
    /// Datagrams with 64 bytes of payload, as fast as the sender can, thousands a second at the receiver.
    Udp,
    /// Mean round trip of an echo request, microseconds.
    Idle,
    /// Median round trip while no processor sleeps, microseconds.
    Awake,
}

impl Measure {
    pub(super) const ALL: [Self; 5] = [Self::Tcp, Self::TcpBack, Self::Udp, Self::Idle, Self::Awake];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::TcpBack => "tcp-back",
            Self::Udp => "udp",
            Self::Idle => "rtt-idle",
            Self::Awake => "rtt-awake",
        }
    }

    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Tcp | Self::TcpBack => "Gbit/s",
            Self::Udp => "kpps",
            Self::Idle | Self::Awake => "us",
        }
    }

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Tcp => "One TCP connection, Gbit/s",
            Self::TcpBack => "One TCP connection in the other direction, Gbit/s",
            Self::Udp => "UDP with 64 bytes of payload, thousands received a second",
            Self::Idle => "Round trip on an idle machine, mean, microseconds",
            Self::Awake => "Round trip with processors kept awake, median, microseconds",
        }
    }

    /// What is run on the first tenant.
    pub(super) fn words(self, seconds: u32) -> Vec<String> {
        let words = match self {
            Self::Tcp => format!("iperf3 -c {ADDRESS} -C cubic -t {seconds} -J"),
            Self::TcpBack => format!("iperf3 -c {ADDRESS} -C cubic -t {seconds} -R -J"),
            Self::Udp => format!("iperf3 -c {ADDRESS} -u -l 64 -b 0 -t {seconds} -J"),
            Self::Idle => format!("ping -q -c {} -i {} {ADDRESS}", IDLE.0, IDLE.1),
            Self::Awake => format!("ping -c {} -i {} {ADDRESS}", AWAKE.0, AWAKE.1),
        };
        words.split(' ').map(str::to_owned).collect()
    }

    /// Measures once.
    pub(super) fn take(self, lab: &Lab<'_>, seconds: u32) -> Outcome<f64> {
        let words = self.words(seconds);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let say = |output: String| format!("`{}` gave no figure: {}", words.join(" "), output.lines().last().unwrap_or_default());
        let _awake = if self == Self::Awake { Some(stay_awake()?) } else { None };
        let before = if self == Self::Udp { received(lab)? } else { 0 };
        let output = output_of(&mut lab.command(&tenant(1), &words))?;
        let figure = match self {
            Self::Tcp | Self::TcpBack => {
                number_behind(summary(&output), &["\"sum_received\"", "\"bits_per_second\":"]).map(|bits| bits / 1e9)
            }
            Self::Udp => {
                let came = received(lab)? - before;
                number_behind(summary(&output), &["\"sum\"", "\"seconds\":"]).map(|seconds| came as f64 / seconds / 1e3)
            }
            Self::Idle => mean(&output),
            Self::Awake => median_time(&output),
        };
        figure.ok_or_else(|| say(output))
    }
}

/// Keeps processors from sleeping as long as the file is open (the kernel's PM QoS interface): how long a virtual machine takes to wake one is
/// the machine's figure and not the tunnel's.
fn stay_awake() -> Outcome<File> {
    const PATH: &str = "/dev/cpu_dma_latency";
    let open = || {
        let mut file = File::options().write(true).open(PATH)?;
        file.write_all(&0i32.to_ne_bytes())?;
        Ok(file)
    };
    open().map_err(|error: std::io::Error| format!("{PATH}: {error}"))
}

/// Datagrams that programs of the second tenant have read: what its stack counts, and not what iperf3 believes was sent.
fn received(lab: &Lab<'_>) -> Outcome<u64> {
    let text = output_of(&mut lab.command(&tenant(2), &["cat", "/proc/net/snmp"]))?;
    datagrams_in(&text).ok_or_else(|| "/proc/net/snmp does not say how many datagrams came".to_owned())
}

/// `InDatagrams` in /proc/net/snmp: a line of names, then one of numbers.
fn datagrams_in(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp: "));
    let (names, numbers) = (lines.next()?, lines.next()?);
    let at = names.split(' ').position(|name| name == "InDatagrams")?;
    numbers.split(' ').nth(at)?.parse().ok()
}

/// What iperf3 says of the whole run: an object called "end". Each interval before has a number of that name.
fn summary(output: &str) -> &str {
    let starts = |at: &usize| output[*at..].trim_start().starts_with('{');
    output.match_indices("\"end\":").map(|(at, word)| at + word.len()).find(starts).map_or("", |at| &output[at..])
}

/// The number behind several words, each searched for behind the one before it.
fn number_behind(text: &str, words: &[&str]) -> Option<f64> {
    let rest = words.iter().try_fold(text, |rest, word| rest.split_once(word).map(|(_, behind)| behind))?;
    let rest = rest.trim_start();
    rest[..rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != 'e' && c != '+')?].parse().ok()
}

/// ping's closing line: `rtt min/avg/max/mdev = 0.050/0.089/0.412/0.031 ms`.
fn mean(output: &str) -> Option<f64> {
    let times = output.lines().find_map(|line| line.strip_prefix("rtt ")?.split_once(" = ").map(|(_, times)| times))?;
    times.split('/').nth(1)?.parse::<f64>().ok().map(|milliseconds| milliseconds * 1e3)
}

/// The median of all `time=0.089 ms`.
fn median_time(output: &str) -> Option<f64> {
    let times = output.lines().filter_map(|line| line.split_once("time=")?.1.split(' ').next()?.parse::<f64>().ok());
    median(times.collect()).map(|milliseconds| milliseconds * 1e3)
}

/// The middle one; of an even number the larger of the two.
pub(super) fn median(mut numbers: Vec<f64>) -> Option<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_found_in_what_iperf3_says() {
        let json = "{\n\t\"intervals\":\t[{\"sum\":\t{\"end\":\t1.00001,\n\"seconds\":\t1.00001}}],\n\t\"end\":\t{\n\t\t\"streams\":\t[],\n\
            \t\t\"sum_sent\":\t{\n\t\t\t\"end\":\t3.0,\n\t\t\t\"bits_per_second\":\t5.1e+09\n\t\t},\n\t\t\"sum_received\":\t{\n\
            \t\t\t\"seconds\":\t3.04,\n\t\t\t\"bits_per_second\":\t4870123456.5,\n";
        let received = |word| number_behind(summary(json), &["\"sum_received\"", word]);
        assert_eq!((received("\"seconds\":"), received("\"bits_per_second\":")), (Some(3.04), Some(4_870_123_456.5)));
        assert_eq!(number_behind(summary(json), &["\"bits_per_second\":"]), Some(5.1e9));
        assert_eq!(number_behind(summary(json), &["\"lost_packets\":"]), None);
        assert_eq!(number_behind(summary("\"end\": 1.0"), &["1"]), None);
    }

    #[test]
    fn datagrams_are_those_of_udp_alone() {
        let snmp = "Ip: Forwarding InReceives\nIp: 1 900\nUdp: InDatagrams NoPorts\nUdp: 77 3\nUdpLite: InDatagrams\nUdpLite: 5\n";
        assert_eq!(datagrams_in(snmp), Some(77));
        assert_eq!(datagrams_in("Udp: InDatagrams\n"), None);
    }

    #[test]
    fn round_trips_are_read_in_microseconds() {
        let output = "64 bytes from 10.0.0.2: icmp_seq=1 ttl=64 time=0.250 ms\n64 bytes from 10.0.0.2: icmp_seq=2 ttl=64 time=0.125 ms\n\
            64 bytes from 10.0.0.2: icmp_seq=3 ttl=64 time=9.5 ms\n\n--- 10.0.0.2 ping statistics ---\n\
            3 packets transmitted, 3 received, 0% packet loss, time 4ms\nrtt min/avg/max/mdev = 0.125/0.500/9.500/1.031 ms\n";
        assert_eq!(median_time(output), Some(250.0));
        assert_eq!(mean(output), Some(500.0));
        assert_eq!((median_time(""), mean("")), (None, None));
    }
}
