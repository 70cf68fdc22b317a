//! How does an overlay come to be? Two hosts with an overlayd each, an overlay between them, a tenant on either side.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use super::lab::{Lab, typed, wait_until};
use crate::run::{Outcome, cannot_start, output_of, succeeded};

/// The tenants' inner addresses: the lab gives each host's first tenant these (VL2, VL3).
const TENANTS: [(&str, &str); 2] = [("02:08:20:0a:00:01", "10.0.0.1"), ("02:08:20:0a:00:02", "10.0.0.2")];
/// The hosts' underlay addresses.
const HOSTS: [&str; 2] = ["10.88.0.1", "10.88.0.2"];
/// VXLAN's port (RFC 7348 section 5).
const PORT: &str = "4789";

/// Where the programs are.
pub(super) struct Programs {
    pub(super) lab: PathBuf,
    pub(super) overlayd: PathBuf,
    pub(super) varpd: PathBuf,
    pub(super) overlayadm: PathBuf,
    pub(super) snoop: PathBuf,
}

/// Builds it, shows it at work, and takes it away again.
pub(super) fn run(programs: &Programs) -> Outcome {
    println!("\n# Now with the stack of this suite. Two hosts, with a wire between them and no tunnel yet; `h1 $` is typed on host 1.");
    let mut lab = Lab::up(&programs.lab, &["--vni", "7", "--no-tunnel-on", "1", "--no-tunnel-on", "2"])?;
    for host in [1, 2] {
        // Without IPv6 the tenants ask for nothing that the story does not tell.
        let quiet = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6";
        output_of(&mut lab.command(&tenant(host), Path::new("sh"), &["-c", quiet]))?;
    }
    build(&mut lab, programs)?;
    show(&lab, programs)?;
    drop(lab);
    println!("\n# And all of it is gone again.");
    Ok(())
}

fn build(lab: &mut Lab, programs: &Programs) -> Outcome {
    println!("\n# Two daemons on each host: overlayd carries frames, and varpd is asked where they go.");
    for host in ["h1", "h2"] {
        for program in [&programs.overlayd, &programs.varpd] {
            lab.start(host, program, "ready: ")?;
        }
    }
    let mapping = mapping(lab)?;
    println!("\n# Virtual network 7 between them, on each host with the same mapping.");
    for (host, ip) in HOSTS.iter().enumerate() {
        let (listen, config) = (format!("vxlan/listen_ip={ip}"), format!("files/config={mapping}"));
        adm(lab, programs, host, &["create-overlay", "-e", "vxlan", "-s", "files", "-v", "7", "-p", &listen, "-p", &config, "ov7"])?;
    }
    println!("\n# A virtual NIC for each tenant, in the tenant's own namespace.");
    for (host, (mac, ip)) in TENANTS.iter().enumerate() {
        let namespace = lab.namespace(&tenant(host + 1));
        adm(lab, programs, host, &["create-vnic", "-l", "ov7", "-m", mac, "-n", &namespace, "vnic0"])?;
        let tool = Path::new("ip");
        lab.run(&tenant(host + 1), tool, &["address", "add", &format!("{ip}/24"), "dev", "vnic0"])?;
        lab.run(&tenant(host + 1), tool, &["link", "set", "vnic0", "up"])?;
    }
    Ok(())
}

/// Writes down where each tenant is, shows it, and gives the file's path.
fn mapping(lab: &Lab) -> Outcome<String> {
    let entries = TENANTS.iter().zip(HOSTS).map(|((mac, inner), ip)| {
        // Answered by proxy: no broadcast has to cross the underlay.
        format!(r#"  "{mac}": {{ "ip": "{ip}", "port": {PORT}, "arp": "{inner}" }}"#)
    });
    let text = format!("{{\n{}\n}}\n", entries.collect::<Vec<_>>().join(",\n"));
    let path = lab.folder("h1")?.join("map.json").display().to_string();
    std::fs::write(&path, &text).map_err(|error| format!("{path} cannot be written: {error}"))?;
    println!("\n# Where is each tenant? A file says it, and who asks for a tenant's address by ARP gets the answer from it, too.");
    println!("$ cat {path}\n{}", text.trim_end());
    Ok(path)
}

fn show(lab: &Lab, programs: &Programs) -> Outcome {
    println!("\n# Does it carry? And what does that look like on the wire between the hosts?");
    let words = ["-n", "--utc", "-i", "ul0", "-c", "4", "--duration", "20", "vni 7 and inner(icmp)"];
    let mut capture = lab.command("h1", &programs.snoop, &words);
    let mut snoop = Ended(capture.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| cannot_start(&capture, &error))?);
    let mut messages = snoop.0.stderr.take().map(BufReader::new);
    let mut listening = String::new();
    if let Some(messages) = &mut messages {
        // It says so when it misses nothing any more.
        let _ = messages.read_line(&mut listening);
    }
    lab.run("h1v7t1", Path::new("ping"), &["-c", "2", "-i", "0.2", TENANTS[1].1])?;
    println!("{}", typed("h1", &programs.snoop, &words));
    let mut printed = String::new();
    if let Some(stdout) = &mut snoop.0.stdout {
        stdout.read_to_string(&mut printed).map_err(|error| format!("what overlay-snoop prints is lost: {error}"))?;
    }
    print!("{printed}");
    let status = snoop.0.wait().map_err(|error| format!("overlay-snoop cannot be waited for: {error}"))?;
    succeeded(&capture, status)?;

    println!("\n# The target table: whom host 1 knows, and how much went there.");
    adm(lab, programs, 0, &["show-overlay", "-t"])?;
    println!("\n# What went through the virtual NICs?");
    for host in [0, 1] {
        // The counters are of a moment ago: the last reply may still be on its way into them. ARP is answered beside them.
        wait_until(|| counted(lab, programs, host) >= 2);
        adm(lab, programs, host, &["show-vnic", "-o", "link,over,macaddress,frames_in,frames_out,drops"])?;
    }
    println!("\n# Where would a frame go, and why? To the other tenant, to one that nobody knows, and one that is too big.");
    adm(lab, programs, 0, &["trace", "ov7", "--vnic", "vnic0", "--dst", TENANTS[1].0])?;
    for more in [&["--dst", "02:08:20:0a:00:63"][..], &["--dst", TENANTS[1].0, "--size", "2000"]] {
        println!();
        adm(lab, programs, 0, &[&["trace", "ov7", "--vnic", "vnic0"], more].concat())?;
    }
    Ok(())
}

/// Runs overlayadm on a host, counted from 0.
fn adm(lab: &Lab, programs: &Programs, host: usize, arguments: &[&str]) -> Outcome {
    lab.run(&format!("h{}", host + 1), &programs.overlayadm, arguments)
}

/// Frames that a host's VNIC has given to its tenant.
fn counted(lab: &Lab, programs: &Programs, host: usize) -> u64 {
    let asked = ["show-vnic", "-p", "-o", "frames_out"];
    let answer = output_of(&mut lab.command(&format!("h{}", host + 1), &programs.overlayadm, &asked));
    answer.ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

fn tenant(host: usize) -> String {
    format!("h{host}v7t1")
}

/// A process that is over when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Nothing is to be done about one that has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
