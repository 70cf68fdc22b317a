//! Which network is meant, and where is its store? As typed, or as an overlay of this host has it.

use super::flags::Network;
use crate::Refusal;
use overlay_api::ParseError;
use overlay_api::mapping::Mapping;
use overlay_client::Client;
use overlay_decoder::Vni;
use std::collections::BTreeMap;

/// The plugin whose overlays have their mapping in the store.
const ETCD: &str = "etcd";

/// A network in a store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Which.
    pub(crate) vnetid: Vni,
    /// Whether its destinations have a port, if that is known.
    pub(crate) with_port: Option<bool>,
    /// Where its store is: values by the plugin's names for them, without `etcd/`.
    pub(crate) settings: BTreeMap<String, String>,
}

impl Place {
    /// The place that was typed; what was not typed is the overlay's, if one was.
    pub(crate) fn find(client: &Client, network: Network) -> Result<Self, Refusal> {
        let Network { vnetid, overlay, endpoints, prefix, user, password_file, ca, cert, key } = network;
        let mut place = match (vnetid, overlay) {
            (Some(vnetid), _) => Self { vnetid, with_port: None, settings: BTreeMap::new() },
            (None, Some(name)) => {
                let overlay = client.overlay(&name)?;
                if overlay.search.as_str() != ETCD {
                    let search = &overlay.search;
                    return Err(Refusal::Failed(format!(
                        "overlay {name}: was made with -s {search}; one with -s {ETCD} has its mapping in a store"
                    )));
                }
                let of_etcd = |property: overlay_api::control::Property| {
                    let name = property.name.strip_prefix("etcd/")?.to_owned();
                    Some((name, property.value?))
                };
                let settings = client.overlay_properties(&name)?.into_iter().filter_map(of_etcd).collect();
                Self { vnetid: overlay.vnetid, with_port: Some(overlay.encapsulation.as_str() != "nvgre"), settings }
            }
            (None, None) => return Err(Refusal::Usage("-v VNETID or -l OVERLAY is expected".to_owned())),
        };
        let paths = [("password_file", password_file), ("ca", ca), ("cert", cert), ("key", key)];
        let paths = paths.into_iter().filter_map(|(name, path)| Some((name, path?.display().to_string())));
        let words = [("endpoints", endpoints), ("prefix", prefix), ("user", user)];
        let words = words.into_iter().filter_map(|(name, word)| Some((name, word?)));
        place.settings.extend(paths.chain(words).filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), value)));
        Ok(place)
    }

    /// Checks that each destination has what the overlay's encapsulation needs, if that is known.
    pub(crate) fn check(&self, mapping: &Mapping) -> Result<(), ParseError> {
        self.with_port.map_or(Ok(()), |with_port| mapping.check(with_port))
    }
}
