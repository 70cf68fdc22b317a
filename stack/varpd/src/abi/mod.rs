//! How is a plugin called that is a shared object? `include/varpd_plugin.h`, and the one room of varpd with `unsafe`.
//!
//! ```text
//!   Module ─ load ──► dlopen, varpd_plugin_register, declaration read and checked
//!     └─ create ────► Object ── set_property, restore, start, lookup, arp, ndp, dhcp, vnic, stop, save; drop ─► destroy
//!   plugin ─ struct varpd_host ──► Calls: answers, what it says unasked, its log
//! ```
//!
//! What a shared object does with the memory of its process nobody can check. So this is used in a process that has nothing else to do and
//! nothing to lose (`varpd --host`), one for each shared object; and whatever can be checked is: sizes, texts, numbers, kinds.
#![allow(unsafe_code, reason = "a C interface has no other: pointers of somebody else's")]

mod calls;
mod declared;
mod object;

/// The names, layouts and numbers of `varpd_plugin.h`.
#[path = "../../include/varpd_plugin.rs"]
pub mod raw;

pub use calls::{Calls, Level, Outcome, Said};
pub use declared::DECLARED_MAX;
pub use object::{Object, Said as Looked};

use overlay_api::channel::PluginInfo;
use raw::varpd_plugin;
use std::path::Path;

/// The one symbol of a plugin.
const REGISTER: &str = "varpd_plugin_register";

/// A shared object that was loaded and whose declaration is sound.
#[derive(Clone)]
pub struct Module {
    plugin: varpd_plugin,
    info: PluginInfo,
}

// SAFETY: its pointers are to functions and to what the header demands to stay as it is as long as the process.
unsafe impl Send for Module {}
// SAFETY: the same; nothing of it is ever written.
unsafe impl Sync for Module {}

impl Module {
    /// Loads a shared object. This runs its code. `calls` hears what it says; one module of a process has it, the first.
    ///
    /// # Errors
    /// A sentence: it is no shared object, has not the symbol, speaks another version, or declares what cannot be.
    pub fn load(path: &Path, calls: &'static dyn Calls) -> Result<Self, String> {
        // SAFETY: initialisers run, which is what the operator has put the file there for; this process has nothing that they could take.
        let library = unsafe { libloading::Library::new(path) }.map_err(|error| format!("it cannot be loaded: {}", said_by(&error)))?;
        // There is no unloading: threads of the plugin may go on, and what it declared is in use.
        let library: &'static libloading::Library = Box::leak(Box::new(library));
        // SAFETY: the header gives the symbol this type. One of another type is a bug of the plugin, and ends this process at worst.
        let register = unsafe { library.get::<raw::varpd_plugin_register_fn>(REGISTER.as_bytes()) }
            .map_err(|_| format!("it has no symbol {REGISTER}: it is no plugin of varpd, or was linked without it"))?;
        let host = calls::host(calls).ok_or("this process has a plugin already")?;
        // SAFETY: the host's calls are valid as long as the process.
        let plugin = unsafe { register(host) };
        let (plugin, info) = declared::read(plugin)?;
        Ok(Self { plugin, info })
    }

    /// What it declares.
    #[must_use]
    pub const fn info(&self) -> &PluginInfo {
        &self.info
    }
}

/// What the loader says, without the path, which the reader of the sentence has.
fn said_by(error: &libloading::Error) -> String {
    match std::error::Error::source(error) {
        Some(why) => why.to_string(),
        None => error.to_string(),
    }
}

/// Ends the process at once: what the shared object has registered to be done at the end is not done, because it may not return.
pub fn leave(code: i32) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(code) }
}
