//! overlayd and varpd: do they run, of one version, with the rights that they need, and are their overlays up?

use super::checks::End;
use super::finding::{Finding, Severity};
use super::rules::Traffic;
use overlay_api::control::{Clashes, Overlay, OverlayState, Property, VnicState};
use overlay_api::{LinkName, Paths};
use overlay_captures::host::Namespace;
use overlay_client::{Client, ClientError, VarpdClient};
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Ethernet.
const L2: u32 = 14;
/// CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN (linux/capability.h).
const RIGHTS: [(u32, &str); 3] = [(12, "CAP_NET_ADMIN"), (13, "CAP_NET_RAW"), (21, "CAP_SYS_ADMIN")];

/// What the daemons say.
pub(crate) struct Stack {
    ends: Vec<End>,
    namespaces: Vec<Namespace>,
}

impl Stack {
    /// Asks them.
    pub(crate) fn ask(paths: &Paths, findings: &mut Vec<Finding>) -> Self {
        let client = Client::overlayd(paths);
        let mut stack = Self { ends: Vec::new(), namespaces: Vec::new() };
        let status = match client.status() {
            Ok(status) => status,
            Err(error) => {
                findings.push(away(paths, &error));
                return stack;
            }
        };
        version("overlayd", &status.version, findings);
        match Namespace::by_pid(status.pid) {
            Ok(namespace) => stack.namespaces.push(namespace),
            Err(error) => findings.push(Finding::unknown("namespace", "network namespace of overlayd", error)),
        }
        let overlays = client.overlays().unwrap_or_default();
        let mut elsewhere = false;
        for overlay in &overlays {
            let properties = client.overlay_properties(&overlay.name).unwrap_or_default();
            state(overlay, findings);
            let named = value(&properties, "underlay/namespace").filter(|name| !name.is_empty());
            elsewhere |= named.is_some();
            let namespace = match named {
                None => stack.namespaces.first().cloned(),
                Some(name) => Namespace::find(&name).ok(),
            };
            let Some(namespace) = namespace else { continue };
            stack.ends.push(end(overlay, &properties, &namespace));
            if !stack.namespaces.iter().any(|known| known.is_same(&namespace)) {
                stack.namespaces.push(namespace);
            }
        }
        let vnics = client.vnics().unwrap_or_default();
        for vnic in vnics.iter().filter(|vnic| vnic.state == VnicState::Failed) {
            let reason = vnic.reason.clone().unwrap_or_default();
            findings.push(Finding::new(Severity::Error, "vnic", format!("VNIC {}", vnic.name), format!("it has failed: {reason}")));
        }
        elsewhere |= vnics.iter().any(|vnic| vnic.namespace.is_some());
        rights(status.pid, elsewhere, findings);
        tun(findings);
        if status.unattributed.drops.get("unknown-vni").is_some_and(|count| *count > 0) {
            let found = format!("{} datagrams came with a vnetid that no overlay has", status.unattributed.drops["unknown-vni"]);
            let note = Finding::new(Severity::Note, "unknown-vni", "overlayd", found);
            findings.push(note.repair("compare `overlayadm show-prop -p vnetid` of both ends"));
        }
        varpd(paths, &status.answerer, &overlays, findings);
        plugins(&paths.plugins(), varpd_user(paths), findings);
        stack
    }

    /// Its overlays, as ends of tunnels.
    pub(crate) fn ends(&self) -> impl Iterator<Item = End> {
        self.ends.iter().cloned()
    }

    /// Where overlayd is and sends.
    pub(crate) fn namespaces(&self) -> &[Namespace] {
        &self.namespaces
    }
}

fn away(paths: &Paths, error: &ClientError) -> Finding {
    let configured = fs::read_dir(paths.state()).is_ok_and(|mut files| files.next().is_some());
    match (error, configured) {
        (ClientError::NotAllowed { .. }, _) => Finding::unknown("overlayd", "overlayd", error),
        // Here lives whoever has overlays.
        (_, true) => {
            let finding = Finding::new(Severity::Error, "overlayd", "overlayd", error.to_string());
            finding.why("This host has overlays, and nobody carries their frames.").repair("systemctl start overlayd")
        }
        _ => {
            let found = "it does not run here; only the kernel's own tunnel devices are looked at";
            Finding::new(Severity::Note, "overlayd", "overlayd", found)
        }
    }
}

