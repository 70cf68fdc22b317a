// varpd_plugin.h for Rust: the same names, layouts and numbers. What each means, who calls it from which thread and what belongs to whom is
// said there. A plugin takes this file in with #[path = ".."] mod varpd_plugin; varpd does, too. License: MIT OR Apache-2.0.
#![allow(non_camel_case_types, missing_docs, dead_code, reason = "the names are those of the header, which says what they mean")]

use std::ffi::{c_char, c_int, c_void};

pub const VARPD_PLUGIN_VERSION: u32 = 1;

pub const VARPD_OK: c_int = 0;
pub const VARPD_CLOSED: c_int = -1;
pub const VARPD_INVALID: c_int = -2;
pub const VARPD_UNKNOWN: c_int = -3;

pub const VARPD_ANSWER: c_int = 0;
pub const VARPD_PROXY: c_int = 1;

pub const VARPD_DESTINATION_IP: u32 = 1;
pub const VARPD_DESTINATION_IP_PORT: u32 = 2;

pub const VARPD_UINT: u32 = 1;
pub const VARPD_IP: u32 = 2;
pub const VARPD_CHOICE: u32 = 3;
pub const VARPD_TEXT: u32 = 4;

pub const VARPD_ERROR: c_int = 3;
pub const VARPD_WARN: c_int = 4;
pub const VARPD_INFO: c_int = 6;
pub const VARPD_DEBUG: c_int = 7;

pub const VARPD_TTL_DEFAULT: u64 = u64::MAX;
pub const VARPD_VLAN_NONE: u16 = 0xffff;
pub const VARPD_DESTINATIONS_MAX: usize = 256;
pub const VARPD_PROBLEM_MAX: usize = 512;
pub const VARPD_SAVE_MAX: usize = 1_048_576;

pub type varpd_instance = u64;
pub type varpd_query = u64;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct varpd_ul3 {
    pub ip: [u8; 16],
    pub port: u16,
    pub zero: u16,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct varpd_property {
    pub size: u32,
    pub kind: u32,
    pub name: *const c_char,
    pub doc: *const c_char,
    pub default_value: *const c_char,
    pub choices: *const c_char,
    pub min: u64,
    pub max: u64,
    pub required: u32,
    pub zero: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct varpd_overlay {
    pub size: u32,
    pub vnetid: u32,
    pub name: *const c_char,
    pub encapsulation: *const c_char,
    pub destinations: u32,
    pub mtu: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct varpd_vnic {
    pub size: u32,
    pub mac: [u8; 6],
    pub zero: u16,
    pub name: *const c_char,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct varpd_lookup {
    pub size: u32,
    pub vnetid: u32,
    pub source: [u8; 6],
    pub destination: [u8; 6],
    pub ethertype: u16,
    pub vlan: u16,
    pub length: u32,
    pub frame_length: u32,
    pub frame: *const u8,
    pub deadline_ms: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct varpd_host {
    pub size: u32,
    pub version: u32,
    pub reply_reach: unsafe extern "C" fn(varpd_query, *const varpd_ul3, usize, u64) -> c_int,
    pub reply_drop: unsafe extern "C" fn(varpd_query, u64) -> c_int,
    pub reply_inject: unsafe extern "C" fn(varpd_query, *const u8, usize) -> c_int,
    pub reply_resend: unsafe extern "C" fn(varpd_query, *const u8, usize) -> c_int,
    pub inject: unsafe extern "C" fn(varpd_instance, *const u8, usize) -> c_int,
    pub resend: unsafe extern "C" fn(varpd_instance, *const u8, usize) -> c_int,
    pub set_target: unsafe extern "C" fn(varpd_instance, *const u8, *const varpd_ul3, usize, u64) -> c_int,
    pub invalidate: unsafe extern "C" fn(varpd_instance, *const u8) -> c_int,
    pub flush: unsafe extern "C" fn(varpd_instance) -> c_int,
    pub degrade: unsafe extern "C" fn(varpd_instance, *const c_char) -> c_int,
    pub restore: unsafe extern "C" fn(varpd_instance) -> c_int,
    pub log: unsafe extern "C" fn(varpd_instance, c_int, *const c_char),
    pub vnetid: unsafe extern "C" fn(varpd_instance, *mut u32) -> c_int,
}

pub type create_fn = unsafe extern "C" fn(varpd_instance, *const varpd_overlay, *mut *mut c_void, *mut c_char, usize) -> c_int;
pub type set_property_fn = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, *mut c_char, usize) -> c_int;
pub type restore_fn = unsafe extern "C" fn(*mut c_void, *const u8, usize);
pub type start_fn = unsafe extern "C" fn(*mut c_void, *mut c_char, usize) -> c_int;
pub type end_fn = unsafe extern "C" fn(*mut c_void);
pub type lookup_fn = unsafe extern "C" fn(*mut c_void, varpd_query, *const varpd_lookup) -> c_int;
pub type proxy_fn = unsafe extern "C" fn(*mut c_void, *const u8, *mut u8) -> c_int;
pub type vnic_fn = unsafe extern "C" fn(*mut c_void, *const varpd_vnic);
pub type save_fn = unsafe extern "C" fn(*mut c_void, *mut u8, usize) -> usize;

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct varpd_plugin {
    pub size: u32,
    pub version: u32,
    pub name: *const c_char,
    pub destinations: u32,
    pub property_count: u32,
    pub properties: *const varpd_property,
    pub create: Option<create_fn>,
    pub set_property: Option<set_property_fn>,
    pub restore: Option<restore_fn>,
    pub start: Option<start_fn>,
    pub stop: Option<end_fn>,
    pub destroy: Option<end_fn>,
    pub lookup: Option<lookup_fn>,
    pub arp: Option<proxy_fn>,
    pub ndp: Option<proxy_fn>,
    pub dhcp: Option<proxy_fn>,
    pub vnic_added: Option<vnic_fn>,
    pub vnic_removed: Option<vnic_fn>,
    pub save: Option<save_fn>,
}

pub type varpd_plugin_register_fn = unsafe extern "C" fn(*const varpd_host) -> *const varpd_plugin;

// SAFETY: what a plugin declares is constant: the header demands it. Host calls may be made from every thread.
unsafe impl Sync for varpd_plugin {}
// SAFETY: the same.
unsafe impl Sync for varpd_property {}

impl varpd_property {
    /// Nothing is declared yet but the size.
    pub const NONE: Self = Self {
        size: size_of::<Self>() as u32,
        kind: 0,
        name: std::ptr::null(),
        doc: std::ptr::null(),
        default_value: std::ptr::null(),
        choices: std::ptr::null(),
        min: 0,
        max: 0,
        required: 0,
        zero: 0,
    };
}

impl varpd_plugin {
    /// Nothing is declared yet but the size and the version.
    pub const NONE: Self = Self {
        size: size_of::<Self>() as u32,
        version: VARPD_PLUGIN_VERSION,
        name: std::ptr::null(),
        destinations: 0,
        property_count: 0,
        properties: std::ptr::null(),
        create: None,
        set_property: None,
        restore: None,
        start: None,
        stop: None,
        destroy: None,
        lookup: None,
        arp: None,
        ndp: None,
        dhcp: None,
        vnic_added: None,
        vnic_removed: None,
        save: None,
    };
}
