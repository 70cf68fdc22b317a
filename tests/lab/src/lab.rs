//! A lab that this process built.

use crate::plan::{Addresses, Join, Offloads, Overlay, Plan, SWITCH, host_addresses, host_role, tenant_role};
use crate::process;
use crate::state::{StateFolder, Stored};
use crate::steps::{SYSCTLS, Step};
use crate::{LabError, LabId, Namespace, Owner, need_root, stored, wait_until};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A link comes up within milliseconds; a machine with more work than processors takes longer.
const LINK_CEILING: Duration = Duration::from_secs(10);

/// What is to be built: [`Plan`] in the making. As it starts: two hosts on one veth pair, MTU 1500, all offloads, no overlay.
#[derive(Clone, Debug)]
pub struct Builder {
    plan: Plan,
    join: Option<Join>,
    state: StateFolder,
}

impl Builder {
    /// How many hosts, 1 to 250. Other than two need [`Join::Switch`], which is then the default.
    #[must_use]
    pub fn hosts(mut self, hosts: u16) -> Self {
        self.plan.hosts = hosts;
        self
    }

    /// What is between the hosts.
    #[must_use]
    pub fn join(mut self, join: Join) -> Self {
        self.join = Some(join);
        self
    }

    /// Largest IP packet on the underlay, in bytes. Tenants get what the tunnel leaves of it.
    #[must_use]
    pub fn mtu(mut self, mtu: u32) -> Self {
        self.plan.mtu = mtu;
        self
    }

    /// What the underlay's interfaces do for the stack.
    #[must_use]
    pub fn offloads(mut self, offloads: Offloads) -> Self {
        self.plan.offloads = offloads;
        self
    }

    /// Adds a VNI and its tenants.
    #[must_use]
    pub fn overlay(mut self, overlay: Overlay) -> Self {
        self.plan.overlays.push(overlay);
        self
    }

    /// Where labs keep their files.
    #[must_use]
    pub fn state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.state = StateFolder(folder.into());
        self
    }

    /// The plan as it stands.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let join = self.join.unwrap_or(if self.plan.hosts == 2 { Join::Direct } else { Join::Switch });
        Plan { join, ..self.plan.clone() }
    }

    /// Draws it, before it is built.
    #[must_use]
    pub fn describe(&self) -> String {
        self.plan().describe()
    }

    /// Builds it for this process; dropping the result removes it.
    ///
    /// # Errors
    ///
    /// When the plan is not allowed, this process is not root, or a command fails; nothing is left behind then.
    pub fn build(self) -> Result<Lab, LabError> {
        self.build_for(Owner::this_process())
    }

    /// Builds it to stay until `overlay-lab down NAME`; what it is called then.
    ///
    /// # Errors
    ///
    /// As [`Builder::build`], and when there is a kept lab of this name.
    pub fn build_and_keep(self) -> Result<LabId, LabError> {
        let mut lab = self.build_for(Owner::Kept)?;
        lab.keep = true;
        Ok(lab.id.clone())
    }

    fn build_for(self, owner: Owner) -> Result<Lab, LabError> {
        let plan = self.plan();
        plan.check()?;
        need_root()?;
        let id = LabId { owner, name: plan.name.clone() };
        // A namespace of this name without a folder: a kept lab of another state folder.
        if stored(&self.state)?.iter().any(|lab| lab.id == id) {
            return Err(LabError::Taken(id.label()));
        }
        let folder = self.state.claim(&id, &plan.describe())?;
        // From here on dropping it removes what there is, also after an error half way.
        let lab = Lab::new(plan, id, self.state, &folder);
        lab.construct()?;
        Ok(lab)
    }
}

/// A lab; dropping it kills the processes in it and removes it.
#[derive(Debug)]
pub struct Lab {
    plan: Plan,
    id: LabId,
    state: StateFolder,
    nodes: Vec<Node>,
    keep: bool,
}

/// A host, or a tenant: its namespace, in which things are done, and its addresses.
#[derive(Clone, Debug)]
pub struct Node {
    namespace: Namespace,
    addresses: Addresses,
    adopt: Vec<String>,
}

impl Node {
    /// UL3 of a host, VL3 of a tenant.
    #[must_use]
    pub fn ipv4(&self) -> Ipv4Addr {
        self.addresses.ipv4
    }

    /// UL3 of a host, VL3 of a tenant.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Addr {
        self.addresses.ipv6
    }

    /// Its link-layer address (VL2 of a tenant), in lower case with colons.
    #[must_use]
    pub fn mac(&self) -> &str {
        &self.addresses.mac
    }

    /// Gives this tenant's MAC, addresses, MTU and neighbours to an interface that a program put into its namespace, and renames
    /// it to `t0`. For tenants of [`Overlay::no_tunnel_on`].
    ///
    /// # Errors
    ///
    /// When there is no such interface, or the namespace has a `t0` already.
    pub fn configure(&self, interface: &str) -> Result<(), LabError> {
        let mut lines = vec![format!("link set {interface} down")];
        if interface != "t0" {
            lines.push(format!("link set {interface} name t0"));
        }
        lines.extend(self.adopt.iter().cloned());
        self.ip(&lines)
    }
}

