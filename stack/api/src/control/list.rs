//! Which part of the list of overlays or VNICs is wanted, in which order, and has it changed?

use super::{Order, Overlay, Vnic};
use crate::LinkName;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Which part of a list: `GET /v1/overlays?sort=mtu&order=descending&filter=ov&offset=0&limit=10&since=17`, the same for VNICs.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[serde(bound(deserialize = "S: Deserialize<'de> + Default", serialize = "S: Serialize"))]
pub struct ListQuery<S> {
    /// By what to sort; those that are equal are in the order of their names.
    pub sort: S,
    /// In which direction.
    pub order: Order,
    /// Only those whose name contains this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// How many to leave out at the beginning.
    pub offset: usize,
    /// How many at most; none is all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The generation of an earlier answer to the same query: if it still is that, there is nothing to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// A query for overlays.
pub type OverlayQuery = ListQuery<OverlaySort>;
/// A query for VNICs.
pub type VnicQuery = ListQuery<VnicSort>;

/// By what overlays are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlaySort {
    /// The name.
    #[default]
    Name,
    /// The virtual network.
    Vnetid,
    /// The state: those that are up first.
    State,
    /// The MTU.
    Mtu,
    /// How many VNICs it has.
    Vnics,
    /// How many entries its target table has.
    Targets,
    /// Bytes of frames that wait for answers.
    PendingBytes,
    /// Frames that were sent.
    Sent,
    /// Datagrams that were delivered.
    Delivered,
    /// Frames and datagrams that were dropped, for any reason.
    Dropped,
}

/// By what VNICs are sorted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VnicSort {
    /// The name.
    #[default]
    Name,
    /// The overlay that it is on.
    Overlay,
    /// The address.
    Mac,
    /// The MTU.
    Mtu,
    /// The state: those that are up first.
    State,
    /// Frames that it gave.
    FramesIn,
    /// Frames that it took.
    FramesOut,
    /// Frames that were dropped, for any reason.
    Dropped,
}

/// What can be listed.
pub trait Listed {
    /// By what it is sorted.
    type Sort: Copy;

    /// Its name, by which it is told from others.
    fn name(&self) -> &LinkName;

    /// Which of two comes first, where the names do not count.
    fn compare(&self, other: &Self, by: Self::Sort) -> Ordering;

    /// Everything about it but what changes with the traffic: counters, what waits, how long it has been so.
    fn hash_settings(&self, hasher: &mut impl Hasher);
}

/// A part of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part<T> {
    /// A number that is another one when these came, went or changed, but for what changes with the traffic.
    pub generation: u64,
    /// They themselves.
    pub rows: Vec<T>,
}

impl<S: Copy> ListQuery<S> {
    /// That part of `all`, which are in any order.
    #[must_use]
    pub fn part<T: Listed<Sort = S>>(&self, mut all: Vec<T>) -> Part<T> {
        if let Some(filter) = &self.filter {
            all.retain(|one| one.name().as_str().contains(filter.as_str()));
        }
        all.sort_by(|a, b| {
            let order = a.compare(b, self.sort);
            let order = order.then_with(|| a.name().cmp(b.name()));
            if self.order == Order::Descending { order.reverse() } else { order }
        });
        let rows: Vec<T> = all.into_iter().skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).collect();
        let mut hasher = DefaultHasher::new();
        rows.iter().for_each(|row| row.hash_settings(&mut hasher));
        Part { generation: hasher.finish(), rows }
    }
}

impl Listed for Overlay {
    type Sort = OverlaySort;

    fn name(&self) -> &LinkName {
        &self.name
    }

    fn compare(&self, other: &Self, by: OverlaySort) -> Ordering {
        match by {
            OverlaySort::Name => Ordering::Equal,
            OverlaySort::Vnetid => self.vnetid.cmp(&other.vnetid),
            OverlaySort::State => self.state.cmp(&other.state),
            OverlaySort::Mtu => self.mtu.cmp(&other.mtu),
            OverlaySort::Vnics => self.vnics.cmp(&other.vnics),
            OverlaySort::Targets => self.targets.cmp(&other.targets),
            OverlaySort::PendingBytes => self.pending_bytes.cmp(&other.pending_bytes),
            OverlaySort::Sent => self.counters.sent.cmp(&other.counters.sent),
            OverlaySort::Delivered => self.counters.delivered.cmp(&other.counters.delivered),
            OverlaySort::Dropped => self.counters.all_dropped().cmp(&other.counters.all_dropped()),
        }
    }