fn version(what: &str, found: &str, findings: &mut Vec<Finding>) {
    let own = env!("CARGO_PKG_VERSION");
    if found != own {
        let finding = Finding::new(Severity::Warning, "version", what, format!("it is of version {found}, this program of {own}"));
        let why = "What one of them says the other may not know.";
        findings.push(finding.why(why).repair("install one version of all, and restart what is older"));
    }
}

fn state(overlay: &Overlay, findings: &mut Vec<Finding>) {
    let (severity, why) = match overlay.state {
        OverlayState::Up => return,
        OverlayState::Degraded => (Severity::Warning, "What is known stays in use; what is not known waits."),
        OverlayState::Down => (Severity::Error, "Nothing passes."),
    };
    let reason = overlay.reason.as_deref().unwrap_or("no reason is known");
    let finding = Finding::new(severity, "overlay", format!("overlay {}", overlay.name), format!("it is {}: {reason}", overlay.state));
    findings.push(finding.why(why).repair(format!("overlayadm show-overlay -f -o all {}", overlay.name)));
}

fn value(properties: &[Property], name: &str) -> Option<String> {
    properties.iter().find(|property| property.name == name)?.value.clone()
}

fn end(overlay: &Overlay, properties: &[Property], namespace: &Namespace) -> End {
    let ip = overlay.listen.ip.to_canonical();
    let remotes: BTreeSet<IpAddr> = value(properties, "direct/dest_ip").and_then(|ip| ip.parse().ok()).into_iter().collect();
    let ipv6 = remotes.first().map_or(ip.is_ipv6(), IpAddr::is_ipv6);
    // UDP, and the header of each; an option of Geneve has 4 bytes and its own (RFC 8926 3.5).
    let options = value(properties, "geneve/options").unwrap_or_default();
    let options = options.split(',').filter_map(|option| option.rsplit_once(':')).map(|(_, hex)| 4 + hex.len() as u32 / 2);
    let header = if overlay.listen.port.is_some() { 16 } else { 8 } + options.sum::<u32>();
    End {
        thing: format!("overlay {}", overlay.name),
        name: overlay.name.to_string(),
        ours: true,
        kind: overlay.encapsulation.to_string(),
        namespace: namespace.clone(),
        up: overlay.state != OverlayState::Down,
        traffic: overlay.listen.port.map_or(Traffic::Gre, Traffic::Udp),
        local: Some(ip).filter(|ip| !ip.is_unspecified()),
        lower: None,
        remotes,
        mtu: overlay.mtu,
        around: if ipv6 { 40 } else { 20 } + header + L2,
        set_mtu: format!("overlayadm set-prop -p mtu=MTU {}", overlay.name),
    }
}

fn rights(pid: u32, elsewhere: bool, findings: &mut Vec<Finding>) {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let held = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("CapEff:")?.trim(), 16).ok());
    let Some(held) = held else {
        return findings.push(Finding::unknown("rights", "overlayd", format!("/proc/{pid}/status does not say its capabilities")));
    };
    let needed = if elsewhere { &RIGHTS[..] } else { &RIGHTS[..2] };
    for (bit, name) in needed.iter().filter(|(bit, _)| held & 1 << bit == 0) {
        let finding = Finding::new(Severity::Error, "rights", "overlayd", format!("it does not have {name} (capability {bit})"));
        let why = "Without it interfaces and sockets cannot be made, or other namespaces not be entered.";
        findings.push(finding.why(why).repair(format!("AmbientCapabilities={name} in overlayd.service, or start it as root")));
    }
}

fn tun(findings: &mut Vec<Finding>) {
    if !Path::new("/dev/net/tun").exists() {
        let finding = Finding::new(Severity::Error, "tun", "/dev/net/tun", "it is not there");
        let repair = "modprobe tun; in a container: --device /dev/net/tun";
        findings.push(finding.why("VNICs are TAP interfaces, which are made through it.").repair(repair));
    }
}

