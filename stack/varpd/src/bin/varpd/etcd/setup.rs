//! Which store, which keys, and who asks? The properties of an instance.

use overlay_api::channel::{Declaration, DeclaredKind, Instance};
use overlay_decoder::Vni;
use overlay_etcd::{Config, ENDPOINT, Layout, PREFIX, endpoints, password};
use std::path::{Path, PathBuf};

const ENDPOINTS: &str = "etcd/endpoints";
const PREFIX_NAME: &str = "etcd/prefix";
const USER: &str = "etcd/user";
const PASSWORD_FILE: &str = "etcd/password_file";
const CA: &str = "etcd/ca";
const CERT: &str = "etcd/cert";
const KEY: &str = "etcd/key";
const CACHE: &str = "etcd/cache";
const REGISTER: &str = "etcd/register";

/// Longest value in bytes.
const TEXT_MAX: usize = 255;

/// What an instance follows.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) config: Config,
    pub(super) layout: Layout,
    pub(super) vnet: Vni,
    /// The file with what was known last; none if none is wanted.
    pub(super) snapshot: Option<PathBuf>,
    /// Whether the host's own VNICs are written into the store.
    pub(super) registers: bool,
}

/// The properties.
pub(super) fn declarations() -> Vec<Declaration> {
    let text = |name: &str, default: Option<&str>, doc: &str| Declaration {
        name: name.to_owned(),
        kind: DeclaredKind::Text { max: TEXT_MAX },
        required: false,
        default: default.map(str::to_owned),
        doc: doc.to_owned(),
    };
    let switch = |name: &str, default: &str, doc: &str| Declaration {
        name: name.to_owned(),
        kind: DeclaredKind::Choice { words: vec!["on".to_owned(), "off".to_owned()] },
        required: false,
        default: Some(default.to_owned()),
        doc: doc.to_owned(),
    };
    vec![
        text(ENDPOINTS, Some(ENDPOINT), "Members of the store's cluster: http://HOST:PORT or https://HOST:PORT, separated by commas."),
        text(PREFIX_NAME, Some(PREFIX), "What stands in front of all keys."),
        text(USER, None, "The user that the store knows us as."),
        text(PASSWORD_FILE, None, "A file with the user's password: an absolute path; the password is its first line."),
        text(CA, None, "A file with the authorities that sign the store's certificate, PEM: an absolute path. https needs it."),
        text(CERT, None, "A file with our own certificate, PEM: an absolute path; with etcd/key."),
        text(KEY, None, "A file with the key of our certificate, PEM: an absolute path."),
        switch(CACHE, "on", "Whether what was known last is kept on disk, for a start while the store is away."),
        // A network of hosts that register themselves needs no mapping by hand. Who may not write is told so once, and reads on.
        switch(
            REGISTER,
            "on",
            "Whether this host's VNICs are written into the store, under a lease, with the inner addresses that they are heard to have.",
        ),
    ]
}

impl Setup {
    /// What the properties say; snapshots are in `cache`.
    ///
    /// # Errors
    /// A sentence: which property, what was found, what is allowed.
    pub(super) fn of(instance: &Instance, cache: &Path) -> Result<Self, String> {
        let text = |name: &str| instance.properties.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let path = |name: &str| match text(name).map(Path::new) {
            Some(path) if !path.is_absolute() => {
                let shown = path.display();
                Err(format!("property {name}: \"{shown}\" is not allowed; an absolute path is, because varpd runs in no folder of yours"))
            }
            other => Ok(other.map(Path::to_owned)),
        };
        let endpoints = endpoints(text(ENDPOINTS).unwrap_or(ENDPOINT));
        let layout = Layout::new(text(PREFIX_NAME).unwrap_or(PREFIX)).map_err(|why| format!("property {PREFIX_NAME}: {why}"))?;
        let password =
            path(PASSWORD_FILE)?.map(|path| password(&path)).transpose().map_err(|error| format!("property {PASSWORD_FILE}: {error}"))?;
        let user = text(USER).map(str::to_owned);
        if user.is_some() != password.is_some() {
            return Err(format!("properties {USER} and {PASSWORD_FILE}: one is set and the other is not; both are needed, or none"));
        }
        let config = Config { endpoints, user, password, ca: path(CA)?, cert: path(CERT)?, key: path(KEY)? };
        config.check().map_err(|error| format!("properties etcd/*: {error}"))?;
        let wanted = text(CACHE) != Some("off");
        let snapshot = wanted.then(|| cache.join(format!("etcd-{}.snapshot", instance.name)));
        let registers = text(REGISTER) != Some("off");
        Ok(Self { config, layout, vnet: instance.vnetid, snapshot, registers })
    }
}
