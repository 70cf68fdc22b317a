//! Who asks what of varpd itself? `docs/varpd-api.md` in code: instances, plugins, numbers, how much is logged.

use crate::Varpd;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use overlay_api::LinkName;
use overlay_api::channel::Declaration;
use overlay_api::control::{
    InstanceCounters, InstanceState, InstanceStatus, LogSettings, PluginStatus, Problem, Timestamp, VarpdEvent, VarpdHappening, VarpdStatus,
};
use overlay_serve::{Answered, ApiThread, Call, ControlSocket, Json, Named, Operator, Page, Route, Shared, lines, ok, page, with_refusals};
use overlay_varpd::instances::{Instances, Running, Stage};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

/// The paths and their methods. `docs/varpd-api.md` has the same; a test sees to both.
const ROUTES: &[Route] = &[
    ("/v1/status", &["GET"]),
    ("/v1/plugins", &["GET"]),
    ("/v1/instances", &["GET"]),
    ("/v1/instances/{name}", &["GET"]),
    ("/v1/instances/{name}/reload", &["POST"]),
    ("/v1/log", &["GET", "PUT"]),
    ("/v1/events", &["GET"]),
    ("/metrics", &["GET"]),
];

/// What the calls are about.
struct Shown {
    varpd: Arc<Varpd>,
    since: Timestamp,
}

type Api = State<Shared<Shown>>;

/// Answers calls from now on.
///
/// # Errors
/// The system has no thread or no descriptor left.
pub(crate) fn start(socket: ControlSocket, varpd: &Arc<Varpd>) -> io::Result<ApiThread> {
    let shown = Shown { varpd: Arc::clone(varpd), since: SystemTime::now().into() };
    overlay_serve::start(socket, Arc::new(shown), router, called)
}

/// A call was answered.
fn called(call: &Call<'_>) {
    let ns = u64::try_from(call.took.as_nanos()).unwrap_or(u64::MAX);
    overlay_probes::varpd::control_call(call.pid.unwrap_or(0), call.uid, call.status.as_u16(), ns, call.method, call.path);
}

fn router(api: Shared<Shown>) -> Router {
    let router = Router::new()
        .route("/v1/status", get(status))
        .route("/v1/plugins", get(plugins))
        .route("/v1/instances", get(instances))
        .route("/v1/instances/{name}", get(instance))
        .route("/v1/instances/{name}/reload", post(reload))
        .route("/v1/log", get(log).put(set_log))
        .route("/v1/events", get(events))
        .route("/metrics", get(metrics));
    with_refusals(router, ROUTES).with_state(api)
}

impl Shown {
    fn instances(&self) -> Vec<InstanceStatus> {
        self.varpd.instances().iter().map(|running| self.instance(running)).collect()
    }

    fn instance(&self, running: &Running) -> InstanceStatus {
        let (told, host) = (running.instance(), running.host());
        let reason = host.degraded();
        let state = match (running.stage(), &reason) {
            (Stage::Starting, _) => InstanceState::Starting,
            (Stage::Failed, _) => InstanceState::Failed,
            (Stage::Started, Some(_)) => InstanceState::Degraded,
            (Stage::Started, None) => InstanceState::Up,
        };
        let counters = host.counters();
        InstanceStatus {
            overlay: told.name.clone(),
            plugin: told.search.clone(),
            encapsulation: told.encapsulation.clone(),
            vnetid: told.vnetid,
            state,
            since: self.varpd.journal.since(&told.name),
            reason,
            properties: told.properties.clone(),
            vnics: told.vnics.clone(),
            entries: running.answerer().and_then(|answerer| answerer.entries()),
            clashes: host.clashes(),
            counters: InstanceCounters {
                lookups: counters.lookups.load(Relaxed),
                reached: counters.reached.load(Relaxed),
                dropped: counters.dropped.load(Relaxed),
                injected: counters.injected.load(Relaxed),
                resent: counters.resent.load(Relaxed),
                abandoned: counters.abandoned.load(Relaxed),
                missing: counters.missing.load(Relaxed),
                late: counters.late.load(Relaxed),
            },
        }
    }

