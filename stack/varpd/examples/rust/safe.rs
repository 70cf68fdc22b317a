//! A plugin without `unsafe`: a trait, and what makes the calls of `varpd_plugin.h` of it. For plugins that know their answers at once.

use super::abi::*;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::SocketAddr;
use std::sync::OnceLock;

/// An instance.
pub trait Plugin: Default + Send + Sync {
    /// A property was set; or why it cannot be.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String>;
    /// Where does this frame go?
    fn lookup(&self, asked: &Asked<'_>) -> Reply;
}

/// A lookup.
pub struct Asked<'a> {
    pub ethertype: u16,
    pub destination: [u8; 6],
    pub frame: &'a [u8],
}

/// An answer; it holds as long as the overlay has it.
pub enum Reply {
    Reach(SocketAddr),
    Drop,
    Inject(Vec<u8>),
    Resend(Vec<u8>),
}

/// Varpd's calls: one plugin in a process, and so one of these.
static HOST: OnceLock<varpd_host> = OnceLock::new();

/// A declaration whose calls are those of `P`; name, destinations and properties are to be added.
pub const fn plugin<P: Plugin>() -> varpd_plugin {
    varpd_plugin {
        create: Some(create::<P>),
        set_property: Some(set::<P>),
        destroy: Some(destroy::<P>),
        lookup: Some(lookup::<P>),
        ..varpd_plugin::NONE
    }
}

/// To be called by `varpd_plugin_register`. Refuses a varpd that is older than this file.
///
/// # Safety
/// `host` is what that was given.
pub unsafe fn register(host: *const varpd_host, plugin: &'static varpd_plugin) -> *const varpd_plugin {
    // SAFETY: the caller's promise; every version begins with these two numbers.
    let (size, version) = unsafe { ((*host).size, (*host).version) };
    if version != VARPD_PLUGIN_VERSION || (size as usize) < size_of::<varpd_host>() {
        return std::ptr::null();
    }
    // SAFETY: it has as many bytes as were looked for; varpd's calls are valid as long as the process.
    HOST.get_or_init(|| unsafe { *host });
    plugin
}

unsafe extern "C" fn create<P: Plugin>(
    _: varpd_instance,
    _: *const varpd_overlay,
    state: *mut *mut c_void,
    _: *mut c_char,
    _: usize,
) -> c_int {
    // SAFETY: there is room for a pointer, which destroy gets back.
    unsafe { state.write(Box::into_raw(Box::<P>::default()).cast()) };
    VARPD_OK
}

unsafe extern "C" fn set<P: Plugin>(state: *mut c_void, name: *const c_char, value: *const c_char, why: *mut c_char, room: usize) -> c_int {
    // SAFETY: the state is create's, and nobody else's before start; the others are texts that outlive the call.
    let (state, name, value) = unsafe { (&mut *state.cast::<P>(), CStr::from_ptr(name), CStr::from_ptr(value)) };
    let Err(problem) = state.set(&name.to_string_lossy(), &value.to_string_lossy()) else { return VARPD_OK };
    let length = problem.len().min(room.saturating_sub(1));
    // SAFETY: there is room for `room` bytes, and the last of them was zero.
    unsafe { why.cast::<u8>().copy_from_nonoverlapping(problem.as_ptr(), length) };
    VARPD_INVALID
}

unsafe extern "C" fn destroy<P: Plugin>(state: *mut c_void) {
    // SAFETY: it is create's, and this is its last use.
    drop(unsafe { Box::from_raw(state.cast::<P>()) });
}

unsafe extern "C" fn lookup<P: Plugin>(state: *mut c_void, query: varpd_query, asked: *const varpd_lookup) -> c_int {
    let Some(host) = HOST.get() else { return VARPD_INVALID };
    // SAFETY: the state is create's, and is only read between start and stop; what is asked outlives the call.
    let (state, asked) = unsafe { (&*state.cast::<P>(), &*asked) };
    // SAFETY: the frame has that many bytes; the pointer of an empty one need not be any.
    let frame = if asked.frame_length == 0 { &[] } else { unsafe { std::slice::from_raw_parts(asked.frame, asked.frame_length as usize) } };
    match state.lookup(&Asked { ethertype: asked.ethertype, destination: asked.destination, frame }) {
        Reply::Reach(to) => {
            let ip = match to {
                SocketAddr::V4(to) => to.ip().to_ipv6_mapped().octets(),
                SocketAddr::V6(to) => to.ip().octets(),
            };
            // SAFETY: one destination, which outlives the call.
            unsafe { (host.reply_reach)(query, &varpd_ul3 { ip, port: to.port(), zero: 0 }, 1, VARPD_TTL_DEFAULT) };
        }
        // SAFETY: two numbers.
        Reply::Drop => drop(unsafe { (host.reply_drop)(query, VARPD_TTL_DEFAULT) }),
        // SAFETY: the frame outlives the call.
        Reply::Inject(frame) => drop(unsafe { (host.reply_inject)(query, frame.as_ptr(), frame.len()) }),
        // SAFETY: the same.
        Reply::Resend(frame) => drop(unsafe { (host.reply_resend)(query, frame.as_ptr(), frame.len()) }),
    }
    VARPD_ANSWER
}
