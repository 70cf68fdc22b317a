//! Who does what was asked? One call each, or a refusal.

use crate::Refusal;
use crate::capture;
use crate::doctor::doctor;
use crate::flags::{Change, Command, CreateOverlay, CreateVnic, Trace};
use crate::map;
use crate::ping::ping;
use crate::show;
use crate::table::printable;
use overlay_api::control::{FrameWords, NewOverlay, NewVnic, ProblemKind, SetProperty, SetTarget, TraceFrame, TraceRequest};
use overlay_api::{LinkName, Paths, nearest, paths};
use overlay_client::{Client, ClientError, VarpdClient};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

/// Does `command`.
pub(crate) fn run(root: Option<PathBuf>, command: Command) -> Result<(), Refusal> {
    let paths = Paths::chosen(root, std::env::var_os(paths::ROOT_VARIABLE));
    let client = Client::overlayd(&paths);
    let mut out = BufWriter::new(io::stdout().lock());
    match command {
        Command::CreateOverlay(new) => drop(client.create_overlay(&new_overlay(new)?)?),
        Command::DeleteOverlay { name } => client.delete_overlay(&name)?,
        Command::ModifyOverlay(modify) => change(&client, &modify.name, modify.change)?,
        Command::ShowOverlay(show) => show::overlays(&client, &VarpdClient::new(&paths), &show, &mut out)?,
        Command::CreateVnic(new) => drop(client.create_vnic(&new_vnic(new))?),
        Command::DeleteVnic { name } => client.delete_vnic(&name)?,
        Command::ShowVnic(show) => show::vnics(&client, &show, &mut out)?,
        Command::SetProp { prop, link } => set(&client, &link, &SetProperty { name: prop.name, value: Some(prop.value) })?,
        Command::ResetProp { prop, link } => set(&client, &link, &SetProperty { name: prop, value: None })?,
        Command::ShowProp(show) => show::properties(&client, &show, &mut out)?,
        Command::Trace(asked) => trace(&client, asked, &mut out)?,
        Command::Doctor(asked) => doctor(&paths, &asked, &mut out)?,
        Command::Map { command } => map::run(&client, command, &mut out)?,
        Command::Ping(asked) => ping(&client, asked, &mut out)?,
    }
    Ok(out.flush()?)
}

fn new_overlay(new: CreateOverlay) -> Result<NewOverlay, Refusal> {
    let mut properties = BTreeMap::new();
    for prop in new.props {
        if properties.contains_key(&prop.name) {
            return Err(Refusal::Usage(format!("property {}: is given twice; once is allowed", prop.name)));
        }
        properties.insert(prop.name, prop.value);
    }
    Ok(NewOverlay {
        name: new.name,
        encapsulation: new.encap,
        search: new.search,
        vnetid: new.vnetid,
        properties,
        temporary: new.temporary,
    })
}

fn new_vnic(new: CreateVnic) -> NewVnic {
    NewVnic {
        name: new.name,
        overlay: new.overlay,
        mac: new.mac,
        mtu: new.mtu.map(|mtu| mtu.0),
        namespace: new.netns,
        temporary: new.temporary,
    }
}

fn change(client: &Client, overlay: &LinkName, change: Change) -> Result<(), ClientError> {
    match change {
        Change { delete: Some(mac), .. } => client.remove_target(overlay, mac),
        Change { set: Some(set), .. } => client.set_target(overlay, set.mac, &SetTarget { to: set.to }),
        Change { .. } => client.flush(overlay).map(drop),
    }
}

/// What a name is the name of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LinkKind {
    /// An overlay.
    Overlay,
    /// A VNIC.
    Vnic,
}

/// What `link` is: overlays and VNICs share their names.
pub(crate) fn kind_of(client: &Client, link: &LinkName) -> Result<LinkKind, Refusal> {
    let known = |answer: Result<(), ClientError>| match answer {
        Ok(()) => Ok(true),
        Err(error) if error.problem().is_some_and(|problem| problem.kind == ProblemKind::Unknown) => Ok(false),
        Err(error) => Err(error),
    };
    if known(client.overlay(link).map(drop))? {
        return Ok(LinkKind::Overlay);
    }
    if known(client.vnic(link).map(drop))? {
        return Ok(LinkKind::Vnic);
    }
    let mut names: Vec<_> = client.overlays()?.into_iter().map(|overlay| overlay.name).collect();
    names.extend(client.vnics()?.into_iter().map(|vnic| vnic.name));
    let hint = nearest(link.as_str(), names.iter().map(LinkName::as_str));
    let hint = hint.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
    Err(Refusal::Failed(format!("link {link}: there is neither an overlay nor a VNIC of that name{hint}")))
}

fn set(client: &Client, link: &LinkName, set: &SetProperty) -> Result<(), Refusal> {
    match kind_of(client, link)? {
        LinkKind::Overlay => client.set_overlay_property(link, set)?,
        LinkKind::Vnic => client.set_vnic_property(link, set)?,
    };
    Ok(())
}

fn trace(client: &Client, asked: Trace, out: &mut dyn Write) -> Result<(), Refusal> {
    if let Some(file) = &asked.pcap {
        return capture::trace(client, &asked.name, asked.vnic, file, asked.json, out);
    }
    let frame = match (asked.frame, asked.dst) {
        (Some(hex), _) => TraceFrame::Hex(hex),
        (None, Some(dst)) => TraceFrame::Words(FrameWords {
            dst,
            src: asked.src,
            ethertype: asked.ethertype.map(|ethertype| ethertype.0),
            vlan: asked.vlan,
            size: asked.size,
        }),
        (None, None) => return Err(Refusal::Usage("--frame, --dst or --pcap is expected".to_owned())),
    };
    let trace = client.trace(&asked.name, &TraceRequest { frame, vnic: asked.vnic })?;
    if asked.json {
        return show::object(out, &trace);
    }
    for step in trace.steps {
        writeln!(out, "{}", printable(step))?;
    }
    writeln!(out, "verdict: {}", printable(trace.verdict.to_string()))?;
    Ok(())
}