    /// One of them.
    fn named<'a>(&self, instances: &'a Instances, name: &LinkName) -> Result<&'a Running, Problem> {
        let names = instances.iter().map(|running| running.instance().name.as_str());
        instances.get(name).ok_or_else(|| Problem::unknown("instance", name.as_str(), names))
    }

    fn status(&self, instances: &[InstanceStatus], refused_calls: u64) -> VarpdStatus {
        VarpdStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: self.since,
            overlayd: self.varpd.link.shown(),
            instances: instances.len(),
            degraded: instances.iter().filter(|instance| instance.state != InstanceState::Up).count(),
            log: self.varpd.log.level(),
            refused_calls,
        }
    }
}

async fn status(State(api): Api) -> Answered {
    ok(&api.rooms.status(&api.rooms.instances(), api.refused()))
}

async fn plugins(State(api): Api) -> Answered {
    let mut all: Vec<PluginStatus> = api.rooms.varpd.instances().plugins().map(PluginStatus::from).collect();
    // Overlayd knows the one destination itself.
    if let Ok(name) = "direct".parse() {
        let properties: Vec<Declaration> = Vec::new();
        all.push(PluginStatus { name, in_overlayd: true, with_port: true, without_port: true, properties });
    }
    all.sort_by(|one, other| one.name.cmp(&other.name));
    ok(&all)
}

async fn instances(State(api): Api) -> Answered {
    ok(&api.rooms.instances())
}

async fn instance(State(api): Api, Named(name): Named) -> Answered {
    let shown = {
        let instances = api.rooms.varpd.instances();
        api.rooms.instance(api.rooms.named(&instances, &name)?)
    };
    ok(&shown)
}

async fn reload(_: Operator, State(api): Api, Named(name): Named) -> Answered {
    let answerer = {
        let instances = api.rooms.varpd.instances();
        let running = api.rooms.named(&instances, &name)?;
        running.answerer().cloned().ok_or_else(|| {
            let reason = running.host().degraded().unwrap_or_else(|| "is being started".to_owned());
            Problem::clash(format_args!("instance {name}: {reason}"))
        })?
    };
    // A file of many megabytes takes its time, and others call meanwhile.
    let reloaded = tokio::task::spawn_blocking(move || answerer.reload()).await;
    let reloaded = reloaded.map_err(Problem::failed)?;
    reloaded.map_err(|problem| Problem::clash(format_args!("instance {name}: {problem}")))?;
    instance(State(api), Named(name)).await
}

async fn log(State(api): Api) -> Answered {
    ok(&LogSettings { level: api.rooms.varpd.log.level() })
}

async fn set_log(_: Operator, State(api): Api, Json(settings): Json<LogSettings>) -> Answered {
    let varpd = &api.rooms.varpd;
    varpd.log.set_level(settings.level).map_err(Problem::failed)?;
    varpd.journal.tell(VarpdHappening::Log { level: settings.level });
    ok(&settings)
}

async fn events(State(api): Api) -> Response {
    let missed = |missed| VarpdEvent { timestamp: SystemTime::now().into(), what: VarpdHappening::Missed { missed } };
    lines(&api, api.rooms.varpd.journal.listen(), missed)
}

async fn metrics(State(api): Api) -> Response {
    let instances = api.rooms.instances();
    page(numbers(&api.rooms.status(&instances, api.refused()), &instances))
}