fn varpd(paths: &Paths, answerer: &overlay_api::control::Answerer, overlays: &[Overlay], findings: &mut Vec<Finding>) {
    let asking: Vec<_> =
        overlays.iter().filter(|overlay| overlay.search.as_str() != "direct").map(|overlay| overlay.name.as_str()).collect();
    if !answerer.attached && !asking.is_empty() {
        let reason = answerer.reason.as_deref().unwrap_or("no reason is known");
        let found = format!("nobody answers the lookups of {}: {reason}", asking.join(", "));
        let finding = Finding::new(Severity::Error, "varpd", "varpd", found);
        findings.push(finding.why("Destinations that are not known yet are not found.").repair("systemctl start varpd"));
    }
    if answerer.refused > 0 {
        let found = format!("{} connections to the lookup socket were refused", answerer.refused);
        findings.push(Finding::new(Severity::Note, "varpd-refused", "overlayd", found).repair("journalctl -u overlayd says who and why"));
    }
    // Another program may answer in its place, which has no such socket.
    if let Ok(status) = VarpdClient::new(paths).status() {
        version("varpd", &status.version, findings);
    }
    for instance in VarpdClient::new(paths).instances().unwrap_or_default() {
        findings.extend(instance.clashes.map(|clashes| clash(&instance.overlay, &clashes)));
    }
}

/// VNICs that others do not find as this host would have it.
fn clash(overlay: &LinkName, clashes: &Clashes) -> Finding {
    let finding = Finding::new(Severity::Note, "clash", format!("overlay {overlay}"), clashes.to_string());
    let why = "Other hosts go by what the mapping has, not by what this host would write there.";
    finding.why(why).repair(format!("if that is not wanted: overlayadm map list -l {overlay} shows it, overlayadm map delete removes it"))
}

/// Whom varpd runs as, if it runs.
fn varpd_user(paths: &Paths) -> Option<u32> {
    let status = VarpdClient::new(paths).status().ok()?;
    Some(fs::metadata(format!("/proc/{}", status.pid)).ok()?.uid())
}

/// Whoever can write there runs code in varpd; its own user may.
fn plugins(folder: &Path, user: Option<u32>, findings: &mut Vec<Finding>) {
    let Ok(found) = fs::metadata(folder) else { return };
    let writable = found.mode() & 0o022 != 0;
    if writable || (found.uid() != 0 && Some(found.uid()) != user) {
        let found = format!("owner {}, mode {:04o}: others than root and varpd can write there", found.uid(), found.mode() & 0o7777);
        let finding = Finding::new(Severity::Error, "plugins", folder.display().to_string(), found);
        let repair = format!("chown root:root {0} && chmod 755 {0}", folder.display());
        findings.push(finding.why("varpd loads no plugin from there.").repair(repair));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_told_and_the_same_is_not() {
        let mut findings = Vec::new();
        version("varpd", env!("CARGO_PKG_VERSION"), &mut findings);
        assert_eq!(findings, []);
        version("varpd", "0.0.1", &mut findings);
        assert!(findings.len() == 1 && findings[0].found.starts_with("it is of version 0.0.1, this program of "), "{findings:?}");
    }

    #[test]
    fn a_process_without_the_rights_lacks_each_of_them() {
        // This test's own process, which may be root's: what it lacks is what the kernel says.
        let mut findings = Vec::new();
        rights(std::process::id(), true, &mut findings);
        let text = fs::read_to_string("/proc/self/status").unwrap();
        let held = text.lines().find_map(|line| line.strip_prefix("CapEff:")).map(|held| u64::from_str_radix(held.trim(), 16).unwrap());
        let lacks = RIGHTS.iter().filter(|(bit, _)| held.unwrap() & 1 << bit == 0).count();
        assert_eq!(findings.iter().filter(|finding| finding.check == "rights").count(), lacks, "{findings:?}");
        findings.clear();
        rights(u32::MAX, false, &mut findings);
        assert!(findings.len() == 1 && findings[0].severity == Severity::Unknown, "nobody has that number: {findings:?}");
    }

    #[test]
    fn a_folder_that_others_can_write_is_told() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let mut findings = Vec::new();
        plugins(folder.path(), None, &mut findings);
        assert!(findings.len() == 1 && findings[0].found.contains("mode 0777"), "{findings:?}");
        findings.clear();
        plugins(&folder.path().join("none"), None, &mut findings);
        assert_eq!(findings, []);
        // Of a user who is not root: varpd's own, or somebody else.
        let Ok(()) = std::os::unix::fs::chown(folder.path(), Some(4711), None) else { return };
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        plugins(folder.path(), Some(4711), &mut findings);
        assert_eq!(findings, []);
        plugins(folder.path(), Some(4712), &mut findings);
        assert!(findings.len() == 1 && findings[0].found.starts_with("owner 4711"), "{findings:?}");
    }
}