    fn hash_settings(&self, hasher: &mut impl Hasher) {
        let Self { name, id, encapsulation, search, vnetid, mtu, state, reason, listen, vnics, temporary, .. } = self;
        (name, id, encapsulation, search, vnetid, mtu).hash(hasher);
        (state, reason, listen, vnics, temporary).hash(hasher);
    }
}

impl Listed for Vnic {
    type Sort = VnicSort;

    fn name(&self) -> &LinkName {
        &self.name
    }

    fn compare(&self, other: &Self, by: VnicSort) -> Ordering {
        match by {
            VnicSort::Name => Ordering::Equal,
            VnicSort::Overlay => self.overlay.cmp(&other.overlay),
            VnicSort::Mac => self.mac.cmp(&other.mac),
            VnicSort::Mtu => self.mtu.cmp(&other.mtu),
            VnicSort::State => self.state.cmp(&other.state),
            VnicSort::FramesIn => self.counters.frames_in.cmp(&other.counters.frames_in),
            VnicSort::FramesOut => self.counters.frames_out.cmp(&other.counters.frames_out),
            VnicSort::Dropped => self.counters.all_dropped().cmp(&other.counters.all_dropped()),
        }
    }

    fn hash_settings(&self, hasher: &mut impl Hasher) {
        let Self { name, overlay, mac, mtu, namespace, state, reason, temporary, .. } = self;
        (name, overlay, mac, mtu).hash(hasher);
        (namespace, state, reason, temporary).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Counters, VnicState};

    fn vnic(name: &str, mtu: u32, dropped: u64) -> Vnic {
        Vnic {
            name: name.parse().unwrap(),
            overlay: "ov0".parse().unwrap(),
            mac: overlay_decoder::Mac([2, 0, 0, 0, 0, 1]),
            mtu,
            namespace: None,
            state: VnicState::Up,
            reason: None,
            counters: Counters { drops: [("too-big".to_owned(), dropped)].into(), ..Counters::default() },
            temporary: false,
        }
    }

    fn all() -> Vec<Vnic> {
        vec![vnic("b1", 1400, 7), vnic("a2", 1500, 0), vnic("b0", 1400, 9), vnic("b2", 600, 1)]
    }

    fn names(query: &VnicQuery) -> String {
        query.part(all()).rows.iter().map(|row| row.name.to_string()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_list_is_filtered_sorted_and_cut() {
        assert_eq!(names(&VnicQuery::default()), "a2 b0 b1 b2");
        let b = VnicQuery { filter: Some("b".to_owned()), offset: 1, limit: Some(1), ..VnicQuery::default() };
        assert_eq!(names(&b), "b1");
        assert_eq!(names(&VnicQuery { offset: 7, ..b }), "");
        let by = |sort, order| VnicQuery { sort, order, ..VnicQuery::default() };
        assert_eq!(names(&by(VnicSort::Mtu, Order::Ascending)), "b2 b0 b1 a2");
        assert_eq!(names(&by(VnicSort::Dropped, Order::Descending)), "b0 b1 b2 a2");
        assert_eq!(names(&by(VnicSort::Name, Order::Descending)), "b2 b1 b0 a2");
    }

    #[test]
    fn a_generation_is_another_one_when_something_was_changed_and_not_when_frames_passed() {
        let query = VnicQuery::default();
        let before = query.part(all()).generation;
        let mut other = all();
        other[0].counters.frames_in = 99;
        assert_eq!(query.part(other.clone()).generation, before);
        other[0].mtu = 1300;
        assert_ne!(query.part(other).generation, before);
        assert_ne!(query.part(all().split_off(1)).generation, before);
    }
}