/// The same numbers for Prometheus.
fn numbers(status: &VarpdStatus, instances: &[InstanceStatus]) -> Page {
    let mut page = Page::default();
    page.gauge("varpd_info", "Always 1; the version is a label.");
    page.sample("varpd_info", &[("version", &status.version)], 1);
    page.gauge("varpd_start_time_seconds", "When the daemon started, in seconds since 1970.");
    page.sample("varpd_start_time_seconds", &[], status.since);
    page.gauge("varpd_overlayd_connected", "Whether there is a connection to overlayd.");
    page.sample("varpd_overlayd_connected", &[], u8::from(status.overlayd.connected));
    page.counter("varpd_connections_total", "Connections to overlayd that there have been.");
    page.sample("varpd_connections_total", &[], status.overlayd.connections);
    page.counter("varpd_refused_calls_total", "Calls that were refused because whoever made them may not change anything.");
    page.sample("varpd_refused_calls_total", &[], status.refused_calls);
    let vnis: BTreeMap<_, _> = instances.iter().map(|instance| (&instance.overlay, instance.vnetid.to_string())).collect();
    let labels = |instance: &InstanceStatus| {
        let vni = vnis.get(&instance.overlay).cloned().unwrap_or_default();
        [("overlay", instance.overlay.to_string()), ("plugin", instance.plugin.to_string()), ("vni", vni)]
    };
    page.gauge("varpd_instance_state", "1 for the state that the instance is in, 0 for the others.");
    for instance in instances {
        let own = labels(instance);
        for state in InstanceState::ALL {
            let all: Vec<_> = own.iter().map(|(name, text)| (*name, text.as_str())).chain([("state", state.name())]).collect();
            page.sample("varpd_instance_state", &all, u8::from(instance.state == state));
        }
    }
    page.gauge("varpd_instance_entries", "Destinations that the instance knows.");
    for (instance, entries) in instances.iter().filter_map(|instance| Some((instance, instance.entries?))) {
        page.sample("varpd_instance_entries", &labels(instance).each_ref().map(|(name, text)| (*name, text.as_str())), entries);
    }
    page.gauge("varpd_instance_clashes", "VNICs that are not registered as they should, because somebody else's entry stands in the way.");
    for instance in instances {
        let clashes = instance.clashes.as_ref().map_or(0, |clashes| clashes.count);
        page.sample("varpd_instance_clashes", &labels(instance).each_ref().map(|(name, text)| (*name, text.as_str())), clashes);
    }
    for (counter, help) in InstanceCounters::NAMES {
        let name = format!("varpd_instance_{counter}_total");
        page.counter(&name, help);
        for instance in instances {
            let value = instance.counters.iter().find(|(found, _)| found == counter).map_or(0, |(_, value)| value);
            page.sample(&name, &labels(instance).each_ref().map(|(name, text)| (*name, text.as_str())), value);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlay_api::control::Clashes;

    #[test]
    fn the_documentation_has_the_routes_that_there_are() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/varpd-api.md")).unwrap();
        let shown: Vec<String> = page.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned())).collect();
        let shown: Vec<&str> = shown.iter().map(String::as_str).filter(|call| call.contains(" /")).collect();
        let routes: Vec<String> =
            ROUTES.iter().flat_map(|(path, methods)| methods.iter().map(move |method| format!("{method} {path}"))).collect();
        assert_eq!(shown, routes);
    }

    #[test]
    fn every_number_of_an_instance_has_its_line() {
        let counters = InstanceCounters { reached: 7, ..InstanceCounters::default() };
        let instance = InstanceStatus {
            overlay: "ov0".parse().unwrap(),
            plugin: "files".parse().unwrap(),
            encapsulation: "vxlan".parse().unwrap(),
            vnetid: "77".parse().unwrap(),
            state: InstanceState::Degraded,
            since: Timestamp::default(),
            reason: Some("why".to_owned()),
            properties: BTreeMap::new(),
            vnics: Vec::new(),
            entries: Some(3),
            clashes: Some(Clashes { count: 2, key: "/overlay/v1/vnets/77/vl3/10.0.0.1".to_owned(), why: "why".to_owned() }),
            counters,
        };
        let status = VarpdStatus {
            version: "1".to_owned(),
            pid: 1,
            since: Timestamp::default(),
            overlayd: overlay_api::control::OverlaydLink::default(),
            instances: 1,
            degraded: 1,
            log: overlay_api::control::LogLevel::Info,
            refused_calls: 0,
        };
        let text = numbers(&status, &[instance]).into_text();
        let labels = "{overlay=\"ov0\",plugin=\"files\",vni=\"77\"";
        for line in [
            format!("varpd_instance_state{labels},state=\"degraded\"}} 1"),
            format!("varpd_instance_state{labels},state=\"up\"}} 0"),
            format!("varpd_instance_entries{labels}}} 3"),
            format!("varpd_instance_clashes{labels}}} 2"),
            format!("varpd_instance_reached_total{labels}}} 7"),
            format!("varpd_instance_missing_total{labels}}} 0"),
            "varpd_overlayd_connected 0".to_owned(),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
