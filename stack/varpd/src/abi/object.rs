//! How is an instance of a plugin called? Values are made into arguments of C here, and what comes back is read.

use super::Module;
use super::raw::{
    VARPD_ANSWER, VARPD_DESTINATION_IP, VARPD_DESTINATION_IP_PORT, VARPD_PROBLEM_MAX, VARPD_PROXY, VARPD_SAVE_MAX, VARPD_VLAN_NONE,
    proxy_fn, varpd_lookup, varpd_overlay, varpd_vnic,
};
use overlay_api::Lookup;
use overlay_api::channel::{Instance, VnicInfo};
use overlay_decoder::Mac;
use std::ffi::{CString, c_char, c_int, c_void};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An instance of a plugin, until it is dropped, which destroys it.
///
/// Who has it keeps the order and the threads of the header: what takes `&self` and is no lookup comes from one thread.
pub struct Object<'a> {
    module: &'a Module,
    state: *mut c_void,
}

// SAFETY: the state is the plugin's own, and the header says from which threads its calls come.
unsafe impl Send for Object<'_> {}
// SAFETY: the same: lookups come from several threads at once, which the header says.
unsafe impl Sync for Object<'_> {}

/// What a plugin says to a lookup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// It has answered, or will.
    Answer,
    /// The frame is to be read by the host.
    Proxy,
    /// A number that says nothing.
    Other(c_int),
}

impl Module {
    /// An instance with a number; 0 is none.
    ///
    /// # Errors
    /// The plugin's own sentence.
    pub fn create(&self, number: u64, told: &Instance) -> Result<Object<'_>, String> {
        let (name, encapsulation) = (c_text(told.name.as_str()), c_text(told.encapsulation.as_str()));
        let overlay = varpd_overlay {
            size: size_of::<varpd_overlay>() as u32,
            vnetid: told.vnetid.get(),
            name: name.as_ptr(),
            encapsulation: encapsulation.as_ptr(),
            destinations: if told.with_port { VARPD_DESTINATION_IP_PORT } else { VARPD_DESTINATION_IP },
            mtu: told.mtu,
        };
        let mut state = std::ptr::null_mut();
        let create = self.plugin.create.ok_or("it has no call create")?;
        // SAFETY: all pointers are to what outlives the call; the plugin writes within the room that it is told.
        with_problem(|problem, room| unsafe { create(number, &raw const overlay, &raw mut state, problem, room) })?;
        Ok(Object { module: self, state })
    }
}