impl Deref for Node {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl Lab {
    /// Starts a plan. A name is a lower-case letter, then letters, digits and underscores, 20 at most; it need not be unique.
    #[must_use]
    pub fn builder(name: &str) -> Builder {
        let plan = Plan { name: name.into(), hosts: 2, mtu: 1500, offloads: Offloads::On, join: Join::Direct, overlays: Vec::new() };
        Builder { plan, join: None, state: StateFolder::default() }
    }

    fn new(plan: Plan, id: LabId, state: StateFolder, folder: &Path) -> Self {
        let node = |role: String, addresses, adopt| Node { namespace: Namespace::new(&id, &role, folder), addresses, adopt };
        let mut nodes: Vec<Node> = (1..=plan.hosts).map(|host| node(host_role(host), host_addresses(host), Vec::new())).collect();
        for overlay in &plan.overlays {
            nodes.extend(overlay.everyone(plan.hosts).map(|(host, tenant, who)| {
                let link = format!("link set t0 address {} mtu {}", who.mac, plan.inner_mtu(overlay));
                let adopt = std::iter::once(link).chain(plan.tenant(overlay, host, &who, "t0")).collect();
                node(tenant_role(host, overlay.vni, tenant), who, adopt)
            }));
        }
        Self { plan, id, state, nodes, keep: false }
    }

    fn construct(&self) -> Result<(), LabError> {
        let roles = self.plan.roles();
        let add: Vec<String> = roles.iter().map(|role| format!("netns add {}", self.id.namespace(role))).collect();
        process::batch("ip", None, &add)?;
        for role in &roles {
            self.namespace(role).sysctl(SYSCTLS)?;
        }
        for step in self.plan.steps(&self.id) {
            match step {
                Step::Ip { role, lines } => self.namespace(&role).ip(&lines)?,
                Step::Bridge { role, lines } => self.namespace(&role).bridge(&lines)?,
                Step::Ethtool { role, arguments } => self.namespace(&role).run("ethtool", &arguments).map(drop)?,
            }
        }
        self.wait_for_links()?;
        self.state.built(&self.id)
    }

    /// A veth pair has a carrier once both ends are up, and the kernel tells bridges of it from a work queue.
    fn wait_for_links(&self) -> Result<(), LabError> {
        self.plan.roles().iter().try_for_each(|role| {
            let namespace = self.id.namespace(role);
            let mut links = Ok(String::new());
            let waited = wait_until("", LINK_CEILING, || {
                links = process::run(Command::new("ip").args(["-n", &namespace, "-o", "link", "show", "up"]));
                links.as_ref().map_or(true, |links| links.lines().all(is_ready))
            });
            let links = links?;
            waited.map_err(|_| LabError::Timeout { what: format!("the links of {namespace}:\n{links}"), ceiling: LINK_CEILING })
        })
    }

    fn namespace(&self, role: &str) -> Namespace {
        Namespace::new(&self.id, role, &self.state.of(&self.id))
    }

    fn node(&self, role: &str) -> &Node {
        let found = self.nodes.iter().find(|node| node.role() == role);
        found.unwrap_or_else(|| panic!("there is no {role} in this lab:\n{}", self.describe()))
    }

    /// A host, numbered from 1.
    ///
    /// # Panics
    ///
    /// When the plan has no such host.
    #[must_use]
    pub fn host(&self, host: u16) -> &Node {
        self.node(&host_role(host))
    }

    /// A tenant of a host; both are numbered from 1.
    ///
    /// # Panics
    ///
    /// When the plan has no such tenant.
    #[must_use]
    pub fn tenant(&self, host: u16, vni: u32, tenant: u16) -> &Node {
        self.node(&tenant_role(host, vni, tenant))
    }

    /// The namespace between the hosts, with port `pN` to host N; `None` on one veth pair.
    #[must_use]
    pub fn switch(&self) -> Option<Namespace> {
        (self.plan.join == Join::Switch).then(|| self.namespace(SWITCH))
    }

    /// What was built.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Which lab this is.
    #[must_use]
    pub fn id(&self) -> &LabId {
        &self.id
    }

    /// Draws it.
    #[must_use]
    pub fn describe(&self) -> String {
        self.plan.describe()
    }

    /// Removes it, as dropping it does, and says what went wrong.
    ///
    /// # Errors
    ///
    /// The first thing that could not be removed.
    pub fn remove(mut self) -> Result<(), LabError> {
        self.keep = true;
        self.remove_now()
    }

    fn remove_now(&self) -> Result<(), LabError> {
        let mine = stored(&self.state)?.into_iter().find(|lab| lab.id == self.id);
        mine.map_or(Ok(()), Stored::remove)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = self.remove_now() {
            complain(&error);
        }
    }
}

/// A line of `ip -o link`; a tunnel and the loopback, which have no carrier to lose, stay UNKNOWN.
fn is_ready(line: &str) -> bool {
    line.contains(" state UP ") || line.contains(" state UNKNOWN ")
}

#[allow(clippy::print_stderr, reason = "Drop can tell nobody else, and a test's reader looks there")]
fn complain(error: &LabError) {
    eprintln!("overlay-lab: {error}");
}
