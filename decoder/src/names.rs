//! What do people call this address? Names out of `/etc/ethers` and `/etc/hosts`.
//!
//! The texts come in as arguments; who reads the files is the caller's business.

use crate::addr::Mac;
use std::collections::HashMap;
use std::net::IpAddr;

/// Names of stations and hosts.
#[derive(Clone, Debug, Default)]
pub struct Names {
    stations: HashMap<Mac, String>,
    hosts: HashMap<IpAddr, String>,
}

impl Names {
    /// Adds the lines of an ethers(5) file, `MAC NAME`. Returns the numbers of lines that are neither empty, comment nor entry.
    pub fn add_ethers(&mut self, text: &str) -> Vec<usize> {
        add_lines(text, |words| match words {
            [mac, name, ..] => mac.parse::<Mac>().is_ok_and(|mac| {
                self.stations.entry(mac).or_insert_with(|| clean(name));
                true
            }),
            _ => false,
        })
    }

    /// Adds the lines of a hosts(5) file, `ADDRESS NAME ALIAS...`; the first name of an address counts. Returns the numbers of lines
    /// that are neither empty, comment nor entry.
    pub fn add_hosts(&mut self, text: &str) -> Vec<usize> {
        add_lines(text, |words| match words {
            [address, name, ..] => address.parse::<IpAddr>().is_ok_and(|address| {
                self.hosts.entry(address).or_insert_with(|| clean(name));
                true
            }),
            _ => false,
        })
    }

    /// The name of a station.
    #[must_use]
    pub fn station(&self, mac: Mac) -> Option<&str> {
        self.stations.get(&mac).map(String::as_str)
    }

    /// The name of a host.
    #[must_use]
    pub fn host(&self, address: IpAddr) -> Option<&str> {
        self.hosts.get(&address).map(String::as_str)
    }

    /// Whether there is no name at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stations.is_empty() && self.hosts.is_empty()
    }
}

/// A name without what could steer a terminal: these files may come from anywhere.
fn clean(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn add_lines(text: &str, mut add: impl FnMut(&[&str]) -> bool) -> Vec<usize> {
    let mut refused = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let entry = line.split('#').next().unwrap_or("");
        let words: Vec<&str> = entry.split_whitespace().collect();
        if !words.is_empty() && !add(&words) {
            refused.push(index + 1);
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ethers_and_hosts_give_names_and_bad_lines_are_reported() {
        let mut names = Names::default();
        assert_eq!(names.add_ethers("# stations\n8:0:20:1:3d:94 printer\n02:00:00:00:00:01\tgate # door\nnonsense\n"), [4]);
        assert_eq!(
            names.add_hosts("127.0.0.1 localhost\n::1 localhost ip6-localhost\n10.0.0.1 db1 db\n10.0.0.1 second\n300.0.0.1 x\n10.0.0.2\n"),
            [5, 6]
        );
        assert_eq!(names.station("08:00:20:01:3d:94".parse().unwrap()), Some("printer"));
        assert_eq!(names.station("02:00:00:00:00:01".parse().unwrap()), Some("gate"));
        assert_eq!(names.host("10.0.0.1".parse().unwrap()), Some("db1"));
        assert_eq!(names.host("10.9.9.9".parse().unwrap()), None);
    }

    #[test]
    fn a_name_cannot_steer_a_terminal() {
        let mut names = Names::default();
        names.add_hosts("10.0.0.1 a\u{1b}[31mb\n");
        assert_eq!(names.host("10.0.0.1".parse().unwrap()), Some("a?[31mb"));
    }
}