impl Object<'_> {
    /// Tells it a property.
    ///
    /// # Errors
    /// The plugin's own sentence.
    pub fn set_property(&self, name: &str, value: &str) -> Result<(), String> {
        let Some(set) = self.module.plugin.set_property else { return Ok(()) };
        let (name, value) = (c_text(name), c_text(value));
        // SAFETY: texts that outlive the call, and the room as told.
        with_problem(|problem, room| unsafe { set(self.state, name.as_ptr(), value.as_ptr(), problem, room) })
    }

    /// Gives it what [`save`](Self::save) has kept.
    pub fn restore(&self, bytes: &[u8]) {
        if let Some(restore) = self.module.plugin.restore {
            // SAFETY: the bytes outlive the call.
            unsafe { restore(self.state, bytes.as_ptr(), bytes.len()) }
        }
    }

    /// Lookups come from now on.
    ///
    /// # Errors
    /// The plugin's own sentence.
    pub fn start(&self) -> Result<(), String> {
        let Some(start) = self.module.plugin.start else { return Ok(()) };
        // SAFETY: the room as told.
        with_problem(|problem, room| unsafe { start(self.state, problem, room) })
    }

    /// No lookup comes any more.
    pub fn stop(&self) {
        if let Some(stop) = self.module.plugin.stop {
            // SAFETY: the state is the plugin's own.
            unsafe { stop(self.state) }
        }
    }

    /// Where does this frame go?
    #[must_use]
    pub fn lookup(&self, query: u64, asked: &Lookup, deadline_ms: u64) -> Said {
        let Some(lookup) = self.module.plugin.lookup else { return Said::Other(-1) };
        let question = &asked.question;
        let arguments = varpd_lookup {
            size: size_of::<varpd_lookup>() as u32,
            vnetid: asked.vni.get(),
            source: question.source.0,
            destination: question.destination.0,
            ethertype: question.ethertype,
            vlan: question.vlan.unwrap_or(VARPD_VLAN_NONE),
            length: question.len,
            frame_length: asked.frame.len() as u32,
            frame: asked.frame.as_ptr(),
            deadline_ms,
        };
        // SAFETY: the frame outlives the call.
        match unsafe { lookup(self.state, query, &raw const arguments) } {
            VARPD_ANSWER => Said::Answer,
            VARPD_PROXY => Said::Proxy,
            other => Said::Other(other),
        }
    }

    /// Whose inner address is this?
    #[must_use]
    pub fn arp(&self, ip: Ipv4Addr) -> Option<Mac> {
        self.asked(self.module.plugin.arp, &ip.octets())
    }

    /// The same of IPv6.
    #[must_use]
    pub fn ndp(&self, ip: Ipv6Addr) -> Option<Mac> {
        self.asked(self.module.plugin.ndp, &ip.octets())
    }

    /// Which server has this DHCP client?
    #[must_use]
    pub fn dhcp(&self, client: Mac) -> Option<Mac> {
        self.asked(self.module.plugin.dhcp, &client.0)
    }

    fn asked(&self, call: Option<proxy_fn>, about: &[u8]) -> Option<Mac> {
        let mut mac = [0; 6];
        // SAFETY: as many bytes as the header says of the call, and six to be written.
        let known = unsafe { call?(self.state, about.as_ptr(), mac.as_mut_ptr()) } == 1;
        // Nobody has the address of a group, or none.
        Some(Mac(mac)).filter(|mac| known && !mac.is_group() && *mac != Mac::default())
    }

    /// A VNIC came or went.
    pub fn vnic(&self, vnic: &VnicInfo, there: bool) {
        let plugin = &self.module.plugin;
        let Some(call) = (if there { plugin.vnic_added } else { plugin.vnic_removed }) else { return };
        let name = c_text(vnic.name.as_str());
        let vnic = varpd_vnic { size: size_of::<varpd_vnic>() as u32, mac: vnic.mac.0, zero: 0, name: name.as_ptr() };
        // SAFETY: the name outlives the call.
        unsafe { call(self.state, &raw const vnic) }
    }

    /// What it wants to be given after a restart; empty is nothing. None of a plugin that has no such call.
    #[must_use]
    pub fn save(&self) -> Option<Vec<u8>> {
        let save = self.module.plugin.save?;
        let mut bytes = vec![0; VARPD_SAVE_MAX];
        // SAFETY: the room as told.
        let length = unsafe { save(self.state, bytes.as_mut_ptr(), bytes.len()) };
        bytes.truncate(length);
        Some(bytes)
    }
}

impl Drop for Object<'_> {
    fn drop(&mut self) {
        if let Some(destroy) = self.module.plugin.destroy {
            // SAFETY: the state is the plugin's own, and is not used after this.
            unsafe { destroy(self.state) }
        }
    }
}

/// A text for C. What has a NUL in it is no name and no value: it ends there.
fn c_text(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(text.get(..end).unwrap_or("")).unwrap_or_default()
}

/// Calls something that may write why it fails.
fn with_problem(call: impl FnOnce(*mut c_char, usize) -> c_int) -> Result<(), String> {
    let mut problem = [0_u8; VARPD_PROBLEM_MAX];
    let failed = call(problem.as_mut_ptr().cast(), problem.len());
    if failed == 0 {
        return Ok(());
    }
    let end = problem.iter().position(|byte| *byte == 0).unwrap_or(problem.len());
    let text = shown(problem.get(..end).unwrap_or(&[]));
    Err(if text.is_empty() { format!("it says {failed} and does not say why") } else { text })
}

/// What somebody else wrote, for a person to read: one line, without what terminals take for orders.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
